"""Whose tokens and whose media count here: the issuers and packagers that keys named last.

Asked every few minutes, and when an unknown key shows up: that may be a rotation this worker has not
heard of, or noise from a stranger, so asking again for its sake is rate limited. What one worker of a node
heard, the others take over from the memory they share (`heard`): a packager enrolled since is known to all
while keys is away, and to a worker that starts meanwhile (SECURITY F27). Verification is `keys.tokens`.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.deliver.heard import Heard
from keys.claims import BAD_ISSUER, Claims, Refused
from keys.jwk import read_public
from keys.problems import Problem
from keys.tokens import Trust, VerifiedTokens

EVERY_S: Final = 120.0
AFTER_TROUBLE_S: Final = 0.1  # doubled up to LONGEST_PAUSE_S: a worker that starts must not wait long
LONGEST_PAUSE_S: Final = 5.0
GAP_S: Final = 10.0  # between two askings for the sake of an unknown key in a token: anybody can make one
PACKAGER_GAP_S: Final = 1.0  # the same for a packager's key: only an origin we trust can show one

log = logging.getLogger("sluice.edge.trust")


class GivesTrust(Protocol):
    """Who is asked (`keys.client`)."""

    async def trust(self) -> Mapping[str, Any]:
        """The answer of `GET /v1/trust`. Problem unavailable when keys cannot be asked."""
        ...


class TrustedTokens:
    """Verified tokens under the trust of the moment. Before the first answer of keys it trusts nobody."""

    def __init__(
        self,
        keys: GivesTrust,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        every_s: float = EVERY_S,
        gap_s: float = GAP_S,
        shared: Heard | None = None,
    ) -> None:
        """`now` is wall time, `clock` monotonic, and the same for all workers that share `shared`."""
        self._keys = keys
        self._now = now
        self._clock = clock
        self._every_s = every_s
        self._gap_s = gap_s
        self._tokens = VerifiedTokens(Trust(()), keep_raw=False)
        self._packagers: tuple[Ed25519PublicKey, ...] = ()
        self.known = asyncio.Event()  # set at the first answer of keys
        self._shared = shared
        self._asked = float("-inf")
        self._taken = float("-inf")  # clock when keys was asked for what is trusted now
        self._refreshing: asyncio.Task[None] | None = None

    def missing(self) -> str | None:
        """For health: why no token can be checked, or None."""
        return None if self.known.is_set() else "keys has not answered yet"

    async def verify(self, text: str, uri: str) -> Claims:
        """The claims of a token that allows `uri` now. A Problem with the code its viewer may know if not."""
        if not self.known.is_set() and not self._adopt():
            raise Problem("unavailable", "Starting. Try again in a moment.", detail="no trust yet")
        try:
            return self._tokens.verify(text, uri, self._now())
        except Refused as refused:
            if refused.reason != BAD_ISSUER:
                raise refused.problem() from refused
            if not self._adopt() and not await self._ask_for_unknown_key(self._gap_s):
                raise refused.problem() from refused
        try:
            return self._tokens.verify(text, uri, self._now())
        except Refused as refused:
            raise refused.problem() from refused

    def packagers(self) -> Sequence[Ed25519PublicKey]:
        """Whose signatures on descriptors and digest lists count."""
        self._adopt()
        return self._packagers

    async def refresh(self) -> None:
        """Asks keys now. Problem when that fails; what was trusted stays so."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)  # others may be waiting for it too

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()  # seen: those who asked may all have left

    async def _refresh(self) -> None:
        self._asked = asked = self._clock()
        fields = await self._keys.trust()
        self._take(fields, asked)
        if self._shared is not None:
            kept = {name: fields[name] for name in ("issuers", "packagers")}
            self._shared.put(json.dumps(kept, separators=(",", ":")).encode(), asked)

    def _adopt(self) -> bool:
        """Takes over what another worker heard of keys later than this one; whether it did."""
        found = self._shared.get(self._clock(), self._taken) if self._shared is not None else None
        if found is None:
            return False
        text, asked = found
        self._take(json.loads(text), asked)
        return True

    def _take(self, fields: Mapping[str, Any], asked: float) -> None:
        if asked < self._taken:
            return  # a later answer was taken over meanwhile
        try:
            trust = Trust.from_json(fields)
            packagers = tuple(_ed25519(jwk) for jwk in fields["packagers"])
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise Problem("bad_upstream", detail=f"trust of the wrong shape: {exc!r}") from exc
        self._tokens.set_trust(trust)
        self._packagers, self._taken = packagers, asked
        self.known.set()

    async def refresh_soon(self) -> None:
        """Asks keys because of an unknown packager, a moment after it was last asked. Never a Problem.

        It may have been enrolled just since then: who starts a system publishes in the next second.
        """
        gap_s = min(PACKAGER_GAP_S, self._gap_s)
        early_s = self._asked + gap_s - self._clock()
        if self._refreshing is None and early_s > 0:
            await asyncio.sleep(early_s)
        await self._ask_for_unknown_key(gap_s)

    async def run(self) -> None:
        """Asks every few minutes until cancelled. What a worker beside this one heard counts meanwhile."""
        self._adopt()
        pause = AFTER_TROUBLE_S
        while True:
            try:
                await self.refresh()
                pause = AFTER_TROUBLE_S
                await asyncio.sleep(self._every_s)
            except Problem as problem:
                log.warning("trust not refreshed: %s", problem.detail or problem.code)
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)

    async def _ask_for_unknown_key(self, gap_s: float) -> bool:
        """Whether the trust was asked for again; not twice within the gap. One under way is waited for."""
        if self._refreshing is None and self._clock() - self._asked < gap_s:
            return False
        try:
            await self.refresh()
        except Problem as problem:
            log.warning("trust not refreshed: %s", problem.detail or problem.code)
            return False
        return True


def _ed25519(jwk: Mapping[str, object]) -> Ed25519PublicKey:
    key = read_public(jwk)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a packager signs with Ed25519")
    return key
