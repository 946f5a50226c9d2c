"""One request to the origin on behalf of a cache: what came of it, kept where it may be.

`Filling.obtain` asks, stores, freshens and invalidates; who presents the outcome, if anybody, is
not known here. A body that is kept comes in a task of its own, so that it comes whole whether or not its
first client stays; nobody left to read it, it is finished only when little of it is missing (SECURITY F20).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.http import validation, vary
from edge.http.entry import Entry, Request, Response, Rules
from edge.http.freshness import ERRORS, expired
from edge.http.invalidation import SAFE, invalidated
from edge.http.reuse import Forward, Validate
from edge.http.storing import NotStored, may_store
from edge.zone.body import Body
from edge.zone.store import Held, Store
from edge.zone.upstream import Asked, BrokenOff, NoAnswer, Reply, Upstream
from edge.zone.zone import Origin

ALONE_BYTES: Final = 1 << 20  # so much more of a body comes when nobody reads it,
ALMOST: Final = 0.8  # and all of it when this share is there

log = logging.getLogger("sluice.zone")

Send = Callable[[list[tuple[bytes, bytes]]], Asked]  # the request with these fields


@dataclass(frozen=True, slots=True)
class Passed:
    """Not kept: pass it on, then close it."""

    reply: Reply
    reason: NotStored | None  # None: nobody asked whether it may be


@dataclass(frozen=True, slots=True)
class Kept:
    """It is being kept: its body comes to `held`. `reply` is its head, as it came."""

    reply: Reply
    held: Held


@dataclass(frozen=True, slots=True)
class Holds:
    """The origin says that the entry holds."""

    held: Held


@dataclass(frozen=True, slots=True)
class Failed:
    """It gave an error of RFC 5861, or no answer."""

    status: int | None
    error: NoAnswer | None = None
    reply: Reply | None = None  # of the error, still to be passed on or closed


Outcome = Passed | Kept | Holds | Failed


class Filling:
    """Asks origins for one worker's store."""

    def __init__(self, upstream: Upstream, store: Store, rules: Rules, now: Callable[[], float]) -> None:
        self._upstream, self._store, self._rules, self._now = upstream, store, rules, now
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends what still comes."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def obtain(
        self,
        decision: Validate | Forward,
        request: Request,
        origin: Origin,
        send: Send,
        validated: Held | None,
        *,
        storable: bool = True,
        background: bool = False,
    ) -> Outcome:
        """What the origin says. `validated` is held of the decision's entry, `send` makes the request."""
        fields = list(request.fields)
        if isinstance(decision, Validate):
            fields = validation.conditional_request(request, decision)
        requested = self._now()
        try:
            reply = await self._upstream.ask(origin, send(fields))
        except NoAnswer as error:
            return Failed(None, error)
        received = self._now()
        response = Response(reply.status, reply.fields)
        if isinstance(decision, Validate) and validated is not None and reply.status == 304:
            await reply.close()
            fresh = validation.freshen(
                validated.entry, request, response, self._rules, requested=requested, received=received
            )
            if fresh is None:  # it speaks of another entity than ours
                again = Forward(decision.reason)
                return await self.obtain(
                    again, request, origin, send, None, storable=storable, background=background
                )
            return Holds(self._freshened(validated, fresh))
        if reply.status in ERRORS and validated is not None:
            return Failed(reply.status, None, reply)
        self._after_unsafe(request, response)
        if request.method == "HEAD":
            self._after_head(request, response, requested, received)
        if not storable:
            return Passed(reply, None)
        found = may_store(request, response, self._rules, requested=requested, received=received)
        if isinstance(found, NotStored):
            if validated is not None and request.method == "GET" and reply.status < 400:
                self._store.remove(validated)  # there is something newer
            return Passed(reply, found)
        return self._keep(found.entry, reply, background=background)

    def _keep(self, entry: Entry, reply: Reply, *, background: bool) -> Kept:
        held = self._store.add(entry, Body())
        task = asyncio.create_task(self._fill(held, reply, background=background))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Kept(reply, held)

    async def _fill(self, held: Held, reply: Reply, *, background: bool) -> None:
        """Takes the body in; what does not come whole is not kept."""
        body, alone, whole = held.body, 0, False
        try:
            async for piece in reply.pieces():
                self._store.grow(held, len(piece))
                await body.add(piece)
                alone = 0 if body.readers or background else alone + len(piece)
                almost = held.entry.length is not None and body.size >= ALMOST * held.entry.length
                if not body.readers and (not body.kept or (alone > ALONE_BYTES and not almost)):
                    break
            else:
                whole = True
        except BrokenOff as error:
            log.warning("an answer for %s broke off: %s", held.entry.uri, error)
        finally:
            await reply.close()
            if whole:
                body.end()
                self._store.finish(held)
            else:
                self._store.remove(held)
                body.fail()

    def _freshened(self, held: Held, fresh: validation.Freshened) -> Held:
        if not fresh.keep:
            self._store.remove(held)
            return Held(fresh.entry, held.body)
        self._store.update(held, fresh.entry)
        return held

    def _after_unsafe(self, request: Request, response: Response) -> None:
        if request.method in SAFE:
            return
        for uri in invalidated(request.method, request.uri, response):
            for held in self._store.get(uri):
                self._store.update(held, expired(held.entry))

    def _after_head(self, request: Request, response: Response, requested: float, received: float) -> None:
        """What a HEAD says of the entry that GET would be answered with (RFC 9111 §4.3.5)."""
        for held in tuple(self._store.get(request.uri)):
            if vary.matches(held.entry, request.fields, self._rules):
                fresh = validation.after_head(
                    held.entry, request, response, self._rules, requested=requested, received=received
                )
                self._freshened(held, fresh)
