"""Connections that services keep to each other: of the kept ones, the one used last is used next.

Taken in turns, as aiohttp does, every connection a busy moment opened would stay for as long as there is any
traffic. Latest first, those nobody needs reach the end of their time.
"""

from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


class LatestFirst(aiohttp.TCPConnector):
    """A connector whose kept connections are a stack."""

    async def _get(self, key: Any, traces: Any) -> Any:
        kept = self._conns.get(key)
        if kept:
            kept.rotate(1)  # what is taken is the left end; what comes back is put to the right
        return await super()._get(key, traces)


def pooled(*, connections: int, kept_s: float) -> AiohttpTransport:
    """A transport for httpx: at most so many connections at once, each kept for so long after its last use.

    Neither proxies nor authorities of the environment are used.
    """

    def session() -> aiohttp.ClientSession:
        connector = LatestFirst(
            limit=connections, keepalive_timeout=kept_s, ssl=httpx.create_ssl_context(trust_env=False)
        )
        return aiohttp.ClientSession(connector=connector, trust_env=False)

    return AiohttpTransport(client=session, trust_env=False)
