"""From a session token to a lease: the session's keys for an edge that shows it is serving that session.

The token is the proof (SECURITY 3.4). A lease never outlives the session, and none is given for a session
that is over, revoked, or whose keys were deleted. Pace: the site's, then the asset's, then the link's,
within limits.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

from keys import sessions as core
from keys.asset_limits import NO_ASSET_LIMITS, AssetLimits, smaller
from keys.cipher import Secret
from keys.container import Matcher
from keys.derive import session_root
from keys.drm_keeping import DrmKeeper
from keys.feed import RevocationFeed
from keys.hierarchy import Hierarchy
from keys.issuers import Issuers
from keys.leases import LEASE_S, Lease, bucket_name, device_cookie
from keys.limits import Limits
from keys.names import b64url_decode
from keys.pace import Pace
from keys.problems import Problem
from keys.sessions import Session
from keys.store_keys import KeyStore
from keys.store_sessions import SessionStore
from keys.tokens import Claims, verify

# What an asset or a link may set: below, nobody could watch; above, pace would limit nothing.
SLOWEST: Final = Pace(burst_s=8.0, rate=0.5, jump_s=0.0, jumps=0.0)
FASTEST: Final = Pace(burst_s=7200.0, rate=16.0, jump_s=60.0, jumps=100.0)


@dataclass(frozen=True, slots=True)
class Lender:
    """Lends the keys of sessions to edges."""

    sessions: SessionStore
    keys: KeyStore
    hierarchy: Hierarchy
    feed: RevocationFeed
    issuers: Issuers
    bucket_key: Secret
    pace: Pace  # the site's
    now: Callable[[], float]
    matcher: Matcher
    rules: core.Rules
    drm: DrmKeeper

    async def running(self, token: str, uri: str) -> tuple[Claims, Session]:
        """The claims of a session's token, and its session. Refused or Problem when it does not run."""
        now = self.now()
        claims = verify(token, uri=uri, trust=self.issuers.trust(now), now=now, matcher=self.matcher)
        session = await self.sessions.get(claims.sid) if claims.kind == "session" else None
        if session is None or session.asset != claims.asset:
            raise Problem("forbidden", detail="no such session")
        await self._check_running(session, claims, now)
        return claims, session

    async def lease(self, token: str, uri: str) -> Lease:
        """The lease of the session this token is of. Refused or Problem when there is none to give."""
        now = self.now()
        claims, session = await self.running(token, uri)
        keys = await self.hierarchy.generation(session.tenant, session.asset, session.generation)
        if keys is None:
            raise Problem(
                "revoked", detail=f"keys of {session.asset} generation {session.generation} are deleted"
            )
        published = await self.keys.published(session.tenant, session.asset)
        of_asset = AssetLimits.from_json(published.limits or {}) if published else NO_ASSET_LIMITS
        limits = self._limits(session, of_asset)
        return Lease(
            sid=session.sid,
            tenant=session.tenant,
            asset=session.asset,
            generation=session.generation,
            srk=root_of(session, keys.asset_key),
            sk=keys.storage_key.reveal(),
            expires=session.expires,
            lease_expires=min(now + LEASE_S, session.expires),
            network=session.network,
            bucket=bucket_name(self.bucket_key.reveal(), session),
            iss=session.iss,
            kid=session.kid,
            lid=session.link_id,
            viewer=session.viewer,
            pace=within_limits(
                self.pace.overridden(published.pace if published else None).overridden(session.pace)
            ),
            now=now,
            limits=limits,
            cookie=self._cookie(session) if limits.device else "",
            opened=session.opened,
            token_kid=claims.kid,
            asset_streams=of_asset.streams,
            drm=self.drm.lent(keys),
        )

    async def _check_running(self, session: Session, claims: Claims, now: float) -> None:
        standing = session.standing(now)
        if standing == core.OVER:
            raise Problem("expired", detail="the session is over")
        revoked = await self.feed.refresh()
        kind = revoked.find(
            now=now,
            sid=session.sid,
            lid=session.link_id,
            viewer=session.viewer,
            asset=session.asset,
            signer=(session.iss, session.kid),
            issued=(session.tenant, session.opened),
        ) or revoked.find(now=now, signer=(claims.iss, claims.kid))
        if kind or standing == core.REVOKED:
            raise Problem("revoked", detail=f"by {kind or 'its record'}")

    def _limits(self, session: Session, of_asset: AssetLimits) -> Limits:
        """The link's limits; of streams a viewer may have, its asset's count as well, else the site's."""
        limits = Limits.from_json(session.limits or {})
        streams = smaller(limits.streams, of_asset.viewer_streams) or self.rules.streams or None
        return limits if streams == limits.streams else replace(limits, streams=streams)

    def _cookie(self, session: Session) -> str:
        return device_cookie(self.bucket_key.reveal(), session.iss, session.link_id)


def within_limits(pace: Pace) -> Pace:
    """The pace, each number moved between those of SLOWEST and FASTEST."""
    return Pace(
        **{
            f.name: min(max(getattr(pace, f.name), getattr(SLOWEST, f.name)), getattr(FASTEST, f.name))
            for f in fields(Pace)
        }
    )


def root_of(session: Session, asset_key: Secret) -> bytes:
    """SRK of a session: 32 bytes, of its asset's key and its record."""
    return session_root(
        asset_key.reveal(),
        session.salt,
        session.tenant,
        session.asset,
        session.generation,
        b64url_decode(session.sid),
    )
