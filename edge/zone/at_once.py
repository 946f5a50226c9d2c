"""Hits that need no thought: the answer a request just got, for the same request within the same second.

A request is of that kind when it is a GET and nothing in its head but target and Host can change what comes
of it. Its answer is one of that kind when it is a fresh hit, not long, and the same whatever the request's
fields say (no Vary). For the rest of the second it is given again, Age and all, as long as the very entry is
still kept, and the link it came by still holds. So a hit costs no more than looking it up
(`deploy.http_at_once`).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.http.entry import Entry
from edge.http.fields import Fields
from edge.http.freshness import ttl
from edge.zone.body import Reading
from edge.zone.broken import BrokenOff
from edge.zone.sliced import Sliced
from edge.zone.sliced_reading import SlicedReading
from edge.zone.store import Held, Store

LONGEST: Final = 2 << 20  # bytes of a body that is given as it is: two slices
SLICES: Final = 2  # of a longer one that go out with its head; the rest is read from the store as it is sent
LONGEST_READ: Final = 16 << 20  # bytes of such a body
LOOKED_EVERY_S: Final = 1.0  # whether the link of an answer under way was taken back
LONGEST_COPIED: Final = 32 << 10  # over TLS, which makes a copy of all that waits for a client
KEPT_BYTES: Final = 32 << 20  # of bodies in a worker, which the store may have let go within the second
HIT: Final = "sluice.hit"  # in the head's ASGI message: a Hit, when it is a whole one

HARMLESS: Final = frozenset(
    {
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"connection",
        b"cookie",
        b"dnt",
        b"forwarded",
        b"host",
        b"priority",
        b"referer",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-user",
        b"upgrade-insecure-requests",
        b"user-agent",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)

Read = Callable[[int, int | None], Reading | SlicedReading]  # bytes [start, stop) of what is held
Allowed = Callable[[], None]  # raises when the link an answer came by does not hold any more


class Head(Protocol):
    """What is asked of a request's head (`edge.guard.head`)."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def query(self) -> bytes: ...
    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """What an answer is a fresh, whole hit of. `read` is for a body that is too long to be kept as it is."""

    held: Held
    read: Read | None = None

    @classmethod
    def long(cls, held: Held, read: Read) -> "Hit | None":
        """Of a body in slices that is too long to be kept as it is, and not too long to be given again."""
        body = held.body
        return cls(held, read) if isinstance(body, Sliced) and LONGEST < body.total <= LONGEST_READ else None

    def beginning(self) -> tuple[bytes, ...] | None:
        """The first slices of such a body, if they are there now."""
        body = self.held.body
        found = [body.slice(index) if isinstance(body, Sliced) else None for index in range(SLICES)]
        return None if None in found else tuple(piece for piece in found if piece is not None)


class Rest:
    """What comes after the first bytes of a long body, as an application whose answer has begun."""

    def __init__(self, read: Read, at: int, still: Allowed | None, now: Callable[[], float]) -> None:
        self._read, self._at, self._still, self._now = read, at, still, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it as it is taken. BrokenOff when it does not come, or the link is taken back meanwhile."""
        looked = self._now()
        with closing(self._read(self._at, None)) as reading:
            async with aclosing(reading.pieces()) as pieces:
                async for piece in pieces:
                    if self._now() - looked >= LOOKED_EVERY_S:
                        looked = self._now()
                        self._look()
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _look(self) -> None:
        try:
            if self._still is not None:
                self._still()
        except Exception as exc:
            raise BrokenOff("its link was taken back") from exc


@dataclass(slots=True)
class Ready:
    """One answer, good until `until`. `wire` belongs to the server.

    `body` is all of it, or its beginning, after which `rest` sends the `left` bytes.
    """

    status: int
    fields: Fields
    body: tuple[bytes, ...]
    host: bytes
    scheme: str
    held: Held
    entry: Entry
    until: float
    allowed: Allowed | None
    zone: str = ""  # its name, and
    shown: str = ""  # what it is called to operators
    left: int = 0
    rest: ASGIApp | None = None
    wire: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def kept(self) -> int:
        """Bytes of the body that are here."""
        return sum(map(len, self.body))


class AtOnce:
    """The ready answers of one worker."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store, self.now = store, now
        self._ready: OrderedDict[tuple[bytes, bytes], Ready] = OrderedDict()
        self.bytes = 0  # of bodies

    def find(self, head: Head, scheme: str) -> Ready | None:
        """The answer to this request, if there is one for it now."""
        ready = self._ready.get((head.path, head.query))
        if ready is None:
            return None
        if head.method != "GET" or scheme != ready.scheme or _host(head.fields) != ready.host:
            return None
        held = ready.held
        kept = self._store.get(held.name)
        alone = len(kept) == 1 and kept[0] is held and held.entry is ready.entry
        if not alone or self.now() >= ready.until:
            self._drop((head.path, head.query))
            return None
        if ready.allowed is not None:
            try:
                ready.allowed()
            except Exception:  # it is refused as always
                return None
        return ready

    def recording(
        self,
        send: Send,
        method: str,
        target: tuple[bytes, bytes],
        fields: Fields,
        scheme: str,
        allowed: Allowed | None = None,
        still: Allowed | None = None,
        zone: str = "",
        shown: str = "",
    ) -> Send:
        """The same `send`, which keeps an answer to (raw path, query) where it is fit for it.

        `allowed` raises when the link that it comes by holds no more, `still` when that was taken back, for
        an answer under way; `zone` and `shown` are what it is counted by (`edge.zone.seen`).
        """
        host = _host(fields)
        if not host or method != "GET":
            return send
        return _Recording(self, send, target, host, scheme, (allowed, still), (zone, shown))

    def keep(self, target: tuple[bytes, bytes], ready: Ready) -> None:
        """Has this answer ready from now on."""
        self._drop(target)
        self._ready[target] = ready
        self.bytes += ready.kept
        now = self.now()
        while self._ready:
            oldest, known = next(iter(self._ready.items()))
            if self.bytes <= KEPT_BYTES and now < known.until:
                return
            self._drop(oldest)

    def until(self, entry: Entry) -> float:
        """When an answer of this entry made now is another one: with the second, or with its freshness."""
        now = self.now()
        return min(float(int(now) + 1), now + ttl(entry, now))

    def _drop(self, target: tuple[bytes, bytes]) -> None:
        ready = self._ready.pop(target, None)
        if ready is not None:
            self.bytes -= ready.kept


class _Recording:
    """One answer on its way out."""

    def __init__(
        self,
        at_once: AtOnce,
        send: Send,
        target: tuple[bytes, bytes],
        host: bytes,
        scheme: str,
        link: tuple[Allowed | None, Allowed | None],
        counted_by: tuple[str, str],
    ) -> None:
        self._at_once, self._send, self._target = at_once, send, target
        self._counted_by = counted_by
        self._host, self._scheme = host, scheme
        self._allowed, self._still = link
        self._ready: Ready | None = None  # but for its body, which is on its way
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if HIT in message:
            self._begin(message)
        elif self._ready is not None:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._ready.body = tuple(self._body)
                self._keep(self._ready)
        await self._send(message)

    def _begin(self, start: Message) -> None:
        """What the head says holds for the entry as it is now, and for this second: bodies may take long."""
        hit: Hit = start[HIT]
        held = hit.held
        ready = Ready(
            start["status"],
            start["headers"],
            (),
            self._host,
            self._scheme,
            held,
            held.entry,
            self._at_once.until(held.entry),
            self._allowed,
            *self._counted_by,
        )
        if hit.read is None:
            self._ready = ready
            return
        beginning = hit.beginning()
        if beginning is not None and isinstance(held.body, Sliced):
            ready.body = beginning
            ready.left = held.body.total - ready.kept
            ready.rest = Rest(hit.read, ready.kept, self._still, self._at_once.now)
            self._keep(ready)

    def _keep(self, ready: Ready) -> None:
        most = LONGEST if self._scheme == "http" else LONGEST_COPIED
        if ready.kept <= most and self._at_once.now() < ready.until:
            self._at_once.keep(self._target, ready)


def _host(fields: Fields) -> bytes:
    """The Host of a request whose other fields change nothing; empty when one might, or there is none."""
    host = b""
    for name, value in fields:
        if name not in HARMLESS:
            return b""
        if name == b"host":
            host = value
    return host
