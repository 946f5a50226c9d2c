"""Viewers are scored every EVERY_S seconds, and what a site wants done about rippers is done once.

What makes a ripper is for `keys.ripper`. `log` writes a line; `slow` gives the viewer media at real time, on
every edge within ten seconds and in sessions he opens later too, for as long as a session may last or until
an operator lifts it; `revoke` ends the sessions he has, and his links stay good.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keys import ripper
from keys.pace import Pace
from keys.revoking import Revoker
from keys.ripper import Verdict
from keys.sessions import Rules
from keys.store_rippers import Known, RipperStore, Who
from keys.store_sessions import SessionStore

EVERY_S: Final = 30.0
LOOK_BACK_S: Final = 30 * 60.0  # a session left for the next one still tells of its viewer
PAUSE_AFTER: Final = 100  # viewers, before others get a turn

LOG: Final = "log"
SLOW: Final = "slow"
REVOKE: Final = "revoke"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site does about viewers whose score comes to `score`. ValueError for what nobody can do."""

    action: str = LOG
    score: int = ripper.THRESHOLD

    def __post_init__(self) -> None:
        if self.action not in (LOG, SLOW, REVOKE) or not 1 <= self.score <= 100:
            raise ValueError("about rippers: log, slow or revoke, from a score of 1 to 100")


def devices_of(pace: Pace, rules: Rules) -> int:
    """How many devices a site means one viewer to use at once: what its pace feeds, or its streams say."""
    return max(ripper.DEVICES, math.ceil(pace.rate), rules.streams)


class Ripping:
    """Looks at all viewers and acts. `devices` is what one viewer may use at once."""

    def __init__(
        self,
        store: RipperStore,
        sessions: SessionStore,
        revoker: Revoker,
        policy: Policy,
        devices: int,
        count: Callable[[str], None],
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._revoker = revoker
        self._policy = policy
        self._devices = devices
        self._count = count

    async def look(self, now: float) -> None:
        """One look: scores are kept with the sessions, and who reached the policy's is dealt with."""
        found = await self._store.seen_since(now - LOOK_BACK_S, now)
        verdicts: dict[str, Verdict] = {}
        rippers: list[tuple[Who, Sequence[Known], Verdict]] = []
        for number, (who, known) in enumerate(found.items(), start=1):
            verdict = ripper.judge([one.course for one in known], now, self._devices)
            verdicts |= {one.course.sid: verdict for one in known if one.verdict != verdict}
            if verdict.score >= self._policy.score:
                rippers.append((who, known, verdict))
            if number % PAUSE_AFTER == 0:
                await asyncio.sleep(0)
        await self._store.rate(verdicts)
        for who, his, verdict in rippers:
            await self._act(who, his, verdict, now)

    async def _act(self, who: Who, known: Sequence[Known], verdict: Verdict, now: float) -> None:
        action, sids = self._policy.action, [one.course.sid for one in known]
        if not await self._store.claim(sids, action):
            return
        self._count("keys_rippers")
        why = " ".join(f"{name}={points}" for name, points in verdict.signals.items())
        log.warning(
            "ripper score=%d sessions=%d of session=%s action=%s %s",
            verdict.score,
            len(sids),
            sids[0],
            action,
            why,
        )
        if action == SLOW:
            await self._revoker.slow(who.name)
            self._count("keys_rippers_slowed")
        elif action == REVOKE:
            await self._end(who, now)
            self._count("keys_rippers_revoked")

    async def _end(self, who: Who, now: float) -> None:
        if who.viewer is not None:
            ended = await self._sessions.revoke_viewer(who.viewer, now)
        else:
            ended = await self._sessions.revoke_link(who.iss, who.link_id, now)
        await self._revoker.ended(ended)
