"""From a link to a session: verify, ask what is revoked and published, decide, keep the record, mint.

A link opens on `/v/<asset>/main.m3u8` (or `main.mpd`): its session is good for all of the asset's streams; or
on `/d/<asset>/<file>` or `/d/<asset>/ece/<file>`: its session is good for that download alone, and in the
encrypted form for its key and for licenses. Every refusal before the link's signature
held is the one `forbidden`; an asset that does not exist is refused the same (SECURITY T12). The rules are
`keys.sessions`, the transaction is `keys.store_sessions`.
"""

import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from keys import sessions as core
from keys.cipher import Secret
from keys.claims import BAD_CLIENT_IP, BAD_NONCE, log_fields
from keys.container import Matcher, canonical_uri, quote
from keys.feed import RevocationFeed
from keys.issuers import Issuers
from keys.leases import OpenedSession, device_cookie
from keys.names import (
    DEFAULT_TENANT,
    SESSION_ID_BYTES,
    asset_id,
    b64url,
    b64url_decode,
    download_path,
    split_download,
)
from keys.problems import Problem
from keys.rings import Rings
from keys.store_keys import KeyStore
from keys.store_sessions import SessionStore
from keys.tokens import Claims, mint, verify

SALT_BYTES: Final = 32

_STREAMS = re.compile(r"/v/([^/]+)/main\.(?:m3u8|mpd)")


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens sessions. `hosts` are the public edge base URLs that session tokens are good for."""

    sessions: SessionStore
    keys: KeyStore
    feed: RevocationFeed
    issuers: Issuers
    rings: Rings
    hosts: Sequence[str]
    rules: core.Rules
    now: Callable[[], float]
    matcher: Matcher
    device_key: Secret

    async def open(
        self,
        token: str,
        uri: str,
        client_ip: str,
        edge: str,
        *,
        cookies: Sequence[str] = (),
        country: str = "",
    ) -> tuple[OpenedSession, bool]:
        """The session this link is good for, and whether it is new. Refused or Problem when there is none.

        `cookies` are of the browser that asks, `country` is where it is, "" when nobody knows.
        """
        now = self.now()
        claims = verify(token, uri=uri, trust=self.issuers.trust(now), now=now, matcher=self.matcher)
        if claims.kind != "link":
            raise Problem("forbidden", detail="a session token opens nothing")
        scope = opened_scope(uri)
        if claims.offline and not scope.protected:
            raise Problem("forbidden", detail="offline use of what is no protected download")
        if claims.limits.countries and country not in claims.limits.countries:
            raise Problem("limit", limit="country", detail=f"from {country or 'an unknown country'}")
        cookie = device_cookie(self.device_key.reveal(), claims.iss, claims.lid)
        known = any(hmac.compare_digest(cookie, other) for other in cookies)
        request = replace(await self._request(claims, scope.asset, client_ip, edge), known_device=known)
        await self._check_revoked(request, claims.issued, now)
        fresh = (b64url(secrets.token_bytes(SESSION_ID_BYTES)), secrets.token_bytes(SALT_BYTES))
        decision, session = await self.sessions.open(request, self.rules, fresh, claims.exp, now)
        if session is None:
            assert isinstance(decision, core.Refuse), "only a refusal is without a session"
            raise Problem(decision.code, limit=decision.limit, detail=decision.reason)
        opened = replace(self._answer(session, scope, claims), drm=request.drm)
        if claims.limits.device:
            opened = replace(opened, cookie=cookie, cookie_until=max(claims.exp, session.expires))
        return opened, isinstance(decision, core.New)

    async def _request(self, claims: Claims, asset: str, client_ip: str, edge: str) -> core.Request:
        network = self.issuers.network(claims)
        if not core.within(client_ip, network):
            raise Problem("forbidden", detail=log_fields(BAD_CLIENT_IP))
        published = await self.keys.published(DEFAULT_TENANT, asset)
        if published is None:
            raise Problem("forbidden", detail=f"asset {asset} is not published")
        return core.Request(
            iss=claims.iss,
            kid=claims.kid,
            link_id=claims.lid,
            single_use=claims.single_use,
            tenant=DEFAULT_TENANT,
            asset=asset,
            generation=published.generation,
            viewer=self.issuers.viewer(claims),
            network=network,
            client_ip=client_ip,
            edge=edge,
            cap_s=claims.cap or None,
            pace=dict(claims.pace) if claims.pace else None,
            limits=claims.limits,
            drm=published.drm,
        )

    async def _check_revoked(self, request: core.Request, issued: float, now: float) -> None:
        kind = (await self.feed.refresh()).find(
            now=now,
            lid=request.link_id,
            viewer=request.viewer,
            asset=request.asset,
            signer=(request.iss, request.kid),
            issued=(request.tenant, issued),
        )
        if kind:
            raise Problem("revoked", detail=log_fields(BAD_NONCE, f"revoked by {kind}"))

    def _answer(self, session: core.Session, scope: "Scope", link: Claims) -> OpenedSession:
        """The same token for the same session: it is signed over the time the session was opened.

        Only one that is to be renewed begins now.
        """
        renewal = link.renewal if scope.renewable else None
        token = mint(
            self.rings.sessions.active(self.now()),
            sid=b64url_decode(session.sid),
            asset=session.asset,
            paths=scope.paths,
            expires=session.expires,
            now=self.now() if renewal else session.opened,
            hosts=self.hosts,
            cdniip=link.cdniip,
            renewal=renewal,
            offline=link.offline,
        )
        return OpenedSession(token, session.sid, session.asset, session.generation, session.expires)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a session is opened for."""

    asset: str
    paths: str  # POSIX ERE of the paths its token is good for
    renewable: bool = (
        False  # players keep the token of a stream in their URLs, so it lasts as long as the session
    )
    protected: bool = False  # a download that leaves encrypted


def opened_scope(uri: str) -> Scope:
    """What a URI opens: the streams of an asset, or one download of it. Problem `forbidden` for any other."""
    try:
        path = urlsplit(canonical_uri(uri)).path
        if download := split_download(path):
            asset, file, protection = download
            protected = protection != "clear"
            below = "(/(key|license))?" if protected else ""
            paths = quote(download_path(asset, file, protection)) + below
            return Scope(asset, paths, renewable=True, protected=protected)
        streams = _STREAMS.fullmatch(path)
        return Scope(asset := asset_id(streams[1] if streams else ""), f"/v/{asset}/.*")
    except (ValueError, Problem) as exc:
        raise Problem("forbidden", detail="no session opens at this URI") from exc


def check_address(client_ip: str) -> None:
    """Problem bad_request unless this is an address a viewer can speak from."""
    try:
        if getattr(ipaddress.ip_address(client_ip), "scope_id", None):
            raise ValueError("an address with a zone is another machine's")
    except ValueError as exc:
        raise Problem("bad_request", "client_ip is an IP address.") from exc
