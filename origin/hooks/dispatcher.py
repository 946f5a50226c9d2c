"""Sends what is to be sent, while the origin runs: looks for events and for messages whose time has come.

Several origins with one database share the work. Webhooks that fail have a loop of their own, so that nobody
waits for a receiver that hangs. Trouble with the database is waited out.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from keys.cipher import BadWrap
from keys.problems import Problem
from keys.tasks import end_tasks
from origin.hooks import signing
from origin.hooks.sending import Sender, Sent
from origin.hooks.store import Delivery, Webhooks

LOOK_EVERY_S: Final = 1.0
AT_ONCE: Final = 16  # messages under way
TIDY_EVERY_S: Final = 3600.0
LOST: Final = "Its secret cannot be read: the admin token is another one. Add it anew."

_LOG: Final = logging.getLogger(__name__)


class Dispatcher:
    """The loop. `count` is told what was delivered and what failed."""

    def __init__(
        self,
        hooks: Webhooks,
        sender: Sender,
        *,
        now: Callable[[], float],
        count: Callable[[str], None],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._hooks = hooks
        self._sender = sender
        self._now = now
        self._count = count
        self._look_every_s = look_every_s

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works while entered."""
        work = [
            asyncio.create_task(self._work(self._spread_and_send)),
            asyncio.create_task(self._work(self._again)),
        ]
        tasks = [*work, asyncio.create_task(self._tidy())]
        try:
            yield
        finally:
            await end_tasks(tasks)

    async def step(self) -> int:
        """Sends everything whose time has come; how many events and messages that were."""
        return await self._spread_and_send() + await self._again()

    async def _spread_and_send(self) -> int:
        return await self._hooks.spread() + await self._send_due(failing=False)

    async def _again(self) -> int:
        return await self._send_due(failing=True)

    async def _send_due(self, *, failing: bool) -> int:
        messages = await self._hooks.claim(AT_ONCE, failing=failing)
        ended = await asyncio.gather(*(self.send(each) for each in messages), return_exceptions=True)
        for each in ended:
            if isinstance(each, BaseException) and not isinstance(each, Problem):  # that: it was removed
                raise each
        return len(messages)

    async def send(self, message: Delivery) -> Delivery:
        """One attempt, and what is known of the message after it. Problem not_found: it was removed."""
        hook = await self._hooks.get(message.webhook)
        try:
            secret = await self._hooks.secret(hook.id)
        except BadWrap:
            await self._hooks.disable(hook.id, LOST)
            return await self._hooks.attempted(message, Sent(0, LOST), 0)
        body = message.body.encode()
        sent = await self._sender.send(hook.url, signing.headers(secret, message.id, self._now(), body), body)
        after = await self._hooks.attempted(message, sent, random.uniform(-1, 1))
        self._count("webhooks_failed" if after.error else "webhooks_delivered")
        if after.error:
            _LOG.info("webhook %s did not take %s: %s", hook.id, message.id, after.error)
        return after

    async def _work(self, step: Callable[[], Awaitable[int]]) -> None:
        while True:
            done = 0
            try:
                done = await step()
            except Exception:
                _LOG.exception("webhooks could not be looked after")
            if not done:
                await asyncio.sleep(self._look_every_s)

    async def _tidy(self) -> None:
        while True:
            try:
                await self._hooks.forget()
            except Exception:
                _LOG.exception("old messages of webhooks could not be taken away")
            await asyncio.sleep(TIDY_EVERY_S)
