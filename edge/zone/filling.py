"""One request to the origin on behalf of a cache: what came of it, kept where it may be.

`Filling.obtain` asks, stores, freshens and invalidates; who presents the outcome, if anybody, is
not known here. A body that is kept comes in a task of its own, so that it comes whole whether or not its
first client stays; nobody left to read it, it is finished only when little of it is missing (SECURITY F20).
A large one comes in slices (`sliced`); of one that nothing is known of, slices are asked for where a range is
wanted.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from edge.http import partial, validation, vary
from edge.http.directives import of_request
from edge.http.entry import Entry, Request, Response
from edge.http.freshness import ERRORS, after_failure, expired
from edge.http.invalidation import SAFE, invalidated
from edge.http.reuse import Forward, Validate
from edge.http.storing import NotStored, Stored, may_store
from edge.zone.body import Body, Reading
from edge.zone.common import Common
from edge.zone.origins import Origins
from edge.zone.outcomes import Failed, Holds, Kept, Outcome, Passed
from edge.zone.remembered import Remembered
from edge.zone.second_level import SecondLevel
from edge.zone.sliced import Lied, Other, Refusal, Sliced, Source
from edge.zone.sliced_reading import SlicedReading
from edge.zone.spread import block_end, first_block, several, within_block
from edge.zone.store import Held, Store
from edge.zone.turns import Turn
from edge.zone.upstream import Asked, BrokenOff, NoAnswer, Reply
from edge.zone.zone import Zone

ALONE_BYTES: Final = 1 << 20  # so much more of a body comes when nobody reads it,
ALMOST: Final = 0.8  # and all of it when this share is there
UNSLICED_S: Final = 3600.0  # for which a URI is remembered as one that cannot be had in slices
REMEMBERED_MOST: Final = 10_000
CHANGED_S: Final = 60.0  # for which it is known that shields have different editions of a body

log = logging.getLogger("sluice.zone")

Send = Callable[[list[tuple[bytes, bytes]]], Asked]  # the request with these fields


class Filling:
    """Asks origins for one worker's store."""

    def __init__(
        self, origins: Origins, store: Store, now: Callable[[], float], second: SecondLevel | None = None
    ) -> None:
        self._origins, self._store, self._now = origins, store, now
        self._tasks: set[asyncio.Task[None]] = set()
        self._common = Common(second, store, self._spawn) if second else None
        self._unsliced = Remembered(REMEMBERED_MOST, UNSLICED_S, now)  # nothing can be had of them in slices
        self._changed = Remembered(REMEMBERED_MOST, CHANGED_S, now)  # to be asked for anew

    async def close(self) -> None:
        """Ends what still comes."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def obtain(
        self,
        decision: Validate | Forward,
        request: Request,
        zone: Zone,
        send: Send,
        validated: Held | None,
        *,
        storable: bool = True,
        background: bool = False,
        wanted: partial.Aligned | None = None,
    ) -> Outcome:
        """What the origin says. `validated` is held of the decision's entry, `send` makes the request.

        `wanted` are the slices to ask for instead of the Range that the request has.
        """
        fields = list(request.fields)
        if not zone.rules.slices or request.uri in self._unsliced:
            wanted = None
        if isinstance(decision, Validate):
            fields = validation.conditional_request(request, decision)
            if validated is None or not isinstance(validated.body, Sliced):
                wanted = None  # what has changed is wanted whole, as it was held
        wanted = within_block(zone, wanted)
        if wanted is not None:
            fields = partial.asking_first(fields, wanted)
        sliced = storable and wanted is None and request.uri not in self._unsliced
        block = first_block(zone, request) if sliced else None
        asked = replace(send(fields), anew=request.uri in self._changed, block=block.stop if block else None)
        self._changed.discard(request.uri)
        requested = self._now()
        try:
            stale = background or _may_do_without(request, zone, validated, requested)
            reply = await self._origins.ask(zone, asked, stale=stale)
        except NoAnswer as error:
            return Failed(None, error)
        received = self._now()
        response = Response(reply.status, reply.fields)
        first = block if reply.of_shield and wanted is None else wanted
        if first is not None and reply.status == 206:
            taken = await self._first_slices(zone, request, first, reply, requested, received)
            if taken is not None:
                return taken
            return await self.obtain(decision, request, zone, send, validated, storable=storable)
        if wanted is not None and reply.status == 200:
            self._unsliced.add(request.uri)
        if isinstance(decision, Validate) and validated is not None and reply.status == 304:
            await reply.close()
            fresh = validation.freshen(
                validated.entry, request, response, zone.rules, requested=requested, received=received
            )
            if fresh is None:  # it speaks of another entity than ours
                again = Forward(decision.reason)
                return await self.obtain(
                    again, request, zone, send, None, storable=storable, background=background
                )
            return Holds(self._freshened(validated, fresh))
        if reply.status in ERRORS and validated is not None:
            return Failed(reply.status, None, reply)
        self._after_unsafe(request, response, zone)
        if request.method == "HEAD":
            self._after_head(zone, request, response, requested, received)
        if reply.status == 416:  # an answer to this Range alone; of a body that has changed, if one was held
            if validated is not None:
                self._store.remove(validated)
            return Passed(reply, None)
        if not storable:
            return Passed(reply, None)
        found = may_store(request, response, zone.rules, requested=requested, received=received)
        if isinstance(found, NotStored):
            if validated is not None and request.method == "GET" and reply.status < 400:
                self._store.remove(validated)  # there is something newer
            return Passed(reply, found)
        if partial.may_slice(found.entry, response, zone.rules) and request.uri not in self._unsliced:
            assert found.entry.length is not None
            return await self._keep_slices(found.entry, reply, 0, found.entry.length, zone)
        return self._keep(found.entry, reply, zone.rules.body_most, background=background)

    async def turn(self, request: Request, zone: Zone, held: Held | None) -> Held | Turn | None:
        """What another worker or edge stored, newer than what is held; else whose turn it is to ask."""
        return await self._common.turn(request, zone, held) if self._common else None

    def settle(self, turn: Turn | None, zone: Zone, outcome: Outcome | None, before: Held | None) -> None:
        """Others get what came of it, behind the client's back; the turn ends. `before` is what was held."""
        if self._common is None:
            return
        held = outcome.held if isinstance(outcome, Kept | Holds) else None
        refused = isinstance(outcome, Passed) and outcome.reason is not None and outcome.reason.lasting
        if refused and before is not None:
            self._common.forget(before.entry.uri, zone)
        if turn is not None or held is not None:
            self._spawn(self._common.settle(turn, zone, held, refused=refused))

    def reading(
        self, held: Held, request: Request, zone: Zone, send: Send, start: int, stop: int | None
    ) -> Reading | SlicedReading:
        """Bytes [start, stop) of what is held; missing slices are asked for in this request's name."""
        if isinstance(held.body, Body):
            return held.body.read(start, stop)

        async def ask(first: int, end: int) -> tuple[Source, int]:
            more = functools.partial(self._more_slices, held.entry, zone, request, send)
            return await (
                self._common.more(held.entry, zone, more, first, end) if self._common else more(first, end)
            )

        return SlicedReading(held.body, start, stop, ask)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _keep(
        self,
        entry: Entry,
        reply: Reply,
        most: int | None,
        *,
        background: bool = False,
        exactly: int | None = None,
    ) -> Kept:
        body = Body()
        held = self._store.add(entry, body)
        self._spawn(self._fill(held, body, reply, most, background=background, exactly=exactly))
        return Kept(reply, held)

    async def _keep_slices(self, entry: Entry, reply: Reply, start: int, stop: int, zone: Zone) -> Kept:
        assert entry.length is not None
        source = await self._common.sharing(entry, reply, start, zone) if self._common else reply
        body = Sliced(entry.length, self._spawn)
        held = self._store.add(entry, body)
        body.adopt(source, start, stop)
        return Kept(reply, held)

    async def _first_slices(
        self,
        zone: Zone,
        request: Request,
        wanted: partial.Aligned,
        reply: Reply,
        requested: float,
        received: float,
    ) -> Outcome | None:
        """A 206 to a request for slices of what was not known. None: ask again, as the client does."""
        response = Response(reply.status, reply.fields)
        span = partial.heard_first(response, wanted)
        if isinstance(span, partial.Lie):
            await reply.close()
            log.warning("an answer for %s is not to be believed: %s", request.uri, span.why)
            return Failed(None, Lied(span.why))
        found: Stored | NotStored | None = None
        if span is not None:
            start, stop, total = span
            as_whole = partial.as_whole(response, total)
            found = may_store(request, as_whole, zone.rules, requested=requested, received=received)
        if isinstance(found, Stored):
            if (start, stop) == (0, total) and (
                total <= partial.SLICE or partial.validator(found.entry) is None
            ):
                return self._keep(found.entry, reply, zone.rules.body_most, exactly=total)
            if partial.validator(found.entry) is not None:
                return await self._keep_slices(found.entry, reply, start, stop, zone)
        await reply.close()  # nobody could put another part beside it
        self._unsliced.add(request.uri)
        return None

    async def _more_slices(
        self, entry: Entry, zone: Zone, request: Request, send: Send, start: int, stop: int
    ) -> tuple[Reply, int]:
        """Bytes [start, stop) of an entry's representation, or fewer: up to where.

        Other, Refusal, NoAnswer.
        """
        shields = several(zone)
        if shields:
            stop = min(stop, block_end(start))
        asked = send(partial.asking_more(request.fields, entry, start, stop))
        for anew in (False, True):  # another shield may have an older edition than the first
            reply = await self._origins.ask(zone, replace(asked, anew=anew))
            heard = partial.heard_more(entry, Response(reply.status, reply.fields), start, stop)
            if isinstance(heard, partial.Part):
                return reply, heard.stop
            await reply.close()
            if not shields or not isinstance(heard, partial.Changed):
                break
        if isinstance(heard, partial.Lie):
            log.warning("an answer for %s is not to be believed: %s", entry.uri, heard.why)
            raise Lied(heard.why)
        if isinstance(heard, partial.Refused):
            if heard.status in ERRORS:
                raise NoAnswer(
                    "destination_unavailable", f"it answered {heard.status} to a request for a part"
                )
            raise Refusal(f"the origin answered a request for a part with {heard.status}")
        if isinstance(heard, partial.Ignored):
            self._unsliced.add(entry.uri)
        if shields:
            self._changed.add(entry.uri)
        raise Other("what the origin has now is something else")

    async def _fill(
        self, held: Held, body: Body, reply: Reply, most: int | None, *, background: bool, exactly: int | None
    ) -> None:
        """Takes the body in; what does not come whole, or is longer than `most` bytes, is not kept."""
        alone, whole = 0, False
        try:
            async for piece in reply.pieces():
                if most is not None and body.size + len(piece) > most:
                    self._store.remove(held)
                self._store.grow(held, body, len(piece))
                await body.add(piece)
                alone = 0 if body.readers or background else alone + len(piece)
                almost = held.entry.length is not None and body.size >= ALMOST * held.entry.length
                unwanted = not body.kept or (alone > ALONE_BYTES and not almost)
                if unwanted and not body.readers and await body.left():
                    break
            else:
                whole = exactly is None or body.size == exactly
        except BrokenOff as error:
            log.warning("an answer for %s broke off: %s", held.entry.uri, error)
        finally:
            await reply.close()
            if whole:
                body.end()
                self._store.finish(held, body.size)
            else:
                self._store.remove(held)
                body.fail()

    def _freshened(self, held: Held, fresh: validation.Freshened) -> Held:
        if not fresh.keep:
            self._store.remove(held)
            return Held(fresh.entry, held.body)
        self._store.update(held, fresh.entry)
        return held

    def _after_unsafe(self, request: Request, response: Response, zone: Zone) -> None:
        if request.method in SAFE:
            return
        for uri in invalidated(request.method, request.uri, response):
            for held in self._store.get(uri):
                self._store.update(held, expired(held.entry))
            if self._common is not None:
                self._common.forget(uri, zone)

    def _after_head(
        self, zone: Zone, request: Request, response: Response, requested: float, received: float
    ) -> None:
        """What a HEAD says of the entry that GET would be answered with (RFC 9111 §4.3.5)."""
        for held in tuple(self._store.get(request.uri)):
            if vary.matches(held.entry, request.fields, zone.rules):
                fresh = validation.after_head(
                    held.entry, request, response, zone.rules, requested=requested, received=received
                )
                self._freshened(held, fresh)


def _may_do_without(request: Request, zone: Zone, held: Held | None, now: float) -> bool:
    """Whether what is held may be served although the origin is in trouble."""
    return held is not None and after_failure(
        held.entry, now, zone.rules, status=503, asked=of_request(request.fields)
    )
