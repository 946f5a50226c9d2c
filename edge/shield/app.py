"""A shield worker as an ASGI application: stored objects over raw ASGI, health and metrics by Starlette.

A shield is an edge whose viewers are other edges: it has no sessions, no leases and no keys of media. What it
is made of is handed in (`deploy` assembles).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from edge.cache.counters import Count, ignore
from edge.deliver import health
from edge.deliver.trust import TrustedTokens
from edge.shield.blobs import Blobs
from edge.shield.zones import ShieldZones
from origin.media.asking import PREFIX

START_WAIT_S: Final = 10.0  # for the first answer of keys

log = logging.getLogger("sluice.shield")


class ShieldApp:
    """The application of one worker."""

    def __init__(
        self,
        blobs: Blobs,
        *,
        trusted: TrustedTokens,
        metrics: Callable[[], str],
        origin: health.Part,
        zones: ShieldZones | None = None,
        count: Count = ignore,
        resources: Sequence[AbstractAsyncContextManager[object]] = (),
    ) -> None:
        """`trusted` knows the packagers; `resources` are entered when serving begins, and left at its end."""
        self.count = count  # for the server before it (`edge.guard.counters`)
        self._blobs, self._trusted, self._zones, self._resources = blobs, trusted, zones, resources
        self._draining = health.Draining()
        self.state = State({"hush": self.hush})
        asked = health.Health({"trust": trusted, "draining": self._draining}, {}, {"origin": origin})

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                for resource in self._resources:
                    await stack.enter_async_context(resource)
                await stack.enter_async_context(self._trusting())
                if self._zones is not None:
                    await stack.enter_async_context(self._zones.running())
                yield

        self._rest = Starlette(routes=health.routes(asked, metrics), lifespan=lifespan)
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: http and lifespan."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._blobs(scope, receive, send)
        elif scope["type"] == "http" and self._zones is not None and self._zones.takes(scope):
            await self._zones(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def hush(self) -> None:
        """This worker is going to end: health says so from now on."""
        self._draining.begun = True

    @asynccontextmanager
    async def _trusting(self) -> AsyncIterator[None]:
        """Keeps the trust up to date; the first answer of keys is waited for, a while."""
        task = asyncio.create_task(self._trusted.run())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(START_WAIT_S):
                    await self._trusted.known.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
