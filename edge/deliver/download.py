"""Downloads, the plain hot path: files of an asset, taken from the cache slice by slice, sent as they are.

Raw ASGI. A file is the same for everyone and on every edge, so its entity tag is its SHA-256, and what one
edge began another goes on with (SECURITY H12, K4). Only the slices a range needs are fetched (H8, T10). They
go out whole, straight from where the cache holds them, so a request costs two slices of memory at most,
however slowly its client reads. No pace: a publisher who allows a download allows it at full speed. What was
taken back while it runs stops at the next slice, visibly short.
"""

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache

from starlette.types import Message, Receive, Send

from edge.deliver import multipart, ranges
from edge.deliver.answer import Request
from edge.deliver.body import Body
from edge.deliver.cors import Headers
from edge.deliver.disposition import attachment
from edge.deliver.first_byte import DOWNLOAD
from edge.deliver.headers import cache_status, private, segment_age, unstored
from edge.deliver.hold import Client, Gone
from edge.deliver.integrity import digest_fields
from edge.deliver.path import Route
from edge.deliver.serving import Serving
from edge.deliver.turns import Share
from keys.leases import Lease
from keys.problems import Problem
from origin.media.asset import Download
from origin.media.seal import SLICE, slice_count, slice_length


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send of which file, decided before anything is fetched."""

    lease: Lease
    file: Download
    request: Request
    status: int  # 200, 206, 304, 412 or 416
    spans: tuple[tuple[int, int], ...]  # start ≤ i < stop of the file
    framing: multipart.Multipart | None  # of several spans
    modified: int  # seconds since the epoch

    @property
    def etag(self) -> str:
        """The strong entity tag of the file."""
        return entity_tag(self.file)

    @property
    def length(self) -> int:
        """Bytes of the answer's body."""
        return self.framing.length if self.framing else sum(stop - start for start, stop in self.spans)


def entity_tag(file: Download) -> str:
    """The strong tag of a file: its content's name, the same for everyone."""
    return f'"{file.sha256}"'


def plan(lease: Lease, file: Download, request: Request, now: float) -> Plan:
    """What this request gets of the file. Parts that would outgrow it are answered with the whole (T10)."""
    modified = min(file.stored, int(now))  # RFC 9110 §8.8.2.1: never later than Date, whatever clocks say
    etag = entity_tag(file)
    parts = ranges.choose_parts(request.method, request.headers, etag, file.size, modified)
    if len(parts.spans) < 2:
        return Plan(lease, file, request, parts.status, parts.spans, None, modified)
    framing = multipart.frame(parts.spans, file.size, file.media_type, etag)
    if framing.length >= file.size:
        return Plan(lease, file, request, 200, ((0, file.size),), None, modified)
    return Plan(lease, file, request, 206, parts.spans, framing, modified)


class Downloads:
    """Serves the downloads of one worker."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def serve(
        self, route: Route, request: Request, lease: Lease, receive: Receive, send: Send, extra: Headers
    ) -> int:
        """Answers one request; the status it got. `extra` are the headers every answer carries.

        A Problem raised here came before the response began; after that there is only BodyBroken.
        """
        descriptor = await self._serving.library.descriptor(lease.asset, lease.generation)
        file = descriptor.download(route.file)
        if file is None:
            raise Problem("forbidden", detail=f"no download {route.file}")
        if file.protection != "clear":
            raise Problem("protected", detail=f"{route.file} leaves as {file.protection} only")
        chosen = plan(lease, file, request, self._serving.now())
        self._serving.activity.note(lease.sid)
        if request.method == "HEAD" or not chosen.length:
            await send(self._start(chosen, cache_status(self._serving.node), extra))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return chosen.status
        try:
            with Client(receive) as client:
                await self._with_body(chosen, Body(send, client, chosen.length, self._serving.count), extra)
        except Gone:
            self._serving.count("downloads_left", 1)
        return chosen.status

    async def _with_body(self, chosen: Plan, body: Body, extra: Headers) -> None:
        framing = chosen.framing
        with body:
            for number, span in enumerate(chosen.spans):
                await self._span(chosen, body, span, framing.heads[number] if framing else b"", extra)
            if framing:
                await body.put(framing.end)

    async def _span(
        self, chosen: Plan, body: Body, span: tuple[int, int], head: bytes, extra: Headers
    ) -> None:
        """Sends the slices of one span; the head of the response goes out once the first slice is there."""
        start, stop = span
        indexes = range(start // SLICE, slice_count(stop))
        share = Share(self._serving.turns)
        opened = await self._serving.open_file(chosen.lease, chosen.file, indexes)
        if opened.source != "l1":
            body.may_wait()
        try:
            for index in indexes:
                plain = await opened.slice(index)
                await share.next(first=not body.begun)
                if len(plain) != slice_length(chosen.file.size, index):
                    raise Problem("bad_upstream", detail=f"slice {index} has {len(plain)} bytes")
                if not body.begun:
                    self._serving.count("downloads", 1)
                    self._serving.first_byte.goes(DOWNLOAD[opened.source], chosen.request.at)
                    status = cache_status(self._serving.node, opened.source, stored=opened.stored)
                    await body.begin(self._start(chosen, status, extra))
                if head:
                    await body.put(head)
                    head = b""
                first = index * SLICE
                await self._serving.put_of_file(
                    chosen.lease, body, plain[max(0, start - first) : stop - first]
                )
        finally:
            opened.close()

    def _start(self, chosen: Plan, status: bytes, extra: Headers) -> Message:
        file, request = chosen.file, chosen.request
        headers: Headers = [
            (b"etag", chosen.etag.encode()),
            (b"last-modified", _http_date(chosen.modified)),
            (b"accept-ranges", b"bytes"),
            (b"cache-status", status),
            *extra,
        ]
        if chosen.status in (412, 416):
            headers += unstored()
        else:
            kind = chosen.framing.content_type if chosen.framing else file.media_type.encode()
            headers += private(kind, segment_age(chosen.lease.expires, self._serving.now()), transform=False)
        if chosen.status in (200, 206):
            headers.append((b"content-disposition", attachment(file.shown, file.name)))
            headers += digest_fields(
                request.headers,
                file.sha256,
                whole=chosen.status == 200 and request.method == "GET",
            )
        if chosen.status == 416 or (chosen.status == 206 and not chosen.framing):
            part = ranges.Part(chosen.status, *(chosen.spans[0] if chosen.spans else (0, 0)))
            headers.append((b"content-range", ranges.content_range(part, file.size).encode()))
        if chosen.status != 304:
            headers.append((b"content-length", str(chosen.length).encode()))
        return {"type": "http.response.start", "status": chosen.status, "headers": headers}


@lru_cache(1024)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()
