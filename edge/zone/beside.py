"""Zones beside media, in an edge that serves both: over raw ASGI, from a raw target to an answer.

The target is parsed once (`keying`), a signed zone's token checked against it, and `serving` asked with what
the origin may see. Every answer and refusal carries what those of the other routes do.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from edge.deliver.answer import Answer, refusal, send_answer
from edge.deliver.cors import Cors, Headers
from edge.deliver.headers import cache_status, common
from edge.deliver.path import TOKEN_NAME
from edge.http.fields import combined, get, replaced
from edge.zone.access import Access
from edge.zone.app import ZoneApp
from edge.zone.at_once import Head, Ready
from edge.zone.forwarding import INTERIM, NO_NODE, OfNode, zone_request
from edge.zone.keying import Target, Zones
from edge.zone.outgoing import allow, outgoing, private
from edge.zone.parts import Parts
from edge.zone.purges import GivesPurges, PurgeFeed
from edge.zone.seen import NONE, Seen, shown
from edge.zone.zone import FURTHER, PASSED, Zone
from keys.claims import Claims
from keys.problems import Problem
from keys.purge import Purge

NOT_FOR_ALL: Final = frozenset({b"authorization", b"cookie"})  # what a zone passes on whose answers are not
FOR_ALL_PAGES: Final = (
    b"cross-origin-resource-policy",
    b"cross-origin",
)  # what is public may be shown anywhere
LOOKED_EVERY_S: Final = 1.0  # whether the link of an answer under way was taken back

log = logging.getLogger("sluice.zone")


class Beside:
    """The zones of one worker of an edge."""

    def __init__(
        self,
        zones: Sequence[Zone],
        access: Access,
        keys: GivesPurges,
        cors: Cors,
        *,
        node: str,
        public_url: str,
        now: Callable[[], float],
        token_name: str = TOKEN_NAME,
        parts: Parts | None = None,
    ) -> None:
        """`public_url` is how clients reach this edge; no Host but a configured one is ever believed."""
        parts = parts or Parts()
        self._zones = Zones(tuple(zones), public_url, token_name)
        self._access, self._cors, self._now = access, cors, now
        self._common = common(secure=self._zones.scheme == "https")
        self._status = (b"cache-status", cache_status(node))
        self._seen = parts.seen
        self._app = ZoneApp(
            zones,
            name=node,
            memory_bytes=parts.memory_bytes,
            now=now,
            seen=parts.seen,
            outage=parts.outage,
            second=parts.second,
            upstream=parts.upstream,
        )
        self.purges = PurgeFeed(keys, self._purge)  # what has to run while it serves

    def takes(self, scope: Scope) -> bool:
        """Whether a request is for a zone, by its host or path."""
        return self._zones.takes(scope["raw_path"]) or self._host(scope) is not None

    def told(self) -> dict[str, dict[str, Any]]:
        """What there is to tell of each zone besides numbers, as JSON."""
        return self._app.told()

    def missing(self) -> str | None:
        """For health: which origins are not well, or None."""
        return self._app.missing()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What goes on by itself does while entered; then all of it ends, and the connections to origins."""
        self._app.start()
        try:
            yield
        finally:
            await self._app.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, node: OfNode = NO_NODE) -> None:
        """Answers one request; at a shield, of a node."""
        zone = NONE
        extra = [*self._common, *self._cors.headers(get(scope["headers"], b"origin"))]
        try:
            target = self._target(scope)
            zone = target.zone.name
            if not (target.zone.signed or target.zone.forward & NOT_FOR_ALL):
                extra = replaced(extra, *FOR_ALL_PAGES)
            if scope["method"] == "OPTIONS":
                await send_answer(send, self._preflight(target, scope), self._common, head=False)
                return
            _check_method(target.zone, scope)
            claims = await self._access.allowed(target) if target.zone.signed else None
            if claims is not None and claims.renewal is not None and self._access.tokens is not None:
                carried = await self._access.tokens.renewed(claims, target, scope["method"])
                if isinstance(carried, Answer):
                    self._seen.count("zone_requests", 1, zone)
                    carried.headers.append(self._status)
                    await send_answer(send, carried, extra, head=scope["method"] == "HEAD")
                    return
                extra = [*extra, *carried]
        except Problem as problem:
            self._seen.count("zone_requests", 1, zone)
            await self._refuse(problem, scope, send, extra, zone)
            return
        self._seen.count("zone_requests", 1, zone)
        kept = self._recording(scope, send, target, claims)
        sending = _Sending(kept, extra, target, claims, self._access, self._now, self._seen)
        try:
            passed = zone_request(scope, target, self._zones.scheme, self._zones.names)
            asked = replace(passed, node=node)
            taken = _taken(receive, target.zone.upload_bytes) if asked.has_body else receive
            await self._app.serving.serve(target.zone, asked, taken, sending)
        except OSError:
            raise  # the client left
        except Exception as exc:
            if isinstance(exc, Problem) and not sending.begun:
                await self._refuse(exc, scope, send, extra, zone)
                return
            self._seen.count("zone_failed", 1, zone)
            raise
        finally:
            self._seen.sent(zone, shown(target.zone, target.path, target.query), sending.size)

    def at_once(self, head: Head, scheme: str) -> Ready | None:
        """The answer to a request that is ready (`deploy.http_at_once`)."""
        return self._app.at_once(head, scheme)

    async def _purge(self, purges: Sequence[Purge] | None) -> int:
        """What a purge names is looked for by what its zone keys by."""
        return await self._app.purge(purges and [self._zones.purged(each) for each in purges])

    def _recording(self, scope: Scope, send: Send, target: Target, claims: Claims | None) -> Send:
        """`send`, which keeps what is the same for everyone who asks so, or for all who have this link."""
        raw, query = scope["raw_path"], scope["query_string"]
        if claims is None:
            allowed = still = None
        elif claims.renewal is not None:
            return send  # every answer has a token of its own, or is a redirect to one
        elif (
            target.token.encode("ascii") in raw + b"?" + query
        ):  # not in a cookie, which is no part of the name
            allowed = partial(self._access.goes_on, claims, self._now)
            still = partial(self._access.still_allowed, claims)
        else:
            return send
        return self._app.ready.recording(
            send,
            scope["method"],
            (raw, query),
            scope["headers"],
            scope["scheme"],
            allowed,
            still,
            target.zone.name,
            shown(target.zone, target.path, target.query),
        )

    def _host(self, scope: Scope) -> tuple[Zone, str] | None:
        return self._zones.at_host(get(scope["headers"], b"host"))

    def _target(self, scope: Scope) -> Target:
        cookies = combined(scope["headers"], b"cookie") or b""
        return self._zones.target(scope["raw_path"], scope["query_string"], cookies, self._host(scope))

    def _preflight(self, target: Target, scope: Scope) -> Answer:
        methods = allow(target.zone.methods)
        found: Headers = []
        for name, value in self._cors.preflight(get(scope["headers"], b"origin")):
            found.append((name, methods if name in (b"allow", b"access-control-allow-methods") else value))
        return Answer(204, [*found, (b"cache-control", b"no-store"), self._status])

    async def _refuse(self, problem: Problem, scope: Scope, send: Send, extra: Headers, zone: str) -> None:
        """The log never holds the target: there may be a token in it."""
        level = logging.WARNING if problem.status >= 500 else logging.INFO
        log.log(level, "%s %s: %s %s", problem.id, scope["method"], problem.code, problem.detail)
        self._seen.count("zone_failed" if problem.status >= 500 else "zone_refused", 1, zone)
        answer = refusal(problem)
        if isinstance(problem, _NotAllowed):
            answer.headers.append((b"allow", problem.allowed))
        await send_answer(send, answer, [*extra, self._status], head=scope["method"] == "HEAD")


class _NotAllowed(Problem):
    def __init__(self, allowed: bytes) -> None:
        super().__init__("method_not_allowed")
        self.allowed = allowed


def _check_method(zone: Zone, scope: Scope) -> None:
    """Problem when the zone does not pass this method on, or not with so long a body."""
    method = scope["method"]
    if method not in zone.methods:
        known = method in PASSED or method in FURTHER or method == "TRACE"
        raise _NotAllowed(allow(zone.methods)) if known else Problem("not_implemented")
    declared = get(scope["headers"], b"content-length")
    if method not in PASSED and declared is not None and int(declared) > zone.upload_bytes:
        raise _too_large(zone.upload_bytes)


def _taken(receive: Receive, most: int) -> Receive:
    """What comes of a request's body; Problem too_large when that becomes more than `most` bytes."""
    left = most

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(most)
        return message

    return bounded


def _too_large(most: int) -> Problem:
    return Problem("too_large", f"A body sent here has at most {most} bytes.")


class _Sending:
    """An answer of a zone on its way to the client."""

    def __init__(
        self,
        send: Send,
        extra: Headers,
        target: Target,
        claims: Claims | None,
        access: Access,
        now: Callable[[], float],
        seen: Seen,
    ) -> None:
        self._send, self._extra, self._target, self._claims = send, extra, target, claims
        self._access, self._now, self._seen = access, now, seen
        self._looked = now()
        self._zone = target.zone.name
        self.begun = False
        self.size = 0  # bytes of its body

    async def __call__(self, message: Message) -> None:
        """One ASGI message. Problem revoked cuts an answer off whose link was taken back."""
        if message["type"] == "http.response.start":
            self.begun = True
            message = {**message, "headers": self._fields(message)}
            if message["status"] >= 500:
                self._seen.count("zone_failed", 1, self._zone)
        elif message["type"] == INTERIM:
            message = {**message, "headers": outgoing(message["headers"], (), None)}
        else:
            self._look()
            size = len(message.get("body", b""))
            self.size += size
            self._seen.count("zone_bytes", size, self._zone)
        await self._send(message)

    def _fields(self, message: Message) -> Headers:
        fields = outgoing(message["headers"], self._extra, self._target)
        if self._claims is None:
            return fields
        default_s = self._target.zone.rules.default_s or 0.0
        return private(message["status"], fields, self._now(), self._claims.exp, default_s)

    def _look(self) -> None:
        now = self._now()
        if self._claims is not None and now - self._looked >= LOOKED_EVERY_S:
            self._looked = now
            self._access.still_allowed(self._claims)
