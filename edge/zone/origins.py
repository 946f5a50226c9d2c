"""A zone's origins: which of them answers a request (SECURITY F1, F2, F6, F32).

They are asked in the zone's order (of several shields in that of `spread`), past those that are away. The
next one is asked when no connection to one could be made, which costs nobody anything; and, for a GET or HEAD
without a body, when one gave no answer or a gateway error, within the retry budget. Going past a shield that
gave no answer is free, as it is no origin and soon known to be away; one that was silent may be at work on
it, so no further shield is asked. Anything else is sent to one origin at most. All connections that are
tried take FAILOVER_S together. Redirects are answers as any others: nobody here follows one.
"""

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from edge.cache.breaker import Outage, PrivateOutage
from edge.http.fields import get
from edge.zone.budget import Budget
from edge.zone.health import GATEWAY, Health, Standing, order
from edge.zone.seen import Seen
from edge.zone.spread import places
from edge.zone.upstream import CONNECT_S, Asked, NoAnswer, Reply, Upstream
from edge.zone.zone import FIRST_BYTE_S, Origin, Zone
from keys.problems import retry_after

FAILOVER_S: Final = 3.0
HASTE_S: Final = 0.5  # that a shield has for its head when most of that is gone
_OURS: Final = frozenset({"connection_limit_reached", "http_protocol_error"})  # do not make an origin away

_STATES: Final = {
    Standing.READY: "ready",
    Standing.RESTING: "resting",
    Standing.PROBE: "away",
    Standing.AWAY: "away",
}

log = logging.getLogger("sluice.zone")


Outages = Callable[[Origin], Outage]


def alone(_: Origin) -> Outage:
    """For a worker that knows of no other."""
    return PrivateOutage()


class Origins:
    """Asks the origins of zones, and knows how each of them is. `now` is monotonic seconds."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        seen: Seen | None = None,
        now: Callable[[], float] = time.monotonic,
        outage: Outages = alone,
    ) -> None:
        """`outage` gives what the workers of a node know together of an origin."""
        self._upstream, self._now, self._outage = upstream, now, outage
        self._seen = seen or Seen()
        self._health: dict[Origin, Health] = {}
        self._budgets: dict[tuple[Origin, ...], Budget] = {}

    def health(self, origin: Origin) -> Health:
        """How it is."""
        found = self._health.get(origin)
        if found is None:
            found = self._health[origin] = Health(self._now, self._outage(origin))
        return found

    def state(self, origin: Origin) -> str:
        """How it is, to operators: ready, resting or away. Of one that was never asked: ready."""
        known = self._health.get(origin)
        return _STATES[Standing.READY if known is None else known.standing()]

    async def close(self) -> None:
        """Closes the connections."""
        await self._upstream.close()

    async def ask(self, zone: Zone, asked: Asked, *, stale: bool = False) -> Reply:
        """The answer of the zone, its head read. NoAnswer; what the request's body raises.

        `stale`: something stale could be served instead, so an origin that needs a rest is left alone.
        """
        repeatable = asked.body is None and asked.method in ("GET", "HEAD")
        budget = self._budget(zone)
        budget.request(self._now())
        began = self._now()
        asking = places(zone, asked)
        healths = [self.health(origin) for origin in asking]
        standings = [health.standing() for health in healths]
        trouble: Reply | None = None  # an answer that is given if there is no better one
        failed: NoAnswer | None = None
        sent = silent = False
        try:
            for index in order(standings, repeatable=repeatable, stale=stale):
                origin, health = asking[index], healths[index]
                if origin.shield_of and silent:
                    continue
                if sent and not budget.repeat(self._now()):
                    self._seen.count("zone_retries_refused", 1, zone.name)
                    break
                if not health.begin():
                    continue
                if failed is not None or trouble is not None:
                    self._seen.count("zone_retries" if sent else "zone_failovers", 1, zone.name)
                try:
                    connect_s, first_byte_s = FAILOVER_S / len(asking), zone.first_byte_s
                    if stale:  # a patient zone is so for those who have nothing else
                        first_byte_s = min(first_byte_s, FIRST_BYTE_S)
                    if origin.shield_of:
                        left_s = max(HASTE_S, FAILOVER_S - (self._now() - began))
                        connect_s, first_byte_s = min(left_s, connect_s), min(left_s, first_byte_s)
                    reply = await self._one(
                        zone, origin, asked, connect_s, first_byte_s if repeatable else None
                    )
                except NoAnswer as error:
                    failed = error
                    silent = silent or (error.sent and error.late)
                    sent = sent or (error.sent and not (origin.shield_of and repeatable))
                    if sent and not repeatable:
                        break
                    continue
                if trouble is not None:
                    await trouble.close()
                    trouble = None
                if reply.status not in GATEWAY or not repeatable:
                    return reply
                trouble, sent = reply, True
        except BaseException:
            if trouble is not None:
                await trouble.close()
            raise
        if trouble is not None:
            return trouble
        soonest = min(self.health(origin).asked_again_in_s() for origin in asking)
        if failed is None:
            self._seen.count("zone_unavailable", 1, zone.name)
            failed = NoAnswer("destination_unavailable", "no origin of the zone can be asked now")
        failed.retry_after_s = max(1, math.ceil(soonest))
        raise failed

    async def check(self, zone: Zone, origin: Origin) -> None:
        """A health check of one origin: it is well when the zone's health path is there."""
        assert zone.health_path is not None
        health = self.health(origin)
        if not health.begin():
            return
        fields = [(b"user-agent", b"sluice-health-check")]
        if zone.host_header:
            fields.append((b"host", zone.host_header.encode("ascii")))
        try:
            reply = await self._one(
                zone,
                origin,
                Asked("GET", zone.health_path.encode(), fields),
                FAILOVER_S / len(zone.origins),
                zone.first_byte_s,
            )
        except NoAnswer as error:
            well, said = False, str(error)
        else:
            well, said = reply.status < 400, str(reply.status)
            await reply.close()
        health.checked(well=well)
        if not well:
            self._seen.count("zone_checks_failed", 1, zone.name)
            log.warning("%s failed its health check: %s", _called(origin), said)

    async def _one(
        self, zone: Zone, origin: Origin, asked: Asked, connect_s: float, first_byte_s: float | None
    ) -> Reply:
        """Asks one origin, and remembers how that went. NoAnswer."""
        health = self.health(origin)
        self._seen.count("zone_origin_requests", 1, zone.name)
        asked_at = self._now()
        try:
            reply = await self._upstream.ask(
                origin,
                asked,
                connect_s=min(CONNECT_S, connect_s),
                first_byte_s=first_byte_s,
                private=zone.private or origin.is_address,
            )
        except NoAnswer as error:
            self._seen.count("zone_origin_errors", 1, zone.name)
            if error.error not in _OURS and health.failed():
                self._seen.count("zone_breaker_open", 1, zone.name)
                log.warning("%s is away: %s", _called(origin), error)
            raise
        self._seen.first_byte(zone.name, self._now() - asked_at)
        reply.came = partial(self._seen.came, zone.name)
        if health.standing() in (Standing.AWAY, Standing.PROBE):
            log.warning("%s is back", _called(origin))
        asks_for = get(reply.fields, b"retry-after")
        health.answered(reply.status, None if asks_for is None else retry_after(asks_for.decode("latin-1")))
        return reply

    def _budget(self, zone: Zone) -> Budget:
        found = self._budgets.get(zone.origins)
        if found is None:
            found = self._budgets[zone.origins] = Budget()
        return found


def _called(origin: Origin) -> str:
    return origin.authority.decode("ascii")
