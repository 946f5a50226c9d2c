"""Who calls with an API token: looked up once a request, before anything else, and noted in its scope.

`origin.access` then asks `allowed` what that caller may do. A token that is no good is refused wherever it is
shown. Failed tries are counted by address: beyond the limit, tokens this process has not seen succeed before
are refused without being looked up, while those it has seen go on working, from behind a proxy too.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import sqlalchemy.exc
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from keys.problems import Problem
from keys.purge import Rate
from origin.control.tokens import PREFIX, ApiToken, ApiTokens
from origin.refusals import answer, note

TRIES_AT_ONCE: Final = 10
TRIES_A_SECOND: Final = 0.1
ADDRESSES: Final = 10_000  # whose tries are remembered
SEEN: Final = 10_000  # hashes of tokens that were good

# A database that is locked, gone or not yet there: trouble, so ask again.
TROUBLE: Final = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
)
_SCOPE: Final = "sluice.caller"


def caller(request: HTTPConnection) -> ApiToken | None:
    """The API token a request came with; None for one that came with none."""
    found = request.scope.get(_SCOPE)
    return found if isinstance(found, ApiToken) else None


class FailedTries:
    """How many tries of an address failed lately. Times are of one clock, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rates: OrderedDict[str, tuple[Rate, bool]] = OrderedDict()

    def failed(self, address: str) -> None:
        """One more."""
        rate, _ = self._rates.pop(address, (Rate(TRIES_A_SECOND, TRIES_AT_ONCE), True))
        self._rates[address] = (rate, rate.take(self._clock()))
        while len(self._rates) > ADDRESSES:
            self._rates.popitem(last=False)

    def refuses(self, address: str) -> bool:
        """Whether there were too many: another one has to wait. Asking counts as one."""
        if address not in self._rates or self._rates[address][1]:
            return False
        self.failed(address)
        return not self._rates[address][1]


class Callers:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, tokens: ApiTokens, clock: Callable[[], float]) -> None:
        self._app = app
        self._tokens = tokens
        self._tries = FailedTries(clock)
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with its caller noted; answers 401 or 429 itself."""
        if scope["type"] == "http":
            kind, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
            if kind.lower() == "bearer" and text.strip().startswith(PREFIX):
                try:
                    token = await self._check(scope, text.strip())
                except Problem as problem:
                    note(Request(scope), problem)
                    response = answer(problem)
                    if problem.status == 401:
                        response.headers["www-authenticate"] = "Bearer"  # RFC 9110 §11.6.1
                    await response(scope, receive, send)
                    return
                scope = {**scope, _SCOPE: token}
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope, text: str) -> ApiToken:
        address = (scope.get("client") or ("",))[0]
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        if digest not in self._seen and self._tries.refuses(address):
            raise Problem("too_many", "Too many tokens that are no good: wait a while.", retry_after_s=10)
        try:
            token = await self._tokens.check(text)
        except TROUBLE as exc:
            raise Problem("unavailable", detail=f"database: {type(exc).__name__}") from exc
        except Problem:
            self._seen.pop(digest, None)
            self._tries.failed(address)
            raise
        self._seen[digest] = None
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return token
