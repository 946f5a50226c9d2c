"""How a link becomes a session: checked here, opened by keys, answered with a redirect under a session token.

The redirect is never stored and its Location is path-absolute, so it stays on the host the player asked.
Opening is idempotent for a minute (keys sees to it), so players that open a link twice are fine. HEAD
opens nothing: a link that could be opened answers it with 200 and no body, so link previews burn no
single-use link. Such an answer to a download's link does not say how long the file is: only a session
knows which generation it is of.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from edge.deliver.admission import Admission, TooBusy
from edge.deliver.answer import Answer, Request
from edge.deliver.authorize import Authorizer
from edge.deliver.clients import nowhere
from edge.deliver.cors import Headers
from edge.deliver.counters import Count, ignore
from edge.deliver.device import cookies_in, device_cookie
from edge.deliver.disposition import attachment
from edge.deliver.headers import FILE_TYPE, MANIFEST_TYPE, PLAYLIST_TYPE, unstored
from edge.deliver.path import DRM, UNASKED, Route
from edge.deliver.patience import Patience
from edge.deliver.renew import in_query, set_cookie
from keys.leases import OpenedSession
from keys.problems import Problem
from keys.renewal import REDIRECT
from origin.media.dash import MANIFEST

ASKED_AT_ONCE: Final = 8  # of a crowd: keys then answers one after the other, and not all of them too late


class OpensSessions(Protocol):
    """Who opens sessions (`keys.client`)."""

    async def open_session(
        self, token: str, uri: str, client_ip: str, *, cookies: Sequence[str] = (), country: str = ""
    ) -> OpenedSession:
        """The session of a link. Problem forbidden, expired, limit, revoked or unavailable."""
        ...


class Opening:
    """Answers `main.m3u8`, `main.mpd`, or a download, under a link token."""

    def __init__(
        self,
        authorizer: Authorizer,
        keys: OpensSessions,
        patience: Patience,
        admission: Admission,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        secure: bool,
        country_of: Callable[[str], str] = nowhere,
        count: Count = ignore,
    ) -> None:
        """`now` is wall time, `clock` monotonic; `secure`: viewers come by https; `country_of` an address."""
        self._now = now
        self._secure = secure
        self._country_of = country_of
        self._admission = admission
        self._turns = asyncio.Semaphore(ASKED_AT_ONCE)
        self._clock = clock
        self._authorizer = authorizer
        self._keys = keys
        self._patience = patience
        self._count = count

    async def answer(self, route: Route, request: Request) -> Answer:
        """302 to the session's multivariant playlist or manifest, of the protection asked for.

        TooBusy, before any work, when nobody new is taken.
        """
        self._admit()
        await self._authorizer.link(route)
        if request.method == "HEAD":
            return Answer(200, unstored(MANIFEST_TYPE if route.file == MANIFEST else PLAYLIST_TYPE))
        opened = await self._opened(route, request)
        protection = route.protection or (DRM if opened.drm else UNASKED[route.file])
        return self._redirect(route, opened, f"{protection}/{route.file}")

    async def download(self, route: Route, request: Request) -> Answer:
        """302 to the same file under the session's token. The link was found to be one that may be opened."""
        if request.method == "HEAD":
            kept = [
                (b"accept-ranges", b"bytes"),
                (b"content-disposition", attachment(route.file, route.file)),
            ]
            return Answer(200, [*unstored(FILE_TYPE), *kept], length_known=False)
        renewal = (await self._authorizer.claims(route)).renewal
        opened = await self._opened(route, request)
        if renewal is None:
            place = f"{route.protection}/{route.file}" if route.protection else route.file
            return self._redirect(route, opened, place)
        token, bound = opened.session_token, self._bound(opened)
        if renewal.by == REDIRECT:
            return Answer(302, [(b"location", in_query(route, token)), *bound, *unstored()])
        carried = set_cookie(route, renewal, token, secure=self._secure)
        return Answer(302, [(b"location", route.path.encode("ascii")), *carried, *bound, *unstored()])

    def _redirect(self, route: Route, opened: OpenedSession, place: str) -> Answer:
        """302 to a place of the asset under the session's token."""
        target = f"{route.path[:2]};{route.token_name}={opened.session_token}/{route.asset}/{place}"
        return Answer(302, [(b"location", target.encode("ascii")), *self._bound(opened), *unstored()])

    def _bound(self, opened: OpenedSession) -> Headers:
        """The cookie of a link that is good in one browser only."""
        if not opened.cookie:
            return []
        lasts_s = max(1, int(opened.cookie_until - self._now()))
        return [device_cookie(opened.cookie, lasts_s, secure=self._secure)]

    async def _opened(self, route: Route, request: Request) -> OpenedSession:
        opened = await self._open(route, request)
        if opened.asset != route.asset:
            raise Problem("bad_upstream", detail="keys opened a session of another asset")
        self._count("sessions_opened", 1)
        return opened

    async def _open(self, route: Route, request: Request) -> OpenedSession:
        return await self._patience.wait(self._ask(route, request))

    async def _ask(self, route: Route, request: Request) -> OpenedSession:
        cookies, country = cookies_in(request.headers), self._country_of(request.client)
        with self._admission.asking(self._clock()):
            async with self._turns:
                return await self._keys.open_session(
                    route.token,
                    self._authorizer.uri(route),
                    request.client,
                    cookies=cookies,
                    country=country,
                )

    def _admit(self) -> None:
        try:
            self._admission.check(self._clock())
        except TooBusy:
            self._count("opens_refused", 1)
            raise
