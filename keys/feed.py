"""How revocations reach the edges: a long poll over the log, in one process or in several with one database.

A revocation made in this process wakes the waiting polls at once; one made in another is found by looking
at the database once a second. Also keeps this process's own `RevocationSet` up to date. A poll says which
trust its edge has (a mark), and is answered as soon as that is another: so edges hear of rotated keys.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Protocol

from keys.revocation import Entry, Feed, RevocationSet

LOOK_EVERY_S: Final = 1.0
LONGEST_WAIT_S: Final = 25.0

log = logging.getLogger(__name__)


class Log(Protocol):
    """What this module needs of a store; `keys.stores.RevocationStore` fits."""

    async def version(self) -> int:
        """The newest version."""
        ...

    async def after(self, version: int, now: float) -> tuple[int, list[Entry]]:
        """(newest version, entries after `version`)."""
        ...


class RevocationFeed:
    """The long poll. `run()` must be running for other processes' revocations to be seen while waiting."""

    def __init__(
        self, log: Log, now: Callable[[], float], trust_mark: Callable[[], str] = lambda: ""
    ) -> None:
        self.revoked = RevocationSet()
        self._log = log
        self._now = now
        self._trust_mark = trust_mark
        self._told_mark = ""
        self._news = asyncio.Condition()
        self._refreshing = asyncio.Lock()
        self._closed = False

    async def after(self, version: int, wait_s: float, trust: str | None = None) -> Feed:
        """The feed after `version`; held up to `wait_s` ≤ LONGEST_WAIT_S while there is nothing new.

        `trust` is the mark of the trust the asker has; None: he does not want to know.
        """
        feed = await self._read(version)
        if feed.version == version and trust in (None, feed.trust):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, LONGEST_WAIT_S)), self._news:
                    await self._news.wait_for(lambda: self._is_news(version, trust))
            feed = await self._read(version)
        return feed

    def _is_news(self, version: int, trust: str | None) -> bool:
        return self._closed or self.revoked.version > version or trust not in (None, self._trust_mark())

    async def refresh(self) -> RevocationSet:
        """All that is revoked now, straight from the log. Wakes the polls when it found news."""
        async with self._refreshing:
            before = self.revoked.version
            if await self._log.version() != before and not self.revoked.apply(await self._read(before)):
                self.revoked.apply(await self._read(0))
            mark = self._trust_mark()
            if self.revoked.version != before or mark != self._told_mark:
                self._told_mark = mark
                await self._wake()
        return self.revoked

    async def close(self) -> None:
        """Answer every waiting poll now: the service is going away."""
        self._closed = True
        await self._wake()

    async def run(self) -> None:
        """Look for other processes' revocations, until cancelled. A database in trouble is asked again."""
        while True:
            try:
                await self.refresh()
                self.revoked.forget(self._now())
            except Exception:  # whatever it is, the next look may succeed
                log.exception("the revocation log cannot be read")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _read(self, version: int) -> Feed:
        now = self._now()
        newest, entries = await self._log.after(version, now)
        return Feed(newest, tuple(entries), now, self._trust_mark())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()
