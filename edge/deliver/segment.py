"""Segments, the hot path: held for the pace, taken from the cache slice by slice, encrypted, sent.

What they are encrypted as is the route's protection: `aes` the whole, the others its samples, by the
segment's protection map, which is read before anybody waits, as the length of the answer hangs on it.

Raw ASGI. The entity tag is strong although the bytes are per session, because encryption is deterministic
for (session, object) (SECURITY H12); it is made of the object's identity, which names its content for
good (K1: objects are write-once in a generation).
"""

import hashlib
import hmac
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from starlette.types import Message, Receive, Send

from edge.deliver import ranges
from edge.deliver.answer import Request
from edge.deliver.body import Body
from edge.deliver.cipher import BufferPool
from edge.deliver.common_encryption import ProtectedForm
from edge.deliver.cors import Headers
from edge.deliver.course import Courses
from edge.deliver.first_byte import SEGMENT
from edge.deliver.headers import SEGMENT_TYPE, cache_status, private, segment_age
from edge.deliver.hold import DRIP_EVERY_S, HOLD_S, LEAD_BYTES, Client, Gone, drip_size
from edge.deliver.key import period_of, segment_key
from edge.deliver.maps import Maps
from edge.deliver.needs import Grant, Opened, PaceGate
from edge.deliver.path import WHOLE, Route
from edge.deliver.playlist import rendition_of
from edge.deliver.samples import sample_key, samples_of
from edge.deliver.segment_forms import Form, WholeForm
from edge.deliver.serving import Serving
from keys.derive import enc, etag_key
from keys.leases import Lease
from keys.names import b64url
from keys.pace import AHEAD
from keys.problems import Problem
from origin.media.asset import Rendition, segment_object

ETAG_LENGTH: Final = 22  # characters of base64url: 132 bits


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send of which segment, decided before anything is fetched."""

    lease: Lease
    rendition: Rendition
    number: int
    form: Form = field(repr=False)
    etag: str
    part: ranges.Part
    watched: bool  # whether its seconds are seconds watched: of video, or of audio where there is no video

    @property
    def plain_length(self) -> int:
        """Bytes of the stored segment."""
        return self.rendition.sizes[self.number]

    @property
    def length(self) -> int:
        """Bytes of the whole encrypted segment."""
        return self.form.length


def entity_tag(lease: Lease, rendition: str, name: str, length: int, protection: str) -> str:
    """The strong tag of this session's form of an object: another in each session, the same on all edges."""
    content = _identity(lease.tenant, lease.asset, lease.generation, rendition, name, length)
    key = lease.made(("etag",), lambda: etag_key(lease.srk))
    mac = hmac.digest(key, content + protection.encode(), "sha256")
    return f'"{b64url(mac)[:ETAG_LENGTH]}"'


@lru_cache(4096)
def _identity(tenant: str, asset: str, generation: int, rendition: str, name: str, length: int) -> bytes:
    """32 bytes that name an object, the same for everyone."""
    fields = (tenant, asset, generation, rendition, name, length)
    return hashlib.sha256(enc("sluice1 object", *fields)).digest()


class Segments:
    """Serves the segments of one worker."""

    def __init__(
        self, serving: Serving, pace: PaceGate, *, hold_s: float = HOLD_S, drip_every_s: float = DRIP_EVERY_S
    ) -> None:
        """`hold_s` before the first byte of who must wait, then some bytes every `drip_every_s`."""
        self._serving = serving
        self._pace = pace
        self._hold_s = hold_s
        self._drip_every_s = drip_every_s
        self._pool = BufferPool()
        self._maps = Maps(serving.library)
        self._courses = Courses()

    async def serve(
        self, route: Route, request: Request, lease: Lease, receive: Receive, send: Send, extra: Headers
    ) -> int:
        """Answers one request; the status it got. `extra` are the headers every answer carries.

        A Problem raised here came before the response began; after that there is only BodyBroken.
        """
        plan = await self._plan(route, request, lease)
        if plan.part.status not in (200, 206) or request.method == "HEAD":
            await self._without_body(plan, send, extra)
            return plan.part.status
        try:
            with Client(receive) as client:
                await self._with_body(plan, request.at, client, send, extra)
        except Gone:
            self._serving.count("segments_left", 1)
        return plan.part.status

    async def _plan(self, route: Route, request: Request, lease: Lease) -> Plan:
        descriptor = await self._serving.library.descriptor(lease.asset, lease.generation)
        rendition = rendition_of(descriptor, route)
        number = route.number
        if number >= len(rendition.sizes):
            raise Problem("forbidden", detail=f"no segment {number} in {rendition.id}")
        size = rendition.sizes[number]
        etag = entity_tag(lease, rendition.id, segment_object(number), size, route.protection)
        form: Form
        if route.protection == WHOLE:
            form = WholeForm(size, number, segment_key(lease, rendition, period_of(descriptor, number)))
        else:
            samples = samples_of(descriptor, rendition.track, route.protection)
            key = sample_key(lease, rendition.track, route.protection, samples)
            form = ProtectedForm(await self._maps.get(lease, rendition, number, samples), key)
        part = ranges.choose(request.method, request.headers, etag, form.length)
        watched = rendition.track == "video" or not any(r.track == "video" for r in descriptor.renditions)
        return Plan(lease, rendition, number, form, etag, part, watched)

    async def _without_body(self, plan: Plan, send: Send, extra: Headers) -> None:
        """HEAD, 304, 412 and 416: nothing is fetched, nothing is paced."""
        await send(self._start(plan, cache_status(self._serving.node), extra))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self._serving.activity.note(plan.lease.sid)

    async def _with_body(self, plan: Plan, asked: float, client: Client, send: Send, extra: Headers) -> None:
        with self._ask(plan) as grant:
            granted = await self._held(plan, grant, client)
            opened = await self._open(plan)
            if opened.source != "l1":
                client.watch()
            body = Body(send, client, plan.part.stop - plan.part.start, self._serving.count)
            try:
                with body:
                    async with aclosing(self._pieces(plan, opened, client, granted)) as pieces:
                        first = await anext(pieces)
                        self._serving.first_byte.goes(SEGMENT[opened.source], asked, client.held_s)
                        await self._begin(plan, opened, body, extra)
                        if not granted:
                            first = await self._drip(plan, first, body, grant, client)
                        await body.put(first)
                        del first  # else its buffer stays out of the pool until the end
                        async for piece in pieces:
                            await body.put(piece)
                            del piece
            finally:
                opened.close()
                self._tell(plan, body)

    async def _held(self, plan: Plan, grant: Grant, client: Client) -> bool:
        """Waits before the first byte. True when granted; False when its body is to drip until then.

        What starts inside a segment never drips: all before it would be fetched and encrypted unpaid.
        """
        granted = await self._waited(plan, grant, client, self._hold_s)
        while not granted and (plan.part.start or not grant.may_drip()):
            granted = await self._waited(plan, grant, client, self._drip_every_s)
        return granted

    async def _waited(self, plan: Plan, grant: Grant, client: Client, timeout_s: float) -> bool:
        held_s = client.held_s
        try:
            granted = await client.wait(grant, timeout_s)
        finally:  # also when the client left
            if client.held_s > held_s and plan.watched:
                self._serving.activity.held(plan.lease.sid, client.held_s - held_s)
        self._ask_again(plan, client)
        return granted

    def _ask_again(self, plan: Plan, client: Client) -> None:
        """Who had to wait gets more only while his session runs. Problem when it is over."""
        if client.watching:
            self._serving.still_allowed(plan.lease)

    def _ask(self, plan: Plan) -> Grant:
        lease, rendition, number = plan.lease, plan.rendition, plan.number
        item = f"{lease.asset}:{lease.generation}"
        pace = self._serving.pace_of(lease)
        seconds, following = rendition.seconds(number), rendition.following(number, AHEAD)
        return self._pace.request(lease.bucket, rendition.track, pace, item, number, seconds, following)

    async def _open(self, plan: Plan) -> Opened:
        lease, part = plan.lease, plan.part
        opened = await self._serving.library.open(
            lease.tenant,
            lease.asset,
            lease.generation,
            plan.rendition.id,
            segment_object(plan.number),
            lease.sk,
            wanted=plan.form.slices(part.start, part.stop),
        )
        if opened.length != plan.plain_length:
            opened.close()
            raise Problem(
                "bad_upstream", detail=f"{opened.length} bytes, not {plan.plain_length} as described"
            )
        return opened

    def _pieces(
        self, plan: Plan, opened: Opened, client: Client, granted: bool
    ) -> AsyncGenerator[memoryview, None]:
        part = plan.part

        async def slice_at(index: int) -> memoryview:
            plain = await opened.slice(index)
            self._ask_again(plan, client)
            return plain

        return plan.form.pieces(
            slice_at,
            self._pool,
            self._serving.turns,
            start=part.start,
            stop=part.stop,
            lead=0 if granted else LEAD_BYTES,
        )

    async def _begin(self, plan: Plan, opened: Opened, body: Body, extra: Headers) -> None:
        status = cache_status(self._serving.node, opened.source, stored=opened.stored)
        self._serving.count("segments", 1)
        await body.begin(self._start(plan, status, extra))

    async def _drip(
        self, plan: Plan, piece: memoryview, body: Body, grant: Grant, client: Client
    ) -> memoryview:
        """Sends a few bytes at a time until the grant; what is left of the piece."""
        at = 0
        while not await self._waited(plan, grant, client, self._drip_every_s):
            size = drip_size(piece, at)
            if size:
                await body.put(piece[at : at + size])
            at += size
        return piece[at:]

    def _start(self, plan: Plan, status: bytes, extra: Headers) -> Message:
        part = plan.part
        headers: Headers = [
            *private(SEGMENT_TYPE, segment_age(plan.lease.expires, self._serving.now()), transform=False),
            (b"etag", plan.etag.encode()),
            (b"accept-ranges", b"bytes"),
            (b"cache-status", status),
            *extra,
        ]
        if part.status in (206, 416):
            headers.append((b"content-range", ranges.content_range(part, plan.length).encode()))
        if part.status != 304:
            headers.append((b"content-length", str(part.stop - part.start).encode()))
        if part.status in (412, 416):
            headers = [(n, b"no-store" if n == b"cache-control" else v) for n, v in headers]
        return {"type": "http.response.start", "status": part.status, "headers": headers}

    def _tell(self, plan: Plan, body: Body) -> None:
        """Counts what went out; a part of a segment counts as that part of its seconds.

        Who watches a minute gets a minute of video and one of audio: only one of them is counted.
        """
        sid, seconds, step = plan.lease.sid, 0.0, None
        if plan.watched and body.sent:
            whole_s = plan.rendition.seconds(plan.number)
            seconds = whole_s * body.sent / plan.length
            step = self._courses.step(sid, plan.rendition.id, plan.number, whole_s, self._serving.now())
        self._serving.count("segment_bytes", body.sent)
        self._serving.count("media_ms", round(1000 * seconds))
        self._serving.activity.segment(sid, body.sent, seconds, step)
