"""A token that is renewed while it is used (RFC 9246 §3), a download's so far: by cookie, or by redirect.

Keys mints; the edge asks it after all checks have passed, and carries the new token to the client. With keys
away the answer goes without one: what the token allows, it allows until its end.

    cookie      every answer sets the next token; the URL has none
    redirect    half-way to its end, a request is sent to the same URL with the next token in its query

What lies under a path is not asked here: the token's claims and the canonical path are all it goes by.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from edge.deliver.answer import Answer
from edge.deliver.authorize import Authorizer
from edge.deliver.cors import Headers
from edge.deliver.counters import Count, ignore
from edge.deliver.headers import unstored
from edge.deliver.path import Route
from edge.deliver.patience import Patience
from keys.leases import OpenedSession
from keys.problems import Problem
from keys.renewal import COOKIE, REDIRECT, Renewal, cookie

log = logging.getLogger("sluice.edge.renew")


class RenewsTokens(Protocol):
    """Who mints (`keys.client`)."""

    async def renew(self, session_token: str, uri: str) -> OpenedSession:
        """The token that follows. Problem forbidden, expired, revoked or unavailable."""
        ...


class Renewals:
    """Renews the tokens of one worker's downloads."""

    def __init__(
        self,
        authorizer: Authorizer,
        keys: RenewsTokens,
        patience: Patience,
        *,
        secure: bool,
        now: Callable[[], float],
        count: Count = ignore,
    ) -> None:
        """`secure`: viewers reach this edge by https, so cookies are for https only. `now` is wall time."""
        self._authorizer = authorizer
        self._keys = keys
        self._patience = patience
        self._secure = secure
        self._now = now
        self._count = count

    async def headers(self, route: Route, renewal: Renewal) -> Headers:
        """What an answer to an allowed request carries so that the next one is allowed too."""
        if renewal.by != COOKIE:
            return []
        token = await self._next(route)
        return [] if token is None else set_cookie(route, renewal, token, secure=self._secure)

    async def redirect(self, route: Route, renewal: Renewal, expires: int) -> Answer | None:
        """302 to the same file with the next token, when one is due of a token that ends then."""
        if renewal.by != REDIRECT or not renewal.is_due(expires, self._now()):
            return None
        token = await self._next(route)
        return None if token is None else Answer(302, [(b"location", in_query(route, token)), *unstored()])

    async def _next(self, route: Route) -> str | None:
        try:
            asking = self._keys.renew(route.token, self._authorizer.uri(route))
            opened = await self._patience.wait(asking)
        except Problem as problem:
            log.info("%s not renewed: %s %s", problem.id, problem.code, problem.detail)
            return None
        self._count("tokens_renewed", 1)
        return opened.session_token


def set_cookie(route: Route, renewal: Renewal, token: str, *, secure: bool) -> Headers:
    """The Set-Cookie field of a token for this route's path; none when the path is too short for it."""
    path = renewal.cookie_path(route.path)
    if path is None:
        return []
    return [(b"set-cookie", cookie(route.token_name, token, path, secure=secure).encode("ascii"))]


def in_query(route: Route, token: str) -> bytes:
    """The target of this route with the token in its query: path-absolute, so it stays on its host."""
    return f"{route.path}?{route.token_name}={token}".encode("ascii")
