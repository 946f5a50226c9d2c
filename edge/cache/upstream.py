"""How bytes come from an origin, or from a shield: one request, streamed, never more than was asked for.

Knows the blob API (docs/architecture.md) and what an origin can do wrong (SECURITY F2, F4, F6, F8); what the
bytes mean, and whether they are the right ones, is the fill's to check. A connection whose answer was not
read to its end is closed, never used again (SECURITY T9).
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Protocol

import aiohttp
import httpx

from edge.cache.breaker import Breaker, Outage
from edge.cache.counters import Count, ignore
from edge.cache.hops import onward
from keys.connections import pooled
from keys.problems import Problem, retry_after

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(?:\d{1,15}|\*)")
_SLOWEST_RETRY_S: Final = 60
KEPT_S: Final = 5.0  # a connection nobody uses
FARTHER: Final = "proxy-status"  # of a shield's error that is not its own: whom it asks is away (RFC 9209)
_BROKEN: Final = (
    httpx.HTTPError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)  # OSError: also what is not mapped


class Cut(Exception):
    """The body ended, or its connection broke, before all of it came."""


class Trouble(Problem):
    """No bytes from there now. `asked`: the request went out, so it may have cost something there."""

    def __init__(self, detail: str, retry_s: float = 0.0, *, asked: bool) -> None:
        retry = min(_SLOWEST_RETRY_S, max(2, round(retry_s + 0.5)))
        super().__init__(
            "unavailable", "The origin does not answer. Try again soon.", detail=detail, retry_after_s=retry
        )
        self.asked = asked


class Source(Protocol):
    """Where stored bytes come from: one address, or several in an order (`edge.cache.tiers`)."""

    @property
    def up(self) -> bool:
        """Whether it was found to answer lately."""

    @property
    def addresses(self) -> int:
        """How many there are to ask."""

    @property
    def shields_up(self) -> int:
        """How many shields were found to answer lately."""

    def missing(self) -> str | None:
        """For health: what of it does not answer, or None."""

    def stream(
        self, path: str, start: int, stop: int, *, whole: bool, again: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Stored bytes of an object, as they come. `again`: how often they came cut or wrong already."""

    async def fetch(self, path: str, limit: int, *, again: int = 0) -> bytes:
        """A whole small object."""

    async def close(self) -> None:
        """Close the connections."""


class OriginClient:
    """Asks one address. `bearer` gives this node's token for it, made anew for each request.

    Workers of a node that share an `outage` try an origin that fails once a pause between them. `tier` is
    what its requests are counted as; `name` what this node calls itself in CDN-Loop.
    """

    def __init__(
        self,
        base_url: str,
        bearer: Callable[[], str],
        *,
        connect_timeout_s: float = 2.0,
        read_timeout_s: float = 5.0,
        connections: int = 64,
        head_timeout_s: float | None = None,
        failures: int = 5,
        breaker_pause_s: float = 5.0,
        outage: Outage | None = None,
        tier: str = "origin",
        name: str = "",
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`head_timeout_s` is for connecting and for the head of the answer together."""
        self.url = base_url
        self._bearer, self._count, self._tier, self._name = bearer, count, tier, name
        self._head_timeout_s = head_timeout_s
        self._breaker = Breaker(failures, breaker_pause_s, now, outage=outage)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=pooled(connections=connections, kept_s=KEPT_S),
            timeout=httpx.Timeout(
                read_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s + read_timeout_s
            ),
            trust_env=False,
        )

    @property
    def up(self) -> bool:
        """Whether the origin was found to answer lately."""
        return self._breaker.closed

    @property
    def addresses(self) -> int:
        """See Source."""
        return 1

    @property
    def shields_up(self) -> int:
        """See Source."""
        return int(self._tier == "shield" and self.up)

    def missing(self) -> str | None:
        """For health: why only what is cached can be served, or None."""
        return None if self._breaker.closed else "it does not answer; what is cached is served"

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def stream(
        self, path: str, start: int, stop: int, *, whole: bool, again: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Stored bytes [start, stop) of an object, as they come. `whole`: that is all of it, without Range.

        Problem unavailable: no answer, or trouble there. Problem not_found: no such object. Problem
        bad_upstream: an answer to another question. Cut: the rest did not come.
        """
        headers = {} if whole else {"range": f"bytes={start}-{stop - 1}"}
        async with self._request(path, headers) as response:
            _check(response, start, stop, whole=whole)
            got = 0
            async with aclosing(self._body(response)) as body:
                async for chunk in body:
                    got += len(chunk)
                    if got > stop - start:
                        raise Problem("bad_upstream", detail=f"{path}: longer than the signed list says")
                    yield chunk
            if got < stop - start:
                raise Cut(f"{path}: {got} bytes of {stop - start}")

    async def fetch(self, path: str, limit: int, *, again: int = 0) -> bytes:
        """A whole small object of unknown size, at most `limit` bytes. Problems as for `stream`."""
        got = bytearray()
        try:
            async with self._request(path, {}) as response, aclosing(self._body(response)) as body:
                _check_encoding(response)
                async for chunk in body:
                    got += chunk
                    if len(got) > limit:
                        raise Problem("bad_upstream", detail=f"{path}: longer than {limit} bytes")
        except Cut as exc:
            raise Trouble(str(exc), asked=True) from exc
        return bytes(got)

    @asynccontextmanager
    async def _request(self, path: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer, its head read, its status 200 or 206."""
        if not self._breaker.allow():
            raise Trouble(f"{path}: it keeps failing", self._breaker.retry_in_s(), asked=False)
        self._count(f"{self._tier}_requests", 1)
        try:
            request = self._client.build_request("GET", path, headers=headers | self._standing_headers())
            async with asyncio.timeout(self._head_timeout_s):
                response = await self._client.send(request, stream=True)
        except _BROKEN as exc:
            self._failed()
            unsent = isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout)
            raise Trouble(f"{path}: {type(exc).__name__} {exc}", asked=not unsent) from exc
        try:
            self._check_status(path, response)
            yield response
        except Cut:
            self._failed()
            raise
        else:
            self._breaker.success()
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in response.aiter_raw():
                self._count(f"{self._tier}_bytes", len(chunk))
                yield chunk
        except _BROKEN as exc:
            raise Cut(f"{response.request.url.path}: {type(exc).__name__} {exc}") from exc

    def _standing_headers(self) -> dict[str, str]:
        said = {"authorization": f"Bearer {self._bearer()}", "accept-encoding": "identity", "accept": "*/*"}
        return said | onward(self._name)

    def _check_status(self, path: str, response: httpx.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status == 404:
            self._breaker.success()
            raise Problem("not_found", detail=f"{path}: the origin has none")
        if status in (429, 500, 502, 503, 504):
            if FARTHER in response.headers:
                self._breaker.success()
            else:
                self._failed()
            pause = retry_after(response.headers.get("retry-after", ""))
            raise Trouble(f"{path}: status {status}", pause or 0.0, asked=True)
        self._breaker.success()
        if status == 508:
            raise Problem("loop", "A shield's origin leads back to it.", detail=f"{path}: asked in a circle")
        raise Problem("bad_upstream", detail=f"{path}: status {status}")

    def _failed(self) -> None:
        self._breaker.failure()
        self._count(f"{self._tier}_errors", 1)


def _check(response: httpx.Response, start: int, stop: int, *, whole: bool) -> None:
    """Problem bad_upstream unless the head says: these bytes, as they are."""
    path = response.request.url.path
    _check_encoding(response)
    if response.status_code != (200 if whole else 206):
        raise Problem("bad_upstream", detail=f"{path}: status {response.status_code}, whole={whole}")
    if not whole:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if span is None or (int(span[1]), int(span[2])) != (start, stop - 1):
            raise Problem("bad_upstream", detail=f"{path}: another range than {start}-{stop - 1}")
    declared = response.headers.get("content-length", str(stop - start))
    if declared != str(stop - start):
        raise Problem("bad_upstream", detail=f"{path}: {declared} bytes, not {stop - start}")


def _check_encoding(response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem("bad_upstream", detail=f"{response.request.url.path}: encoded as {encoding[:40]!r}")
