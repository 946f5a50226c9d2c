"""A zone's requests over raw ASGI: look up, decide, ask the origin where that is called for, answer.

What is fresh is served at once; what may be stale is served while one request renews it. Of requests that
miss together one asks the origin; the others wait for the head of its answer, then read the body as it comes
if the answer is one for them, or ask for themselves. A URI whose answers are no one else's is
remembered for a while: nobody waits for those (hit-for-miss).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from edge.deliver.clients import Network
from edge.http.answer import Answer, answer
from edge.http.directives import of_request
from edge.http.freshness import after_failure, ttl
from edge.http.invalidation import SAFE
from edge.http.partial import aligned, without_noise
from edge.http.reuse import Forward, Fresh, GatewayTimeout, Stale, Validate, decide
from edge.http.status import CacheStatus, loops
from edge.zone.at_once import LONGEST
from edge.zone.filling import Filling
from edge.zone.forwarding import Incoming, hops_left, incoming, passed_on, told
from edge.zone.leaving import body_of, unless_left
from edge.zone.outcomes import Failed, Holds, Kept, Outcome, Passed
from edge.zone.remembered import Remembered
from edge.zone.renewing import Renewals
from edge.zone.saying import Saying
from edge.zone.seen import Seen
from edge.zone.sliced import Other, Refusal
from edge.zone.spread import in_block
from edge.zone.store import Held, Store, held_of
from edge.zone.together import Together
from edge.zone.upstream import Asked, BrokenOff, NoAnswer, Reply
from edge.zone.zone import Zone, find
from keys.problems import Problem

SHARED: Final = frozenset({"uri-miss", "vary-miss", "stale"})  # reasons for which others are asked first
UNSHARED_S: Final = 60.0  # for which a URI is remembered as one whose answers are not kept
UNSHARED_MOST: Final = 10_000
ANEW: Final = 2  # so often what turned out to have changed is looked up again

log = logging.getLogger("sluice.zone")


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
        *,
        name: str,
        now: Callable[[], float],
        trusted: Sequence[Network] = (),
        seen: Seen | None = None,
    ) -> None:
        self._zones, self._filling, self._store = zones, filling, store
        self._name, self._now, self._trusted = name, now, trusted
        self._seen = seen or Seen()
        self._say = Saying(name)
        self._together = Together()
        self._renewals = Renewals()
        self._unshared = Remembered(UNSHARED_MOST, UNSHARED_S, now)  # their answers are not kept

    async def close(self) -> None:
        """Ends renewals."""
        await self._renewals.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request of a plain edge."""
        zone = find(self._zones, scope["raw_path"])
        if zone is None:
            problem = Problem("not_found", "No zone answers for this path.")
            await self._say.problem(send, problem, head=scope["method"] == "HEAD")
            return
        await self.serve(zone, incoming(scope, zone.origins[0]), receive, send)

    async def serve(self, zone: Zone, asked: Incoming, receive: Receive, send: Send) -> None:
        """Answers one request of this zone."""
        head = asked.request.method == "HEAD"
        if loops(asked.request.fields, self._name):  # RFC 8586 §2
            problem = Problem("loop", "This request has been here before: a zone's origin leads back.")
            await self._say.problem(send, problem, error="proxy_loop_detected", head=head)
            return
        if hops_left(asked.request) == 0:
            await self._say.last_hop(send, asked.request.method)
            return
        exchange = _Exchange(zone, asked, receive, send)
        if asked.request.method not in ("GET", "HEAD"):
            await self._pass(exchange, Forward("method"), None)
        elif asked.has_body:  # what it means is the origin's alone to know
            await self._pass(exchange, Forward("bypass"), None, storable=False)
        else:
            asked = replace(asked, request=without_noise(asked.request))
            await self._get(_Exchange(zone, asked, receive, send))

    async def _get(self, exchange: _Exchange) -> None:
        """GET or HEAD. What has changed under us is asked for anew, as long as nothing was sent."""
        how = CacheStatus(fwd="partial")
        try:
            for _ in range(ANEW):
                try:
                    await self._answer(exchange)
                    return
                except Other as other:
                    log.info("%s: %s", exchange.asked.request.uri, other)
        except Refusal as refusal:
            log.info("%s: %s", exchange.asked.request.uri, refusal)
        except NoAnswer as error:
            await self._no_answer(exchange, error, how)
            return
        await self._pass(exchange, Forward("partial"), None, storable=False)

    async def _answer(self, exchange: _Exchange) -> None:
        """GET or HEAD."""
        request, looked = exchange.asked.request, False
        waited = ""  # why it would have asked the origin, had nobody else
        while True:
            now = self._now()
            self._store.doubt(request.uri, exchange.asked.node.doubted)
            found = self._store.get(request.uri)
            decision = decide(request, [held.entry for held in found], now, exchange.zone.rules)
            if isinstance(decision, GatewayTimeout):
                await self._not_stored(exchange)
                return
            if isinstance(decision, Fresh | Stale):
                held = held_of(found, decision.entry)
                left = int(ttl(held.entry, now))
                if isinstance(decision, Stale):
                    self._renewals.begin(held, partial(self._renew, exchange, held, decision.renew))
                how = CacheStatus(hit=True, ttl=left, detail="l2" if looked else None)
                if waited:
                    how = CacheStatus(fwd=waited, collapsed=True, ttl=left)
                    self._seen.count("zone_collapsed", 1, exchange.zone.name)
                self._seen.count("zone_hits", 1, exchange.zone.name)
                await self._serve(exchange, held, how)
                return
            asking = None if waited else self._together.get(request.uri)
            entry = decision.entry
            held_entry = None if entry is None else held_of(found, entry)
            if asking is None:
                looked = await self._pass(exchange, decision, held_entry, tried=bool(waited), look=not looked)
                if not looked:
                    return
                continue
            await asking.joined(exchange.receive)
            waited = "" if asking.elsewhere else decision.reason
            if asking.unanswered is not None:  # nobody waits for it twice
                how = CacheStatus(fwd=decision.reason, collapsed=True)
                await self._after_failure(exchange, held_entry, asking.unanswered, how)
                return

    async def _pass(
        self,
        exchange: _Exchange,
        decision: Validate | Forward,
        held: Held | None,
        *,
        storable: bool = True,
        tried: bool = False,
        look: bool = False,
    ) -> bool:
        """Asks the origin and answers with what comes of it. True: another had it meanwhile (`look`)."""
        request, zone = exchange.asked.request, exchange.zone
        uri = request.uri
        unshared = not storable or uri in self._unshared
        mine = None if unshared else self._together.begin(request)
        turn, outcome = None, None
        try:
            if mine is not None and look and decision.reason in SHARED:
                turn = await self._filling.turn(request, zone, held)
                if isinstance(turn, Held):
                    mine.elsewhere = True
                    return True
            self._seen.count("zone_misses", 1, zone.name)
            obtaining = self._obtain(exchange, decision, held, storable=storable)
            if exchange.asked.has_body or request.method not in SAFE:
                outcome = await obtaining
            else:
                outcome = await unless_left(obtaining, exchange.receive, mine)
            if mine is not None:
                mine.came(outcome)
        finally:
            if mine is not None:
                self._together.end(uri, mine)
            if not isinstance(turn, Held):
                self._filling.settle(turn, zone, outcome, held)
        self._remember(uri, outcome, decision)
        how = CacheStatus(fwd=decision.reason, collapsed=False if tried else None)
        await self._present(exchange, decision, held, outcome, how)
        return False

    def _remember(self, uri: str, outcome: Outcome, decision: Validate | Forward) -> None:
        if isinstance(outcome, Passed) and outcome.reason is not None and outcome.reason.lasting:
            if decision.reason != "method":
                self._unshared.add(uri)
        elif isinstance(outcome, Kept):
            self._unshared.discard(uri)

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
        return await self._filling.obtain(
            decision,
            asked.request,
            exchange.zone,
            partial(self._sent, exchange, interim=not background),
            held,
            storable=storable,
            background=background,
            wanted=aligned(asked.request) if storable and asked.request.uri not in self._unshared else None,
        )

    def _sent(
        self, exchange: _Exchange, fields: list[tuple[bytes, bytes]], *, interim: bool = False
    ) -> Asked:
        """The request with these fields, as it goes to the origin; `interim`: its 1xx are for the client."""
        asked, tell = exchange.asked, None
        body = body_of(exchange.receive) if asked.has_body else None
        sent = told(exchange.zone, asked, fields, self._name, self._trusted)
        if interim and asked.interim:
            tell = partial(self._say.interim, exchange.send, exchange.zone.rules.hidden)
        return Asked(asked.request.method, asked.target, sent, body, tell)

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
            # The client's own conditions, or its Range, were not sent on, or the origin ignored the Range
            asked = in_block(exchange.asked, outcome.held)
            cut = aligned(asked) is not None or outcome.reply.status == 206
            if isinstance(decision, Validate) or (cut and outcome.held.entry.status == 200):
                await self._serve(exchange, outcome.held, how)
            else:
                await self._stream_kept(exchange, outcome, how)
        elif isinstance(outcome, Failed):
            await self._after_failure(exchange, held, outcome, how)
        else:
            await self._pass_on(exchange, outcome.reply, how)

    async def _pass_on(self, exchange: _Exchange, reply: Reply, how: CacheStatus) -> None:
        """Answers with what is not kept. BrokenOff."""
        try:
            fields = passed_on(reply, exchange.zone.rules.hidden)
            await self._say.reply(exchange.send, reply, fields, how)
        except BrokenOff as error:
            log.warning("an answer for %s broke off: %s", exchange.asked.request.uri, error)
            raise

    async def _after_failure(
        self, exchange: _Exchange, held: Held | None, outcome: Failed, how: CacheStatus
    ) -> None:
        """What is stale, if that may be given now; else the error."""
        request, now = exchange.asked.request, self._now()
        if held is not None and after_failure(
            held.entry, now, exchange.zone.rules, status=outcome.status, asked=of_request(request.fields)
        ):
            if outcome.reply is not None:
                await outcome.reply.close()
            self._seen.count("zone_stale_after_error", 1, exchange.zone.name)
            how = replace(how, fwd_status=outcome.status, ttl=int(ttl(held.entry, now)))
            await self._serve(exchange, held, how)
        elif outcome.reply is not None:
            await self._pass_on(exchange, outcome.reply, how)
        else:
            assert outcome.error is not None
            await self._no_answer(exchange, outcome.error, how)

    async def _no_answer(self, exchange: _Exchange, error: NoAnswer, how: CacheStatus) -> None:
        request = exchange.asked.request
        code = "upstream_late" if error.late else "bad_upstream"
        if error.error == "destination_unavailable":  # RFC 9209 §2.3.4: 503
            code = "unavailable"
        said = "The origin gave no answer. Try again soon."
        problem = Problem(code, said, detail=str(error), retry_after_s=error.retry_after_s)
        log.warning("%s %s: %s", problem.id, request.uri, error)
        await self._say.problem(
            exchange.send, problem, error=error.error, how=how, head=request.method == "HEAD"
        )

    async def _serve(self, exchange: _Exchange, held: Held, how: CacheStatus) -> None:
        """Answers with what is held. Other, Refusal, NoAnswer when what is missing of it does not come."""
        made = answer(in_block(exchange.asked, held), held.entry, self._now(), exchange.zone.rules)
        await self._send_held(exchange, made, held, how)

    async def _stream_kept(self, exchange: _Exchange, kept: Kept, how: CacheStatus) -> None:
        """The first client's answer: its head as it came, its body as it comes."""
        fields = passed_on(kept.reply, exchange.zone.rules.hidden)
        await self._send_held(exchange, Answer(kept.reply.status, fields, None), kept.held, how)

    async def _send_held(self, exchange: _Exchange, made: Answer, held: Held, how: CacheStatus) -> None:
        whole = held.body.whole(LONGEST) if made.spans is None and how.hit else None
        if whole is not None:
            await self._say.whole(exchange.send, made, whole, held, how)
            return
        request, sent = exchange.asked.request, partial(self._sent, exchange)
        read = partial(self._filling.reading, held, request, exchange.zone, sent)
        only_stored = how.hit and of_request(request.fields).only_if_cached
        if not await self._say.held(exchange.send, made, read, how, held, only_stored=only_stored):
            await self._not_stored(exchange)

    async def _not_stored(self, exchange: _Exchange) -> None:
        problem = Problem("not_stored", "Only what is stored was asked for, and this is not.")
        await self._say.problem(exchange.send, problem, head=exchange.asked.request.method == "HEAD")

    async def _renew(self, exchange: _Exchange, held: Held, decision: Validate | Forward) -> None:
        request, zone, outcome = exchange.asked.request, exchange.zone, None
        turn = await self._filling.turn(request, zone, held)
        if isinstance(turn, Held):
            return
        try:
            outcome = await self._obtain(exchange, decision, held, background=True)
        finally:
            self._filling.settle(turn, zone, outcome, held)
        if isinstance(outcome, Passed | Failed) and outcome.reply is not None:
            await outcome.reply.close()
