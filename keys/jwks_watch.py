"""The keys of sites that publish them: fetched from their address again and again, so that they may rotate.

A key is believed as soon as it is in the set, and no longer than it is. A site that does not answer, or
answers nonsense, keeps the keys it had for KEPT_S; after that, none of its links opens until it answers. The
addresses are the operator's, in the issuers file, and nothing leads away from them: redirects are refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import httpx

from keys.issuers import Issuers
from keys.jwks import MAX_BYTES, read_jwks
from keys.jws import VerifyKey

EVERY_S: Final = 60.0
GAP_S: Final = 10.0  # between two fetches for the sake of an unknown key
PATIENCE_S: Final = 2.0  # of somebody who asks for that sake
TIMEOUT_S: Final = 5.0
KEPT_S: Final = 24 * 3600.0

Fetch = Callable[[str], Awaitable[bytes]]

log = logging.getLogger(__name__)


async def fetch(url: str) -> bytes:
    """The body at an address. ValueError for anything but a 200 of at most MAX_BYTES; httpx.HTTPError."""
    data = bytearray()
    async with (
        httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, headers={"accept": "application/jwk-set+json"}) as answer,
    ):
        if answer.status_code != 200:
            raise ValueError(f"status {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > MAX_BYTES:
                raise ValueError("a key set that is too large")
    return bytes(data)


class JwksWatch:
    """Keeps the keys of these issuers as they are published. `sources`: {iss: URL}; `clock` is monotonic."""

    def __init__(
        self, issuers: Issuers, sources: Mapping[str, str], clock: Callable[[], float], fetch: Fetch = fetch
    ) -> None:
        self._issuers = issuers
        self._sources = sources
        self._clock = clock
        self._fetch = fetch
        self._good: dict[str, float] = {}  # when each site last answered well
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Fetches every minute, until cancelled."""
        while self._sources:
            await self.refresh()
            await asyncio.sleep(EVERY_S)

    async def refresh_soon(self) -> None:
        """Fetches because a key is unknown, unless that was just done. Waits for PATIENCE_S at most."""
        if not self._sources or (self._asking is None and self._clock() - self._asked < GAP_S):
            return
        await asyncio.wait({self._start()}, timeout=PATIENCE_S)

    async def refresh(self) -> None:
        """Fetches all sets now, one for all who ask meanwhile. Trouble is logged."""
        await asyncio.shield(self._start())

    def _start(self) -> "asyncio.Task[None]":
        if self._asking is None:
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._refresh())
            self._asking.add_done_callback(self._done)
        return self._asking

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if not task.cancelled() and (error := task.exception()):
            log.error("key sets cannot be read", exc_info=error)

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._one(iss, url) for iss, url in self._sources.items()))

    async def _one(self, iss: str, url: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = read_jwks(await self._fetch(url))
        except (ValueError, OSError, httpx.HTTPError) as exc:  # TimeoutError is an OSError
            log.warning("key set of issuer %s: %s %s", iss, type(exc).__name__, exc)
            if iss in self._good and self._clock() - self._good[iss] > KEPT_S:
                del self._good[iss]
                self._issuers.set_keys(iss, ())
            return
        self._good[iss] = self._clock()
        self._told(iss, self._issuers.set_keys(iss, keys), keys)

    @staticmethod
    def _told(iss: str, before: tuple[VerifyKey, ...], after: tuple[VerifyKey, ...]) -> None:
        old, new = ({key.kid for key in keys} for keys in (before, after))
        if old != new:
            log.info("issuer %s: new keys %s, gone %s", iss, sorted(new - old), sorted(old - new))
