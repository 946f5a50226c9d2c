"""What this worker knows to be revoked, how old that knowledge is, and the long poll that keeps it young.

Fail closed for access, open for what was granted, each with a limit (SECURITY 3.4): with a feed older
than NEW_SESSIONS_S no session begins here, older than RUNNING_SESSIONS_S none goes on. Losing the feed
never un-revokes. A worker that starts takes over what the others of its node heard (`heard`), as old as it
is, and reads on from there. Ages are of the monotonic clock.
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from edge.deliver.heard import Heard
from edge.deliver.keys_clock import KeysClock
from keys.leases import Lease
from keys.pace import Pace
from keys.problems import Problem
from keys.revocation import Feed, RevocationSet
from keys.tokens import SESSION_ISSUER

NEW_SESSIONS_S: Final = 60.0
RUNNING_SESSIONS_S: Final = 15 * 60.0
WAIT_S: Final = 5.0  # how long keys may hold a poll: a way that swallows answers is noticed in eight (F14)
LONGEST_PAUSE_S: Final = 5.0
MOST_SHARED: Final = 8000  # entries: writing down more would hold up others

log = logging.getLogger("sluice.edge.revocations")


class GivesRevocations(Protocol):
    """Who is asked (`keys.client`)."""

    async def revocations(self, after: int, wait_s: float, trust: str | None = None) -> Feed:
        """What is new after a version, or a trust of another mark. Problem when keys cannot be asked."""
        ...


class Revocations:
    """The set, and the task that feeds it."""

    def __init__(
        self,
        keys: GivesRevocations,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        running_sessions_s: float = RUNNING_SESSIONS_S,
        wait_s: float = WAIT_S,
        shared: Heard | None = None,
        keys_clock: KeysClock | None = None,
        refresh_trust: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`now` is wall time, `clock` monotonic, and the same for all workers that share `shared`.

        `keys_clock` is told keys' time; `refresh_trust` is called when keys believes others than before.
        """
        self.revoked = RevocationSet()
        self._keys = keys
        self._now = now
        self._clock = clock
        self._running_s = running_sessions_s
        self._wait_s = wait_s
        self._shared = shared
        self._told: tuple[int, bytes] = (-1, b"")  # version and text of what is shared
        self._heard: float | None = None  # clock at the last answer
        self.keys_clock = keys_clock or KeysClock(now, clock)
        self._refresh_trust = refresh_trust
        self._trust = ""  # the mark of the trust this worker has
        self.on_news: Callable[[], None] | None = None  # called when something was taken back, or lifted
        self.known = asyncio.Event()  # set at the first answer

    def check(
        self,
        *,
        sid: str | None = None,
        lid: str | None = None,
        viewer: str | None = None,
        asset: str | None = None,
        signer: tuple[str, str] | None = None,
        issued: tuple[str, float] | None = None,
    ) -> None:
        """Problem revoked when one of these names was taken back (`keys.revocation`)."""
        kind = self.revoked.find(
            now=self._now(), sid=sid, lid=lid, viewer=viewer, asset=asset, signer=signer, issued=issued
        )
        if kind is not None:
            raise Problem("revoked", detail=f"by {kind}")

    def concerns(self, lease: Lease) -> bool:
        """Whether the session of a lease was taken back, by any of its names."""
        now, of = self._now(), (lease.tenant, lease.opened)
        named = {"sid": lease.sid, "lid": lease.lid, "viewer": lease.viewer, "asset": lease.asset}
        site, own = (lease.iss, lease.kid), (SESSION_ISSUER, lease.token_kid)
        found = self.revoked.find(now=now, **named, signer=site, issued=of)
        return found is not None or self.revoked.find(now=now, signer=own) is not None

    def pace_of(self, lease: Lease) -> Pace:
        """The pace of a session: its lease's, or real time for who is slowed (`keys.ripping`)."""
        name = lease.lid if lease.viewer is None else lease.viewer
        return lease.pace.cautious() if self.revoked.slows(name, self._now()) else lease.pace

    def age_s(self) -> float:
        """Seconds since keys was last heard; without end before the first time."""
        return self._age()

    def may_open(self) -> None:
        """Problem unavailable when the feed is too old, or the clock too far off, for a session to begin."""
        self._young_enough(NEW_SESSIONS_S)
        self.keys_clock.may_open()

    def may_go_on(self) -> None:
        """Problem unavailable when the feed is too old for a session to go on."""
        self._young_enough(self._running_s)

    def missing(self) -> str | None:
        """For health: why no running session may go on, or None."""
        return self._too_old(self._running_s)

    def missing_for_new(self) -> str | None:
        """For health: why no session may begin, or None."""
        return self._too_old(NEW_SESSIONS_S) or self.keys_clock.missing_for_new()

    async def run(self) -> None:
        """Polls until cancelled; after trouble with growing pauses, jittered so that workers spread out."""
        self._adopt()
        pause = wait_s = 0.0  # the first answer must not be held: it says where we stand
        while True:
            try:
                await self.poll(wait_s)
                pause, wait_s = 0.0, self._wait_s
            except Problem as problem:
                log.warning("revocation feed: %s", problem.detail or problem.code)
                pause, wait_s = min(LONGEST_PAUSE_S, max(0.25, 2 * pause)), 0.0
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def poll(self, wait_s: float = 0.0) -> None:
        """Asks once, to be held up to `wait_s`, and takes the answer in; at a gap, asks for everything."""
        feed = await self._keys.revocations(self.revoked.version, wait_s, self._trust)
        if not self.revoked.apply(feed):
            log.warning("a gap in the revocation feed: reading it from the start")
            self.revoked.apply(await self._keys.revocations(0, 0))
        self.revoked.forget(feed.now)  # keys' clock: this node's own may be wrong (SECURITY F24)
        if feed.entries and self.on_news is not None:
            self.on_news()
        self._heard = self._clock()
        self.keys_clock.heard(feed.now)
        self.known.set()
        self._share(feed.now, self._heard)
        if feed.trust != self._trust:
            if self._trust and self._refresh_trust is not None:  # at the first answer it is asked for anyway
                await self._refresh_trust()
            self._trust = feed.trust

    def _adopt(self) -> None:
        """At the start: what the others of this node heard of keys."""
        found = self._shared.get(self._clock()) if self._shared is not None else None
        if found is None or self._heard is not None:
            return
        text, self._heard = found
        self.revoked.apply(Feed.from_json(json.loads(text)))
        self.known.set()

    def _share(self, now: float, heard: float) -> None:
        """Tells the others all that is revoked, as it was heard. Too much of it is not shared."""
        if self._shared is None:
            return
        version = self.revoked.version
        if self._told[0] != version:
            few = len(self.revoked) <= MOST_SHARED
            text = json.dumps(self.revoked.feed(now).to_json(), separators=(",", ":")) if few else ""
            self._told = (version, text.encode())
        self._shared.put(self._told[1], heard, version)

    def _age(self) -> float:
        return float("inf") if self._heard is None else self._clock() - self._heard

    def _young_enough(self, limit_s: float) -> None:
        reason = self._too_old(limit_s)
        if reason is not None:
            raise Problem("unavailable", "Try again in a moment.", detail=f"revocation feed: {reason}")

    def _too_old(self, limit_s: float) -> str | None:
        if self._heard is None:
            return "keys has not answered yet"
        return None if self._age() <= limit_s else f"keys was last heard {self._age():.0f} s ago"
