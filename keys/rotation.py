"""A new key in the place of one that is in use, with nothing interrupted.

    root     the stored keys are wrapped anew; nothing that was sealed, derived or signed changes
    tenant   the keys of the tenant's assets are wrapped anew; the same
    signing  of session tokens: announced first, signs after LEAD_S; running sessions keep the old one's token
    link     the site's: the new one is put into issuer.json; links of the old one open for the overlap
    region   seals from now on; what the one before it sealed opens until it has expired
Which keys there are is told with their states, never the keys themselves.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from keys.feed import RevocationFeed
from keys.hierarchy import REGION, Hierarchy
from keys.issuers import Issuers
from keys.names import DEFAULT_TENANT
from keys.problems import Problem
from keys.region_ring import KEY_BYTES, RegionRing
from keys.rings import LEAD_S, Rings
from keys.secrets import Secrets, write_issuer
from keys.signing import SigningKey
from keys.tokens import SESSION_ISSUER

ROOT: Final = "root"
TENANT: Final = "tenant"
SIGNING: Final = "signing"
LINK: Final = "link"
REGION_KEY: Final = "region"
KINDS: Final = (ROOT, TENANT, SIGNING, LINK, REGION_KEY)

DEFAULT_REGION: Final = "default"

ACTIVE: Final = "active"
ANNOUNCED: Final = "announced"
RETIRING: Final = "retiring"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key as operators see it: what it is for, its public name, since when, and until when it counts."""

    kind: str
    id: str
    state: str  # active, announced or retiring
    since: float | None = None  # when it began, or begins, to sign or seal
    until: float | None = None  # when a retiring one is believed no more

    def to_json(self) -> dict[str, Any]:
        """The key as `GET /v1/keys` lists it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Rotator:
    """Rotates, and tells what there is."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        rings: Rings,
        issuers: Issuers,
        secrets: Secrets,
        feed: RevocationFeed,
        now: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self._hierarchy = hierarchy
        self._rings = rings
        self._issuers = issuers
        self._secrets = secrets
        self._feed = feed
        self._now = now
        self._count = count
        self._turn = asyncio.Lock()

    async def rotate(
        self, kind: str, *, overlap_s: float | None = None, at_once: bool = False
    ) -> list[KeyState]:
        """Rotates one kind of key; the keys of that kind afterwards, the new one first.

        `overlap_s` is for links: how long those of the old key still open; None: as long as any of them may
        live. `at_once` is for session tokens: the new key signs without having been announced.
        """
        if kind not in KINDS:
            raise Problem("bad_request", f"What can be rotated: {', '.join(KINDS)}.")
        if overlap_s is not None and kind != LINK:
            raise Problem("bad_request", "Only the link key has an overlap.")
        if at_once and kind != SIGNING:
            raise Problem("bad_request", "Only the signing key is announced before it signs.")
        async with self._turn:
            await self._rotate(kind, overlap_s, 0.0 if at_once else LEAD_S)
        await self._feed.refresh()
        self._count("keys_rotations")
        log.info("rotated %s", kind)
        return [state for state in await self.states() if state.kind == kind]

    async def _rotate(self, kind: str, overlap_s: float | None, lead_s: float) -> None:
        now = self._now()
        if kind == ROOT:
            await self._hierarchy.rotate_root()
        elif kind == TENANT:
            await self._hierarchy.rotate_tenant(DEFAULT_TENANT, now)
        elif kind == SIGNING:
            await self._rings.rotate_sessions(now, self._issuers.longest_session_token_s, lead_s)
        elif kind == LINK:
            await self._rotate_links(now, self._issuers.longest_link_s if overlap_s is None else overlap_s)
        else:
            await self._region(DEFAULT_REGION, now)
            await self._hierarchy.change_service_key(
                REGION + DEFAULT_REGION,
                lambda data: RegionRing.from_bytes(data).rotated(os.urandom(KEY_BYTES), now).to_bytes(),
            )

    async def _rotate_links(self, now: float, overlap_s: float) -> None:
        """Believed first, then put where the site finds it: no link is signed that nobody believes."""
        new = SigningKey.generate(self._rings.links.iss)
        await self._rings.rotate_links(new, now, overlap_s)
        await asyncio.to_thread(write_issuer, self._secrets.directory, new)

    async def leaked(self, kid: str) -> None:
        """Believes a key of session tokens no more; when it is the newest, another signs from now on."""
        async with self._turn:
            ring = self._rings.sessions
            if ring.keys[0].key.kid == kid or ring.active(self._now()).kid == kid:
                await self._rotate(SIGNING, None, 0.0)
            await self._rings.drop_session_key(kid)

    async def region_keys(self, region: str) -> RegionRing:
        """The keys of a region for its edges. Problem not_found for one that is none."""
        if region != DEFAULT_REGION:
            raise Problem("not_found", "There is no such region.")
        return (await self._region(region, self._now())).at(self._now())

    async def _region(self, region: str, now: float) -> RegionRing:
        purpose = REGION + region
        key = await self._hierarchy.service_key(
            purpose, lambda: RegionRing.of(os.urandom(KEY_BYTES), now).to_bytes(), now
        )
        return RegionRing.from_bytes(key.reveal())

    async def states(self) -> list[KeyState]:
        """Every key that counts now, by kind, the newest first."""
        now = self._now()
        version = await self._hierarchy.tenant_version(DEFAULT_TENANT)
        region = await self._region(DEFAULT_REGION, now)
        return [
            KeyState(ROOT, await self._hierarchy.root_version(), ACTIVE),
            *([KeyState(TENANT, f"{DEFAULT_TENANT}/{version}", ACTIVE)] if version else []),
            *self._session_states(now),
            *self._link_states(now),
            *(
                KeyState(REGION_KEY, f"{DEFAULT_REGION}/{k.version}", _state(k.retires), k.since, k.retires)
                for k in region.at(now).keys
            ),
        ]

    def _session_states(self, now: float) -> Iterator[KeyState]:
        for each in self._rings.sessions.trimmed(now).keys:
            state = ANNOUNCED if each.starts > now else _state(each.retires)
            if state == RETIRING and each.key is self._rings.sessions.active(now):
                state = ACTIVE  # until the announced one begins
            name = f"{SESSION_ISSUER}/{each.key.kid}"
            yield KeyState(SIGNING, name, state, each.starts or None, each.retires)

    def _link_states(self, now: float) -> Iterator[KeyState]:
        ring = self._rings.links
        for each in ring.at(now):
            name = f"{ring.iss}/{each.public.kid}"
            yield KeyState(LINK, name, _state(each.retires), each.since, each.retires)


def _state(retires: float | None) -> str:
    return ACTIVE if retires is None else RETIRING
