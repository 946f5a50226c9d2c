"""A zone's requests over raw ASGI: look up, decide, ask the origin where that is called for, answer.

What is fresh is served at once; what may be stale is served while one request renews it. Of requests that
miss together one asks the origin; the others wait for the head of its answer, then read the body as it comes
if the answer is one for them, or ask for themselves. A URI whose answers are no one else's is
remembered for a while: nobody waits for those (hit-for-miss).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.types import Receive, Scope, Send

from edge.deliver.clients import Network
from edge.http.answer import Answer, answer
from edge.http.directives import of_request
from edge.http.entry import Rules
from edge.http.fields import get
from edge.http.freshness import after_failure, ttl
from edge.http.reuse import Forward, Fresh, GatewayTimeout, Stale, Validate, decide
from edge.http.status import CacheStatus, loops
from edge.zone.filling import Failed, Filling, Holds, Kept, Outcome, Passed
from edge.zone.forwarding import Incoming, forwarded, incoming, passed_on
from edge.zone.saying import Saying
from edge.zone.store import Held, Store
from edge.zone.upstream import Asked
from edge.zone.zone import Zone, find
from keys.problems import Problem

UNSHARED_S: Final = 60.0  # for which a URI is remembered as one whose answers are not kept
UNSHARED_MOST: Final = 10_000

log = logging.getLogger("sluice.zone")


class Left(OSError):
    """The client went before its request's body was whole."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request on its way to an answer."""

    zone: Zone
    asked: Incoming
    receive: Receive
    send: Send


class Serving:
    """Answers the requests of zones. `name` is what this cache calls itself to others."""

    def __init__(
        self,
        zones: Sequence[Zone],
        filling: Filling,
        store: Store,
        rules: Rules,
        *,
        name: str,
        now: Callable[[], float],
        trusted: Sequence[Network] = (),
    ) -> None:
        self._zones, self._filling, self._store, self._rules = zones, filling, store, rules
        self._name, self._now, self._trusted = name, now, trusted
        self._say = Saying(name)
        self._asking: dict[str, asyncio.Event] = {}  # URIs that are being asked for, until the head is there
        self._renewing: dict[Held, asyncio.Task[None]] = {}
        self._unshared: OrderedDict[str, float] = OrderedDict()  # URI: until when

    async def close(self) -> None:
        """Ends renewals."""
        for task in tuple(self._renewing.values()):
            task.cancel()
        await asyncio.gather(*self._renewing.values(), return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        head = scope["method"] == "HEAD"
        zone = find(self._zones, scope["raw_path"])
        if zone is None:
            problem = Problem("not_found", "No zone answers for this path.")
            await self._say.problem(send, problem, head=head)
            return
        asked = incoming(scope, zone.origin)
        if loops(asked.request.fields, self._name):  # RFC 8586 §2
            problem = Problem("loop", "This request has been here before: a zone's origin leads back.")
            await self._say.problem(send, problem, error="proxy_loop_detected", head=head)
            return
        if (
            asked.request.method in ("TRACE", "OPTIONS")
            and get(asked.request.fields, b"max-forwards") == b"0"
        ):
            await self._say.last_hop(send, asked.request.method)
            return
        exchange = _Exchange(zone, asked, receive, send)
        if asked.request.method not in ("GET", "HEAD"):
            await self._pass(exchange, Forward("method"), None)
        elif asked.has_body:  # what it means is the origin's alone to know
            await self._pass(exchange, Forward("bypass"), None, storable=False)
        else:
            await self._answer(exchange)

    async def _answer(self, exchange: _Exchange) -> None:
        """GET or HEAD."""
        request, waited = exchange.asked.request, False
        while True:
            now = self._now()
            found = self._store.get(request.uri)
            decision = decide(request, [held.entry for held in found], now, self._rules)
            if isinstance(decision, GatewayTimeout):
                problem = Problem("not_stored", "Only what is stored was asked for, and this is not.")
                await self._say.problem(exchange.send, problem, head=request.method == "HEAD")
                return
            if isinstance(decision, Fresh | Stale):
                held = _held(found, decision.entry)
                left = int(ttl(held.entry, now))
                if isinstance(decision, Stale):
                    self._renew(exchange, held, decision.renew)
                how = CacheStatus(hit=True, ttl=left)
                if waited:
                    how = CacheStatus(fwd="uri-miss", collapsed=True, ttl=left)
                await self._serve(exchange, held, how)
                return
            asking = None if waited else self._asking.get(request.uri)
            if asking is None:
                entry = decision.entry
                held_entry = None if entry is None else _held(found, entry)
                await self._pass(exchange, decision, held_entry, tried=waited)
                return
            await asking.wait()
            waited = True

    async def _pass(
        self,
        exchange: _Exchange,
        decision: Validate | Forward,
        held: Held | None,
        *,
        storable: bool = True,
        tried: bool = False,
    ) -> None:
        """Asks the origin and answers with what comes of it."""
        uri = exchange.asked.request.uri
        mine = self._ask_for_all(exchange, storable=storable)
        try:
            outcome = await self._obtain(exchange, decision, held, storable=storable)
        finally:
            if mine is not None:
                del self._asking[uri]
                mine.set()
        self._remember(uri, outcome, decision)
        how = CacheStatus(fwd=decision.reason, collapsed=False if tried else None)
        await self._present(exchange, decision, held, outcome, how)

    def _ask_for_all(self, exchange: _Exchange, *, storable: bool) -> asyncio.Event | None:
        """What others who want the same wait for; None where they had better not."""
        request = exchange.asked.request
        alone = any(name in (b"range", b"authorization") or name[:3] == b"if-" for name, _ in request.fields)
        if alone or not storable or request.method != "GET" or request.uri in self._asking:
            return None
        if of_request(request.fields).no_store or self._unshared.get(request.uri, 0.0) > self._now():
            return None
        mine = self._asking[request.uri] = asyncio.Event()
        return mine

    def _remember(self, uri: str, outcome: Outcome, decision: Validate | Forward) -> None:
        if isinstance(outcome, Passed) and outcome.reason is not None and outcome.reason.lasting:
            if decision.reason != "method":
                self._unshared[uri] = self._now() + UNSHARED_S
                self._unshared.move_to_end(uri)
                if len(self._unshared) > UNSHARED_MOST:
                    self._unshared.popitem(last=False)
        elif isinstance(outcome, Kept):
            self._unshared.pop(uri, None)

    async def _obtain(
        self,
        exchange: _Exchange,
        decision: Validate | Forward,
        held: Held | None,
        *,
        storable: bool = True,
        background: bool = False,
    ) -> Outcome:
        asked = exchange.asked

        def made(fields: list[tuple[bytes, bytes]]) -> Asked:
            body = _body(exchange.receive) if asked.has_body else None
            told = forwarded(asked, fields, self._name, self._trusted)
            return Asked(asked.request.method, asked.target, told, body)

        return await self._filling.obtain(
            decision,
            asked.request,
            exchange.zone.origin,
            made,
            held,
            storable=storable,
            background=background,
        )

    async def _present(
        self,
        exchange: _Exchange,
        decision: Validate | Forward,
        held: Held | None,
        outcome: Outcome,
        how: CacheStatus,
    ) -> None:
        """Answers with an outcome."""
        if isinstance(outcome, Holds):
            await self._serve(exchange, outcome.held, replace(how, fwd_status=304))
        elif isinstance(outcome, Kept):
            how = replace(how, stored=True)
            if isinstance(decision, Validate):  # the client's own conditions were not sent on
                await self._serve(exchange, outcome.held, how)
            else:
                await self._stream_kept(exchange, outcome, how)
        elif isinstance(outcome, Failed):
            await self._after_failure(exchange, held, outcome, how)
        else:
            await self._say.reply(
                exchange.send, outcome.reply, passed_on(outcome.reply, self._rules.hidden), how
            )

    async def _after_failure(
        self, exchange: _Exchange, held: Held | None, outcome: Failed, how: CacheStatus
    ) -> None:
        """What is stale, if that may be given now; else the error."""
        request, now = exchange.asked.request, self._now()
        if held is not None and after_failure(
            held.entry, now, self._rules, status=outcome.status, asked=of_request(request.fields)
        ):
            if outcome.reply is not None:
                await outcome.reply.close()
            how = replace(how, fwd_status=outcome.status, ttl=int(ttl(held.entry, now)))
            await self._serve(exchange, held, how)
        elif outcome.reply is not None:
            await self._say.reply(
                exchange.send, outcome.reply, passed_on(outcome.reply, self._rules.hidden), how
            )
        else:
            assert outcome.error is not None
            code = "upstream_late" if outcome.error.late else "bad_upstream"
            problem = Problem(code, "The origin gave no answer. Try again soon.", detail=str(outcome.error))
            log.warning("%s %s: %s", problem.id, request.uri, outcome.error)
            await self._say.problem(
                exchange.send, problem, error=outcome.error.error, how=how, head=request.method == "HEAD"
            )

    async def _serve(self, exchange: _Exchange, held: Held, how: CacheStatus) -> None:
        """Answers with what is held."""
        made: Answer = answer(exchange.asked.request, held.entry, self._now(), self._rules)
        await self._say.held(exchange.send, made, held, how)

    async def _stream_kept(self, exchange: _Exchange, kept: Kept, how: CacheStatus) -> None:
        """The first client's answer: its head as it came, its body as it comes."""
        fields = passed_on(kept.reply, self._rules.hidden)
        await self._say.held(exchange.send, Answer(kept.reply.status, fields, None), kept.held, how)

    def _renew(self, exchange: _Exchange, held: Held, decision: Validate | Forward) -> None:
        """Asks for what is stale behind the client's back, once at a time."""
        if held in self._renewing:
            return
        task = self._renewing[held] = asyncio.create_task(self._renewed(exchange, held, decision))
        task.add_done_callback(lambda _: self._renewing.pop(held, None))

    async def _renewed(self, exchange: _Exchange, held: Held, decision: Validate | Forward) -> None:
        try:
            outcome = await self._obtain(exchange, decision, held, background=True)
            if isinstance(outcome, Passed | Failed) and outcome.reply is not None:
                await outcome.reply.close()
        except Exception:  # nobody waits for it
            log.exception("%s could not be renewed", exchange.asked.request.uri)


def _held(found: Sequence[Held], entry: object) -> Held:
    return next(held for held in found if held.entry is entry)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """A request's body as it comes. Left."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
