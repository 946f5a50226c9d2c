"""The rings of signing keys as one process of the service knows them, and how they are turned.

The database has the truth: several processes may serve, and each looks again about once a second
(`refresh`). The session ring signs session tokens; the link ring believes the site's links. What is in a
ring, `keys.keyring` and `keys.link_ring` say.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from keys.hierarchy import LINK_SIGNING, SESSION_SIGNING, Hierarchy
from keys.keyring import Keyring
from keys.link_ring import LinkRing
from keys.problems import Problem
from keys.signing import SigningKey
from keys.tokens import SESSION_ISSUER

LOOK_EVERY_S: Final = 1.0
LEAD_S: Final = 15.0  # a new key is announced so long before it signs: edges hear of it within ten

log = logging.getLogger(__name__)


class Rings:
    """Both rings. Made by `open`."""

    def __init__(self, hierarchy: Hierarchy, sessions: Keyring, links: LinkRing) -> None:
        self.sessions = sessions
        self.links = links
        self._hierarchy = hierarchy

    @classmethod
    async def open(cls, hierarchy: Hierarchy, issuer: SigningKey, now: float) -> "Rings":
        """The stored rings, made on first start. `issuer` is the site's key as its file has it.

        A key that was put into that file by hand takes the place of the one before it at once; one that was
        rotated away stays so.
        """
        sessions = await hierarchy.service_key(SESSION_SIGNING, _new_sessions, now)
        stored = await hierarchy.service_key(LINK_SIGNING, LinkRing.of(issuer, now).to_json, now)
        links = LinkRing.from_json(stored.reveal())
        if not links.knows(issuer.kid):
            links = await _change_links(hierarchy, lambda ring: _put(ring, issuer, now))
            log.warning("issuer.json holds another key than before: links of the old one open nothing")
        elif issuer.kid != links.keys[0].public.kid:
            log.warning("issuer.json holds a key that was rotated away: copy the new one here")
        return cls(hierarchy, Keyring.from_json(sessions.reveal()), links)

    async def refresh(self, now: float) -> None:
        """Read both anew: another process may have turned them."""
        sessions = await self._hierarchy.service_key(SESSION_SIGNING, _new_sessions, now)
        links = await self._hierarchy.service_key(LINK_SIGNING, self.links.to_json, now)
        self.sessions = Keyring.from_json(sessions.reveal())
        self.links = LinkRing.from_json(links.reveal())

    async def run(self, now: Callable[[], float]) -> None:
        """Looks again every LOOK_EVERY_S, until cancelled. A database in trouble is asked again."""
        while True:
            try:
                await self.refresh(now())
            except Exception:  # whatever it is, the next look may succeed
                log.exception("the signing keys cannot be read")
            await asyncio.sleep(LOOK_EVERY_S)

    async def rotate_sessions(self, now: float, longest_token_s: float, lead_s: float) -> SigningKey:
        """A new key that signs session tokens from `lead_s` seconds on; running sessions keep theirs."""
        new = _session_key()
        self.sessions = await self._change_sessions(
            lambda ring: ring.rotated(new, now, longest_token_s, lead_s)
        )
        return new

    async def drop_session_key(self, kid: str) -> None:
        """Believes a session key no more, at once: it leaked. Problem conflict for the newest."""

        def without(ring: Keyring) -> Keyring:
            try:
                return ring.without(kid)
            except ValueError as exc:
                raise Problem("conflict", "The newest key cannot be dropped: rotate it first.") from exc

        self.sessions = await self._change_sessions(without)

    async def rotate_links(self, new: SigningKey, now: float, overlap_s: float) -> None:
        """Believes links of `new` from now on, and those of the key before it for `overlap_s` more."""
        self.links = await _change_links(self._hierarchy, lambda ring: ring.rotated(new, now, overlap_s))

    async def _change_sessions(self, change: Callable[[Keyring], Keyring]) -> Keyring:
        changed = await self._hierarchy.change_service_key(
            SESSION_SIGNING, lambda data: change(Keyring.from_json(data)).to_json()
        )
        return Keyring.from_json(changed.reveal())


def _session_key() -> SigningKey:
    return SigningKey.generate(SESSION_ISSUER, viewer_key=False)


def _new_sessions() -> bytes:
    return Keyring.of(_session_key()).to_json()


def _put(ring: LinkRing, issuer: SigningKey, now: float) -> LinkRing:
    return ring if ring.knows(issuer.kid) else ring.rotated(issuer, now, 0.0)


async def _change_links(hierarchy: Hierarchy, change: Callable[[LinkRing], LinkRing]) -> LinkRing:
    changed = await hierarchy.change_service_key(
        LINK_SIGNING, lambda data: change(LinkRing.from_json(data)).to_json()
    )
    return LinkRing.from_json(changed.reveal())
