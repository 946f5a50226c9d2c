"""What the keys service does, without HTTP: sessions and leases, revocation, generations, nodes, activity.

`KeysService.start` puts its parts together from an open database and the secrets; `run` is its background
work. Endpoints (`keys.app`) translate. Values from outside are parsed here; a bad one is Problem
`bad_request`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from keys.access import Access
from keys.asset_limits import AssetLimiter
from keys.claims import VERIFIED, Refused, log_fields
from keys.container import Matcher, canonical_uri
from keys.drm_keeping import DrmKeeper
from keys.fanout import Fanout
from keys.feed import RevocationFeed
from keys.hierarchy import Hierarchy
from keys.issuers import Issuers, LinkIssuer
from keys.jwks_watch import JwksWatch
from keys.leases import Lease, NewGeneration, OpenedSession
from keys.leasing import Lender, within_limits
from keys.names import DEFAULT_TENANT, asset_id
from keys.offline_licenses import OfflineLicenses
from keys.opening import Opener, check_address
from keys.pace import Pace
from keys.problems import Problem
from keys.purging import Purger
from keys.revocation import Feed
from keys.revoking import Revoker
from keys.rings import Rings
from keys.ripping import EVERY_S as RIPPERS_EVERY_S
from keys.ripping import Policy, Ripping, devices_of
from keys.root_keys import RootKeys
from keys.roster import SEEN_EVERY_S, Roster
from keys.rotation import Rotator
from keys.secrets import Secrets
from keys.sessions import Activity, Rules
from keys.stores import Stores
from keys.tokens import renewed
from keys.zone_links import ZoneLink, ZoneLinks

HOUSEKEEPING_S: Final = 600.0
LOOK_EVERY_S: Final = 1.0  # at the signing keys: another process may have rotated them

log = logging.getLogger(__name__)


class KeysService:
    """The use cases. Made by `start`; with `run`, revocations of other processes are seen within a second.

    `access` proves callers, `revoker` takes back, `rotator` rotates keys, `ripping` scores viewers,
    `asset_limits` limits assets, `roster` has the nodes, `purger` the log of purges, `offline` gives
    licenses for offline use, `drm` keeps documents of DRM providers.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        access: Access,
        roster: Roster,
        hierarchy: Hierarchy,
        feed: RevocationFeed,
        issuers: Issuers,
        rings: Rings,
        rotator: Rotator,
        revoker: Revoker,
        ripping: Ripping,
        opener: Opener,
        lender: Lender,
        zone_links: ZoneLinks,
        offline: OfflineLicenses,
        jwks: JwksWatch,
        now: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self.access = access
        self.roster = roster
        self.asset_limits = AssetLimiter(stores.keys)
        self.purger = Purger(stores.purges, now, count)
        self._stores = stores
        self._hierarchy = hierarchy
        self._feed = feed
        self._issuers = issuers
        self._rings = rings
        self.rotator = rotator
        self.revoker = revoker
        self.ripping = ripping
        self._opener = opener
        self._lender = lender
        self.drm = lender.drm
        self._zone_links = zone_links
        self.offline = offline
        self._fanout = Fanout()
        self._jwks = jwks
        self._now = now
        self._count = count

    @classmethod
    async def start(
        cls,
        stores: Stores,
        secrets: Secrets,
        *,
        hosts: Sequence[str],
        root: RootKeys | None = None,
        issuers: Iterable[LinkIssuer] = (),
        rules: Rules | None = None,
        pace: Pace | None = None,
        rippers: Policy | None = None,
        now: Callable[[], float] = time.time,
        count: Callable[[str], None] = lambda name: None,
    ) -> "KeysService":
        """The service over an open database. `hosts`: each public edge base URL, like `http://127.0.0.1:8010`.

        `root` keeps the root key when it is not in the secrets' files. `issuers` are believed besides the
        site itself (`keys.issuers.configured_issuers`). ValueError for a bad host; `keys.cipher.BadWrap` when
        the database belongs to another root key.
        """
        hosts = tuple(canonical_uri(host).rstrip("/") for host in hosts)
        rules = rules or Rules()
        hierarchy = Hierarchy(root or secrets.root, stores.keys)
        rings = await Rings.open(hierarchy, secrets.issuer, now())
        issuers = tuple(issuers)
        book = Issuers(issuers, rings, rules.maximum_s)
        access = Access(secrets, stores.nodes, now)
        feed = RevocationFeed(stores.revocations, now, lambda: book.mark(now()) + access.packagers_mark())
        rotator = Rotator(hierarchy, rings, book, secrets, feed, now, count)
        revoker = Revoker(stores, feed, book, rotator, rules.maximum_s, now, count)
        matcher = Matcher()
        bucket_key = await hierarchy.bucket_key(now())
        opener = Opener(
            stores.sessions, stores.keys, feed, book, rings, hosts, rules, now, matcher, bucket_key
        )
        pace = within_limits(pace or Pace())
        devices = devices_of(pace, rules)
        ripping = Ripping(stores.rippers, stores.sessions, revoker, rippers or Policy(), devices, count)
        drm = DrmKeeper(hierarchy, stores.drm)
        lender = Lender(
            stores.sessions, stores.keys, hierarchy, feed, book, bucket_key, pace, now, matcher, rules, drm
        )
        return cls(
            stores=stores,
            access=access,
            roster=Roster(stores.nodes, access, secrets, feed, now, count),
            hierarchy=hierarchy,
            feed=feed,
            issuers=book,
            rings=rings,
            rotator=rotator,
            revoker=revoker,
            ripping=ripping,
            opener=opener,
            lender=lender,
            offline=OfflineLicenses(lender, hierarchy, rings, stores.sessions, now, count),
            zone_links=ZoneLinks(feed, book, rings, matcher, rules.maximum_s, now, count),
            jwks=JwksWatch(book, {i.issuer.iss: i.jwks for i in issuers if i.jwks}, time.monotonic),
            now=now,
            count=count,
        )

    async def run(self) -> None:
        """Background work until cancelled: the logs that edges read, ripper scores and housekeeping."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed.run())
            tasks.create_task(self.purger.run())
            tasks.create_task(
                self._repeat(self._rings.refresh, LOOK_EVERY_S, "the signing keys cannot be read")
            )
            tasks.create_task(self._jwks.run())
            tasks.create_task(self._repeat(self.ripping.look, RIPPERS_EVERY_S, "viewers cannot be scored"))
            tasks.create_task(self._repeat(self._stores.forget, HOUSEKEEPING_S, "housekeeping failed"))
            tasks.create_task(
                self._repeat(self.roster.write_seen, SEEN_EVERY_S, "it cannot be noted which nodes were seen")
            )

    async def _repeat(self, work: Callable[[float], Awaitable[object]], every_s: float, trouble: str) -> None:
        """Does some work, which is told the time, again and again."""
        while True:
            try:
                await work(self._now())
            except Exception:  # whatever it is, the next time may succeed
                log.exception(trouble)
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """Answer waiting polls and give the database back."""
        await self.hush()
        await self._stores.close()

    async def hush(self) -> None:
        """Answer every waiting poll at once, and hold none from now on: the server wants to stop."""
        await self._feed.close()
        await self.purger.close()

    # ---- sessions

    async def open_session(
        self,
        token: str,
        uri: str,
        client_ip: str,
        edge: str,
        *,
        cookies: Sequence[str] = (),
        country: str = "",
    ) -> OpenedSession:
        """Open the session a link is good for. Problem forbidden, expired, limit or revoked else.

        `cookies` and `country` are what the edge knows of the browser (`keys.limits`).
        """
        check_address(client_ip)
        with self._counting_refusals("keys_sessions_refused"):
            opened, new = await self._opener.open(
                token, uri, client_ip, edge, cookies=cookies, country=country
            )
        self._count("keys_sessions_opened" if new else "keys_sessions_repeated")
        said = log_fields(VERIFIED)
        log.info("session %s asset=%s edge=%s new=%s %s", opened.sid, opened.asset, edge, new, said)
        return opened

    async def lease(self, session_token: str, uri: str, edge: str = "") -> Lease:
        """Lend the keys of a running session. Problem forbidden, expired or revoked when there is none."""
        with self._counting_refusals("keys_leases_refused"):
            lease = await self._lender.lease(session_token, uri)
        self._count("keys_leases")
        if alarm := self._fanout.note(edge, lease.asset, self._now()):
            self._count("keys_lease_alarms")
            log.warning("%s", alarm)
        return lease

    async def renew(self, session_token: str, uri: str) -> OpenedSession:
        """The token that follows this one of a running session (RFC 9246 §3). Problem when there is none."""
        with self._counting_refusals("keys_renewals_refused"):
            claims, session = await self._lender.running(session_token, uri)
            if claims.renewal is None:
                raise Problem("forbidden", detail="a token that is not to be renewed")
            token = renewed(
                self._opener.rings.sessions.active(self._now()), claims, ends=session.expires, now=self._now()
            )
        self._count("keys_renewals")
        return OpenedSession(token, session.sid, session.asset, session.generation, session.expires)

    async def zone_link(self, token: str, uri: str) -> ZoneLink:
        """Which viewer a zone's link names, and the token that follows it. Problem when it is not good."""
        with self._counting_refusals("keys_renewals_refused"):
            return await self._zone_links.ask(token, uri)

    @contextmanager
    def _counting_refusals(self, counter: str) -> Iterator[None]:
        try:
            yield
        except Refused as exc:
            self._count(counter)
            raise exc.problem() from exc
        except Problem:
            self._count(counter)
            raise

    async def add_activity(self, edge: str, seen: Mapping[str, Activity]) -> None:
        """Add what an edge saw of sessions since it last told. Unknown sessions are passed over."""
        now = self._now()
        told = {sid: replace(activity, at=min(activity.at, now)) for sid, activity in seen.items()}
        await self._stores.sessions.add_activity(edge, told)

    async def sessions(self, live_within_s: float, viewer: str | None = None) -> list[dict[str, Any]]:
        """The sessions active within that many seconds, the latest first: of everybody, or of one viewer."""
        now = self._now()
        found = await self._stores.sessions.seen_since(now - live_within_s, viewer)
        return [seen.to_json(now) for seen in found]

    async def live_sessions(self, within_s: float) -> int:
        """How many sessions were active within that many seconds."""
        return await self._stores.sessions.count_since(self._now() - within_s)

    # ---- revocation

    async def revocations(self, after: int, wait_s: float, trust: str | None = None) -> Feed:
        """What was revoked after version `after`; held up to `wait_s` seconds while nothing was.

        `trust` is the mark of the trust the asker has: another is news too.
        """
        return await self._feed.after(after, wait_s, trust)

    # ---- generations

    async def new_generation(self, asset: str, drm: bytes | None = None) -> NewGeneration:
        """Make a generation of an asset with keys of its own, and those of a document (`drm_keeping`)."""
        sealed = await self.drm.for_new(asset := asset_id(asset), drm)
        generation, keys = await self._hierarchy.new_generation(DEFAULT_TENANT, asset, self._now(), sealed)
        self._count("keys_generations")
        log.info("generation asset=%s generation=%d drm=%s", asset, generation, sealed is not None)
        return NewGeneration(
            DEFAULT_TENANT, asset, generation, keys.storage_key.reveal(), self.drm.told(keys)
        )

    async def publish(self, asset: str, generation: int, pace: Mapping[str, float] | None) -> None:
        """Let new sessions pin this generation. Problem not_found, or conflict with a later one."""
        asset = asset_id(asset)
        try:
            Pace().overridden(pace)
        except (ValueError, TypeError) as exc:
            raise Problem("bad_request", "A pace is of burst_s, rate, jump_s and jumps.") from exc
        await self.drm.claim(asset, generation)
        published = await self._stores.keys.publish(DEFAULT_TENANT, asset, generation, pace, self._now())
        if published is None:
            raise Problem("not_found", "There is no such generation.")
        if published != generation:
            raise Problem("conflict", f"Generation {published} is published already.")
        log.info("published asset=%s generation=%d", asset, generation)

    async def delete_asset(self, asset: str) -> None:
        """Delete the keys of all generations of an asset and end its sessions. Fine when there is none."""
        asset, now = asset_id(asset), self._now()
        await self._stores.keys.delete_asset(DEFAULT_TENANT, asset)
        ended = await self._stores.sessions.revoke_asset(DEFAULT_TENANT, asset, now)
        await self.revoker.ended(ended)
        await self._stores.database.flush_deleted()
        log.info("deleted asset=%s sessions=%d", asset, len(ended))

    # ---- nodes

    async def trust(self) -> dict[str, Any]:
        """Whom nodes believe: issuers of tokens, packagers of digest lists, nodes; and our clock."""
        await self._jwks.refresh_soon()  # nodes ask early for the sake of a key they do not know
        now = self._now()
        nodes = await self._stores.nodes.all()
        return {
            **self._issuers.trust(now).to_json(),
            "packagers": [jwk for _, role, jwk in nodes if role == "origin"],
            "nodes": [{"name": name, "role": role, "jwk": jwk} for name, role, jwk in nodes],
            "now": now,
        }

    def jwks(self) -> dict[str, Any]:
        """The public JWKS of the keys that sign session tokens (RFC 7517 §5)."""
        return {"keys": self._rings.sessions.public_jwks(self._now())}
