"""What of a signed zone's token only keys can say: whom it names, and which token follows it (RFC 9246 §3).

Keys is asked for each viewer once a worker, and for each link that is renewed once in a part of the time a
new token is good for: all that come by then get the same. With keys away whoever is known stays so, and
answers go without a new token: what the old one allows, it allows until its end.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edge.deliver.answer import Answer
from edge.deliver.cors import Headers
from edge.deliver.counters import Count, ignore
from edge.deliver.headers import unstored
from edge.deliver.patience import Patience
from edge.zone.keying import Target
from edge.zone.zone import PASSED
from keys.claims import Claims
from keys.problems import Problem
from keys.renewal import COOKIE, REDIRECT, cookie
from keys.zone_links import ZoneLink

KNOWN_MOST: Final = 10_000  # viewers, and links that are renewed, that a worker remembers
SHARED: Final = 8  # a new token is given to all for this part of its time, so that keys is asked seldom
FAILED_S: Final = 1.0  # keys is not asked again for so long
LEAST_DEPTH: Final = 2  # segments of a cookie's Path where zones have names: /z/<name>

log = logging.getLogger("sluice.zone")


class TellsOfLinks(Protocol):
    """Who is asked (`keys.client`)."""

    async def zone_link(self, token: str, uri: str) -> ZoneLink:
        """The viewer, and the token that follows. Problem forbidden, expired, revoked or unavailable."""
        ...


@dataclass(slots=True)
class _Next:
    """The token that follows those of one link, as it was asked for last."""

    asked: float
    answer: asyncio.Future[str]  # "" when there is none


class Tokens:
    """Of one worker. `now` is wall time; `secure`: clients reach this edge by https."""

    def __init__(
        self,
        keys: TellsOfLinks,
        patience: Patience,
        *,
        token_name: str,
        secure: bool,
        now: Callable[[], float],
        count: Count = ignore,
    ) -> None:
        self._keys, self._patience, self._now, self._count = keys, patience, now, count
        self._name, self._secure = token_name, secure
        self._viewers: OrderedDict[tuple[tuple[str, str], str], str] = OrderedDict()
        self._next: OrderedDict[tuple[Any, ...], _Next] = OrderedDict()

    def viewer(self, claims: Claims) -> str | None:
        """The viewer a token names, who is known. Problem unavailable when he is not, or not any more."""
        if not claims.sub:
            return None
        name = (claims.signer, claims.sub)
        found = self._viewers.get(name)
        if found is None:
            raise Problem("unavailable", "Try again in a moment.", detail="a viewer that is not known here")
        self._viewers.move_to_end(name)  # an answer that takes long asks again, and must find him then
        return found

    async def learn(self, claims: Claims, token: str, uri: str) -> None:
        """Makes a token's viewer known. Problem when keys does not say, or refuses the token."""
        if claims.sub and (claims.signer, claims.sub) not in self._viewers:
            self._heard(claims, await self._patience.wait(self._keys.zone_link(token, uri)))

    async def renewed(self, claims: Claims, target: Target, method: str) -> Answer | Headers:
        """For an allowed request: what its answer carries besides, or the redirect in its place.

        A link that came in a URL is opened: its client is sent to where the next token is. Problem forbidden
        when the path is too short for a cookie that reaches no further than the link says.
        """
        renewal = claims.renewal
        if renewal is None:
            return []
        opening = claims.kind == "link" and target.way != COOKIE
        if opening and method not in PASSED:
            return []  # what it says it allows; a redirect would lose the body
        if renewal.by == REDIRECT:
            if not opening and (method not in PASSED or not renewal.is_due(claims.exp, self._now())):
                return []
            token = await self._opened(claims, target) if opening else await self._following(claims, target)
            joined = "&" if target.query else "?"
            place = f"{target.place}{joined}{self._name}={token}"
            return Answer(302, [(b"location", place.encode("ascii")), *unstored()]) if token else []
        path = cookie_path(claims, target)
        if path is None:
            if opening:
                raise Problem("forbidden", detail="a path too short for the cookie of its link")
            return []
        token = await self._opened(claims, target) if opening else await self._following(claims, target)
        if not token:
            return []
        carried = (b"set-cookie", cookie(self._name, token, path, secure=self._secure).encode("ascii"))
        if not opening:
            return [carried]
        return Answer(302, [(b"location", target.place.encode("ascii")), carried, *unstored()])

    async def _opened(self, claims: Claims, target: Target) -> str:
        """The first token of a link. Each opening has its own, and its own end."""
        said = await self._patience.wait(self._keys.zone_link(target.token, target.public))
        self._heard(claims, said)
        if not said.token:
            raise Problem("bad_upstream", detail="keys made no token for a link that asks for one")
        return said.token

    async def _following(self, claims: Claims, target: Target) -> str:
        """The token that follows; "" when there is none, or keys does not give one."""
        assert claims.renewal is not None
        if claims.exp == claims.end:
            return ""
        # All that a token says but its times: who has one of them may have the next.
        link = (claims.signer, claims.lid, claims.end, claims.sub, claims.cdniuc, claims.renewal)
        now, known = self._now(), self._next.get(link)
        if known is None or not 0 <= now - known.asked < self._good_s(known, claims.renewal.extend_s):
            asking = asyncio.ensure_future(self._ask(claims, target))
            known = self._next[link] = _Next(now, asking)
            self._next.move_to_end(link)
            if len(self._next) > KNOWN_MOST:
                self._next.popitem(last=False)
        return await asyncio.shield(known.answer)

    def _good_s(self, known: _Next, extend_s: int) -> float:
        failed = known.answer.done() and not known.answer.result()
        return FAILED_S if failed else extend_s / SHARED

    async def _ask(self, claims: Claims, target: Target) -> str:
        try:
            asking = self._keys.zone_link(target.token, target.public)
            said = await self._patience.wait(asking)
            self._heard(claims, said)
        except Problem as problem:
            log.info("%s not renewed: %s %s", problem.id, problem.code, problem.detail)
            return ""
        self._count("tokens_renewed", 1)
        return said.token

    def _heard(self, claims: Claims, said: ZoneLink) -> None:
        if not claims.sub:
            return
        if said.viewer is None:
            raise Problem("bad_upstream", detail="keys names no viewer of a link that has one")
        self._viewers[claims.signer, claims.sub] = said.viewer
        if len(self._viewers) > KNOWN_MOST:
            self._viewers.popitem(last=False)


def cookie_path(claims: Claims, target: Target) -> str | None:
    """The Path of a token's cookie: the segments the link says, and at least its zone.

    None when the path is shorter, or has what would be read as another attribute of the cookie.
    """
    assert claims.renewal is not None
    path = target.place.partition("?")[0]
    found = claims.renewal.cookie_path(path)
    if found is not None and path.startswith(f"/z/{target.zone.name}/"):
        least = "/".join(path.split("/")[: LEAST_DEPTH + 1])
        found = max(found, least, key=len)
    return None if found is None or ";" in found or "," in found else found
