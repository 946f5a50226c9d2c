"""May this client have this now? Asked on every media request: token, revocation, lease, network, in order.

A session's token says which session and asset; its lease (from keys) says the rest and brings the keys.
Everything a stranger could learn is one and the same 403; a code (expired, limit, revoked) comes only
after a valid signature.
"""

from collections.abc import Callable
from typing import Any, Protocol

from edge.deliver.path import Kind, Route
from keys import sessions
from keys.claims import BAD_CLIENT_IP, Claims, log_fields
from keys.leases import Lease
from keys.names import DEFAULT_TENANT
from keys.problems import Problem
from keys.renewal import COOKIE, REDIRECT
from keys.tokens import SESSION_ISSUER


class ChecksTokens(Protocol):
    """Who verifies tokens (`deliver.trust`)."""

    async def verify(self, text: str, uri: str) -> Claims: ...


class KnowsRevoked(Protocol):
    """Who knows what was taken back (`deliver.revocations`)."""

    def check(
        self,
        *,
        sid: str | None = None,
        lid: str | None = None,
        viewer: str | None = None,
        asset: str | None = None,
        signer: tuple[str, str] | None = None,
        issued: tuple[str, float] | None = None,
    ) -> None: ...

    def may_open(self) -> None: ...

    def may_go_on(self) -> None: ...


class HoldsLeases(Protocol):
    """Who holds the sessions' leases (`deliver.leases`)."""

    async def get(self, sid: str, token: str, uri: str) -> Lease: ...

    def forget(self, sid: str) -> None: ...

    def drop(self, sid: str) -> None: ...


class Authorizer:
    """The order of the checks."""

    def __init__(
        self,
        public_url: str,
        tokens: ChecksTokens,
        revocations: KnowsRevoked,
        leases: HoldsLeases,
        now: Callable[[], float],
    ) -> None:
        """`public_url` is the edge's public base URL from the settings; the request's Host is never asked."""
        self._base = public_url.rstrip("/")
        self._tokens = tokens
        self._revocations = revocations
        self._leases = leases
        self._now = now

    def uri(self, route: Route) -> str:
        """The canonical URI of what is asked for: what a token's container is matched with."""
        return self._base + route.path

    async def link(self, route: Route) -> Claims:
        """The claims of a link that may be opened here now; network and use are for keys to check."""
        claims = await self.claims(route)
        self._check_link(claims, route)
        return claims

    async def session(self, route: Route, client: str) -> Lease:
        """The lease of the session that may have this now."""
        return await self._lease(await self.claims(route), route, client)

    async def download(self, route: Route, client: str) -> tuple[Claims, Lease | None]:
        """What the token says, and the lease of the session that may have this file now.

        No lease: the token is a link that may be opened.
        """
        claims = await self.claims(route)
        if claims.kind == "session":
            return claims, await self._lease(claims, route, client)
        if route.in_cookie:
            raise Problem("forbidden", detail="a link in a cookie")
        self._check_link(claims, route)
        return claims, None

    async def claims(self, route: Route) -> Claims:
        """What the route's token says, verified for it now; the rest of the checks are to follow."""
        return await self._tokens.verify(route.token, self.uri(route))

    def _check_link(self, claims: Claims, route: Route) -> None:
        if claims.kind != "link" or route.kind in (Kind.FILE_KEY, Kind.OFFLINE):
            raise Problem("forbidden", detail=f"a {claims.kind}'s token opens nothing here")
        self._revocations.check(
            lid=claims.lid,
            asset=route.asset,
            signer=(claims.iss, claims.kid),
            issued=(DEFAULT_TENANT, claims.issued),
        )
        self._revocations.may_open()

    async def _lease(self, claims: Claims, route: Route, client: str) -> Lease:
        if route.kind is Kind.LINK or claims.kind != "session" or claims.asset != route.asset:
            raise Problem("forbidden", detail=f"a {claims.kind} token for something else")
        way = REDIRECT if route.in_query else COOKIE if route.in_cookie else None
        if way is not None and (claims.renewal is None or claims.renewal.by != way):
            raise Problem("forbidden", detail="a token that does not travel so")
        self._check_names(claims.sid, sid=claims.sid, asset=claims.asset, signer=(claims.iss, claims.kid))
        self._revocations.may_go_on()
        lease = await self._leases.get(claims.sid, route.token, self.uri(route))
        self._check(lease, claims, client)
        return lease

    def still_allowed(self, lease: Lease) -> None:
        """Returns while the session of this lease runs: for an answer that takes long to send.

        Problem expired, revoked or unavailable when it is over.
        """
        self._revocations.may_go_on()
        self._check_names(lease.sid, sid=lease.sid, asset=lease.asset)
        self._check_running(lease)

    def _check(self, lease: Lease, claims: Claims, client: str) -> None:
        if (lease.sid, lease.asset) != (claims.sid, claims.asset):
            raise Problem("forbidden", detail="the lease is for something else")
        self._check_running(lease)
        if not _within(client, lease.network):
            raise Problem("forbidden", detail=log_fields(BAD_CLIENT_IP))

    def _check_running(self, lease: Lease) -> None:
        if lease.expires <= self._now():
            self._leases.forget(lease.sid)
            raise Problem("expired", detail=f"session ended at {lease.expires}")
        self._check_names(
            lease.sid,
            lid=lease.lid,
            viewer=lease.viewer,
            signer=(lease.iss, lease.kid),
            issued=(lease.tenant, lease.opened),
        )
        self._check_names(lease.sid, signer=(SESSION_ISSUER, lease.token_kid))

    def _check_names(self, of: str, **names: Any) -> None:
        """Problem revoked when a name of this session was taken back: its keys are then let go as well."""
        try:
            self._revocations.check(**names)
        except Problem:
            self._leases.drop(of)
            raise


def _within(client: str, network: str | None) -> bool:
    try:
        return sessions.within(client, network)
    except ValueError:
        return False
