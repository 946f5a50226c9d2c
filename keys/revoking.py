"""Taking back, and lifting what was taken back: parses what an operator named, and writes the log.

Each revocation counts until the last token it could concern has expired; a signing key's for ever, since who
has it goes on signing. A viewer, link, asset, signing key of a site, or a tenant epoch can be lifted again:
new sessions begin then. A session that was ended stays ended.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from keys import revocation
from keys.feed import RevocationFeed
from keys.issuers import Issuers
from keys.names import DEFAULT_TENANT, asset_id
from keys.problems import Problem
from keys.revocation import Entry
from keys.rotation import Rotator
from keys.sessions import Session
from keys.stores import Stores
from keys.tokens import SESSION_ISSUER

MAX_VALUE: Final = 512  # characters of what an operator revokes

log = logging.getLogger(__name__)


class Revoker:
    """Revokes and lifts. `longest_session_s` is the site's."""

    def __init__(
        self,
        stores: Stores,
        feed: RevocationFeed,
        issuers: Issuers,
        rotator: Rotator,
        longest_session_s: float,
        now: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self._stores = stores
        self._feed = feed
        self._issuers = issuers
        self._rotator = rotator
        self._longest_session_s = longest_session_s
        self._now = now
        self._count = count

    async def revoke(self, kind: str, value: str) -> Entry:
        """Take back a session, link, viewer, asset, signing key (`iss/kid`, or its ID alone), or an epoch.

        The value of an `epoch` is the tenant: all of it that was signed or opened until now. `slow` takes
        nothing back: see `slow` below.
        """
        now = self._now()
        name = self._name(kind, value, now)
        until = await self._concerns_until(kind, name, now)
        if kind == revocation.KID and name.startswith(f"{SESSION_ISSUER}/"):
            await self._rotator.leaked(name.partition("/")[2])
        if kind != revocation.SLOW:
            await self._stores.sessions.revoke(kind, name)
        (entry,) = await self._stores.revocations.add([(kind, name)], until, now)
        await self._feed.refresh()
        self._count("keys_revocations")
        log.info("revoked %s version=%d", kind, entry.version)
        return entry

    async def slow(self, name: str) -> Entry:
        """Give a viewer, or a link that names none, media at real time, for as long as any session lasts."""
        now = self._now()
        until = now + self._longest_session_s
        (entry,) = await self._stores.revocations.add([(revocation.SLOW, name)], until, now)
        await self._feed.refresh()
        return entry

    async def end_sessions(self, viewer: str) -> list[str]:
        """End the sessions a viewer has now; their IDs. His links stay good: he may come again."""
        if not 0 < len(viewer) <= MAX_VALUE:
            raise Problem("bad_request", "Say whose sessions: viewer, an ID.")
        ended = await self._stores.sessions.revoke_viewer(viewer, self._now())
        await self.ended(ended)
        self._count("keys_revocations")
        log.info("ended sessions=%d of one viewer", len(ended))
        return [session.sid for session in ended]

    async def ended(self, sessions: Sequence[Session]) -> None:
        """Tells every edge of sessions that were ended."""
        until = max((session.expires for session in sessions), default=0)
        names = [(revocation.SID, session.sid) for session in sessions]
        await self._stores.revocations.add(names, until, self._now())
        await self._feed.refresh()

    async def lift(self, kind: str, value: str) -> Entry:
        """Let new sessions begin again. Problem not_found when nothing of this name is revoked."""
        now = self._now()
        if kind == revocation.SID:
            raise Problem("bad_request", "A session that was ended stays ended: open the link again.")
        name = value if kind == revocation.EPOCH else self._name(kind, value, now)
        entry = await self._stores.revocations.lift(kind, name, now)
        if entry is None:
            raise Problem("not_found", "Nothing of this name is revoked.")
        if kind == revocation.SLOW:
            await self._stores.rippers.lift(name, kind)
        await self._feed.refresh()
        self._count("keys_revocations")
        log.info("lifted %s version=%d", kind, entry.version)
        return entry

    def _name(self, kind: str, value: str, now: float) -> str:
        """The value as the log has it. Problem bad_request, or not_found for an unknown signing key."""
        if kind not in revocation.ENTRIES or not 0 < len(value) <= MAX_VALUE or not value.isprintable():
            kinds = ", ".join(revocation.ENTRIES)
            raise Problem("bad_request", f"What can be revoked is named by a kind ({kinds}) and a value.")
        if kind == revocation.ASSET:
            return asset_id(value)
        if kind == revocation.KID:
            return self._signing_key(value, now)
        if kind == revocation.EPOCH:
            if value != DEFAULT_TENANT:
                raise Problem("not_found", "There is no such tenant.")
            return revocation.epoch_name(value, now)
        return value

    def _signing_key(self, value: str, now: float) -> str:
        """`iss/kid`; a key ID alone is looked for among those that are believed now."""
        if "/" in value:
            return value
        for issuer in self._issuers.trust(now).issuers:
            if any(key.kid == value for key in issuer.keys):
                return revocation.signing_key_name(issuer.iss, value)
        raise Problem("not_found", "No signing key that is believed has this ID.")

    async def _concerns_until(self, kind: str, name: str, now: float) -> float:
        """When the last token this could concern has expired."""
        if kind == revocation.SID:
            session = await self._stores.sessions.get(name)
            if session is None:
                raise Problem("not_found", "There is no such session.")
            return float(session.expires)
        if kind == revocation.KID:
            return revocation.FOREVER
        if kind == revocation.SLOW:
            return now + self._longest_session_s
        return now + self._issuers.longest_link_s + self._longest_session_s
