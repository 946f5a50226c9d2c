"""Protected downloads: a file in the `aes128gcm` form of one session (RFC 8188), sealed as it goes out.

Raw ASGI. What is asked for and measured is the encrypted form, whose length is known before a byte of it is
made: ranges, Content-Length and the entity tag are of it (RFC 9110 §8.8.3.3, §14.2). Any range costs the
records it touches and no others. Every edge makes the same bytes, because key and salt come from the session
and the file; another session gets others, so its tag is another, and nothing dates the form, or a client
could join two sessions' bytes by date (SECURITY H12, H31).

The coding stands in Content-Encoding whatever the client accepts: who asks at this address wants the
encrypted form, and there is no other to be had. Clients that do not know the coding keep the bytes as they
are, under a name that says so. No digest: that of the form would take making all of it, that of the file is
told beside its key (`key.file_answer`). No pace, and revocation is looked at before every piece.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Message, Receive, Send

from edge.deliver import ranges
from edge.deliver.answer import Request
from edge.deliver.body import Body
from edge.deliver.cipher import BufferPool
from edge.deliver.cors import Headers
from edge.deliver.disposition import attachment
from edge.deliver.first_byte import DOWNLOAD
from edge.deliver.headers import cache_status, private, segment_age, unstored
from edge.deliver.hold import Client, Gone
from edge.deliver.key import file_key, protected_file
from edge.deliver.path import Route
from edge.deliver.serving import Serving
from edge.deliver.turns import Share
from keys.derive import download_salt, etag_key
from keys.ece import CODING, RECORD, RECORD_DATA, Coding, Header
from keys.leases import Lease
from keys.names import b64url, b64url_decode
from keys.problems import Problem
from origin.media.asset import Download
from origin.media.seal import SLICE, slice_length

SUFFIX: Final = ".ece"  # of the name under which somebody keeps the encrypted form
PIECE_RECORDS: Final = 4  # sealed in one go, as much as a segment's piece
RECORDS_A_SLICE: Final = SLICE // RECORD_DATA
_TAG_LENGTH: Final = 22  # characters of base64url: 132 bits


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send of which file, decided before anything is fetched."""

    lease: Lease
    file: Download
    asked_at: float
    header: Header = field(repr=False)
    etag: str
    part: ranges.Part  # of the encrypted form

    @property
    def coded(self) -> int:
        """Bytes of the whole encrypted form."""
        return self.header.coded(self.file.size)

    @property
    def length(self) -> int:
        """Bytes of the answer's body."""
        return self.part.stop - self.part.start

    @property
    def records(self) -> range:
        """The records the part touches; the header goes with the first."""
        first = max(0, self.part.start - self.header.length) // RECORD
        stop = -(-max(1, self.part.stop - self.header.length) // RECORD)
        return range(first, stop)


def entity_tag(lease: Lease, file: Download) -> str:
    """The strong tag of this session's form of a file: the same on all edges, and no word of its content."""
    key = lease.made(("etag",), lambda: etag_key(lease.srk))
    mac = hmac.digest(key, b64url_decode(file.sha256) + b"ece", "sha256")
    return f'"{b64url(mac)[:_TAG_LENGTH]}"'


def plan(lease: Lease, file: Download, request: Request) -> Plan:
    """What this request gets of the file. Several ranges are answered with the whole (RFC 9110 §14.2)."""
    header = Header(download_salt(lease.srk, file.name))
    etag = entity_tag(lease, file)
    part = ranges.choose(request.method, request.headers, etag, header.coded(file.size))
    return Plan(lease, file, request.at, header, etag, part)


def pieces(records: range) -> Iterator[range]:
    """These records, a few at a time, none across two slices."""
    at = records.start
    while at < records.stop:
        stop = min(records.stop, at + PIECE_RECORDS, (at // RECORDS_A_SLICE + 1) * RECORDS_A_SLICE)
        yield range(at, stop)
        at = stop


class Protected:
    """Serves the protected downloads of one worker."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._room = memoryview(bytearray(RECORD_DATA + 1))
        self._pool = BufferPool(size=PIECE_RECORDS * RECORD + Header(b"").length)

    async def serve(
        self, route: Route, request: Request, lease: Lease, receive: Receive, send: Send, extra: Headers
    ) -> int:
        """Answers one request; the status it got. `extra` are the headers every answer carries.

        A Problem raised here came before the response began; after that there is only BodyBroken.
        """
        descriptor = await self._serving.library.descriptor(lease.asset, lease.generation)
        chosen = plan(lease, protected_file(descriptor, route), request)
        self._serving.activity.note(lease.sid)
        status = chosen.part.status
        if request.method == "HEAD" or not chosen.length:
            await send(self._start(chosen, cache_status(self._serving.node), extra))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return status
        try:
            with (
                Client(receive) as client,
                Body(send, client, chosen.length, self._serving.count) as body,
            ):
                await self._with_body(chosen, body, extra)
        except Gone:
            self._serving.count("downloads_left", 1)
        return status

    async def _with_body(self, chosen: Plan, body: Body, extra: Headers) -> None:
        """Seals and sends; the head of the response goes out once the first slice is there."""
        coding = Coding(file_key(chosen.lease, chosen.file), chosen.header.salt, self._room)
        share = Share(self._serving.turns)
        records = chosen.records
        indexes = range(records.start // RECORDS_A_SLICE, -(-records.stop // RECORDS_A_SLICE))
        opened = await self._serving.open_file(chosen.lease, chosen.file, indexes)
        if opened.source != "l1":
            body.may_wait()
        try:
            for numbers in pieces(chosen.records):
                index = numbers.start // RECORDS_A_SLICE
                plain = await opened.slice(index)
                if len(plain) != slice_length(chosen.file.size, index):
                    raise Problem("bad_upstream", detail=f"slice {index} has {len(plain)} bytes")
                await share.next(first=not body.begun)
                buffer = self._pool.take()
                sealed = _seal(chosen, coding, numbers, plain, buffer)
                if not body.begun:
                    self._serving.count("downloads", 1)
                    self._serving.count("downloads_protected", 1)
                    self._serving.first_byte.goes(DOWNLOAD[opened.source], chosen.asked_at)
                    status = cache_status(self._serving.node, opened.source, stored=opened.stored)
                    await body.begin(self._start(chosen, status, extra))
                await self._serving.put_of_file(chosen.lease, body, sealed)
                del sealed  # else this frame's own view would keep the buffer from being taken again
                self._pool.give(buffer)
                del buffer
        finally:
            opened.close()

    def _start(self, chosen: Plan, status: bytes, extra: Headers) -> Message:
        file, part = chosen.file, chosen.part
        headers: Headers = [
            (b"etag", chosen.etag.encode()),
            (b"accept-ranges", b"bytes"),
            (b"cache-status", status),
            *extra,
        ]
        if part.status in (412, 416):
            headers += unstored()
        else:
            age = segment_age(chosen.lease.expires, self._serving.now())
            headers += private(file.media_type.encode(), age, transform=False)
            headers.append((b"content-encoding", CODING.encode()))
        if part.status in (200, 206):
            headers.append((b"content-disposition", attachment(file.shown + SUFFIX, file.name + SUFFIX)))
        if part.status in (206, 416):
            headers.append((b"content-range", ranges.content_range(part, chosen.coded).encode()))
        if part.status != 304:
            headers.append((b"content-length", str(chosen.length).encode()))
        return {"type": "http.response.start", "status": part.status, "headers": headers}


def _seal(chosen: Plan, coding: Coding, numbers: range, plain: memoryview, buffer: bytearray) -> memoryview:
    """What the part has of these records, all of one slice, and of the header, which goes with record 0."""
    header, part, last = chosen.header, chosen.part, chosen.header.records(chosen.file.size) - 1
    out, made = memoryview(buffer), 0
    if not numbers.start:
        out[: header.length] = header.to_bytes()
        made = header.length
    begin = header.place(numbers.start) - made  # where in the form the buffer begins
    skipped = numbers.start // RECORDS_A_SLICE * RECORDS_A_SLICE
    for number in numbers:
        at = (number - skipped) * RECORD_DATA
        data = plain[at : at + RECORD_DATA]
        made += coding.seal_into(out[made:], number, data, last=number == last)
    return out[max(0, part.start - begin) : min(made, part.stop - begin)]
