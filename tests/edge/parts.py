"""What edge tests are played with: keys with real tokens, a library of plain bytes, gates, a server."""

import asyncio
import contextlib
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.http_guard import Guard
from deploy.serve import config
from edge.app import EdgeApp, EdgeSettings
from edge.deliver.admission import Limits
from edge.deliver.clients import nowhere
from edge.deliver.trust import TrustedTokens
from edge.zone.parts import Parts as ZoneParts
from edge.zone.seen import Seen
from edge.zone.upstream import Upstream
from edge.zone.zone import Zone
from keys import limits as link_limits
from keys import sign_url
from keys.cipher import open_claim
from keys.derive import content_key, download_salt, session_root
from keys.ecdh import read_public, thumbprint
from keys.jwk import public_jwk
from keys.leases import Lease, OpenedSession
from keys.names import b64url, b64url_decode
from keys.offline import File, License, issue
from keys.offline_licenses import OfflineLicense
from keys.opening import opened_scope
from keys.pace import Pace
from keys.problems import Problem
from keys.purge import Purge, Purges
from keys.renewal import Renewal
from keys.revocation import Entry, Feed
from keys.sessions import Activity
from keys.signing import SigningKey
from keys.tokens import Trust, mint, renewed, verify
from keys.zone_links import ZoneLink, follow
from origin.media.asset import FILE_OBJECT, Descriptor, Download, Rendition
from origin.media.seal import SLICE
from tests.support.serving import listening_on

TENANT = "default"
GENERATION = 3
NEVER_BUSY = Limits(lag_s=10.0, wait_s=30.0)  # though the machine may be
STORED = 1_750_000_000  # seconds since the epoch: when the downloads were made
FILES = {"film.mp4": 3 * SLICE + 77, "clip.mp4": 1000, "empty.mp4": 0}  # downloads and their sizes
PROTECTED = {"locked.mp4": 2 * SLICE + 77, "hollow.mp4": 0}  # those that leave encrypted only


def descriptor(sizes: tuple[int, ...] = (100, 3 * SLICE + 5, SLICE, 16, 999, 70_000)) -> Descriptor:
    """A film of one video and one audio rendition, 4 s a segment, 2 segments a key period."""
    durations = (4000,) * len(sizes)
    video = Rendition(
        "720p", "video", 0, "avc1.64001f", 1000, durations, sizes, 1_000_000, 900_000, 1280, 720, 25.0
    )
    audio = Rendition("audio", "audio", 1, "mp4a.40.2", 1000, durations, sizes, 128_000, 120_000, channels=2)
    files = (
        *(downloaded(name, size) for name, size in FILES.items()),
        *(replace(downloaded(name, size), protection="ece") for name, size in PROTECTED.items()),
    )
    return Descriptor(
        TENANT, "film", GENERATION, "A film", 4.0 * len(sizes), 2, (video, audio), downloads=files
    )


def downloaded(name: str, size: int, shown: str = "", body: bytes | None = None) -> Download:
    """The entry of a file as the packager writes it."""
    digest = hashlib.sha256(file_bytes(name, size) if body is None else body).digest()
    return Download(
        name, shown or f"A {name}", "video/mp4", size, b64url(digest), file_rendition(name), STORED
    )


def file_rendition(name: str) -> str:
    """The rendition that holds a file."""
    return f"file-{name.partition('.')[0]}"


def file_bytes(name: str, size: int) -> bytes:
    """A download's bytes."""
    return plain_bytes(f"{name}-file", size)


def plain_bytes(name: str, size: int) -> bytes:
    """Bytes that differ in every place and object."""
    unit = b"".join(f"{name}:{i:06d};".encode() for i in range(min(size // 8 + 1, 4096)))
    return (unit * (size // len(unit) + 1))[:size]


@dataclass
class MemoryOpened:
    """An opened object in memory. `gate`, when set, holds every slice after the first."""

    body: bytes
    source: str = "l1"
    stored: bool = False
    fail_at: int | None = None
    gate: asyncio.Event | None = None
    closed: bool = False

    @property
    def length(self) -> int:
        return len(self.body)

    def close(self) -> None:
        self.closed = True

    async def slice(self, index: int) -> memoryview:
        if index and self.gate is not None:
            await self.gate.wait()
        if self.fail_at is not None and index >= self.fail_at:
            raise Problem("bad_upstream", detail=f"slice {index} does not come")
        return memoryview(self.body)[index * SLICE : (index + 1) * SLICE]


@dataclass
class MemoryLibrary:
    """Published assets in memory."""

    assets: dict[tuple[str, int], Descriptor] = field(
        default_factory=lambda: {("film", GENERATION): descriptor()}
    )
    opens: list[tuple[str, str, range | None]] = field(default_factory=list)
    fail_at: int | None = None
    gate: asyncio.Event | None = None
    source: str = "l1"
    opened: list[MemoryOpened] = field(default_factory=list)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by rendition and name: further ones

    async def descriptor(self, asset: str, generation: int) -> Descriptor:
        found = self.assets.get((asset, generation))
        if found is None:
            raise Problem("not_found", detail=f"{asset}/{generation}")
        return found

    def body(self, asset: str, generation: int, rendition: str, name: str) -> bytes:
        if (rendition, name) in self.objects:
            return self.objects[rendition, name]
        if name.startswith("map-"):
            raise Problem("not_found", detail=f"{rendition}/{name}")
        if name == "init.mp4":
            return plain_bytes(f"{asset}{rendition}init", 700)
        if name == FILE_OBJECT:
            files = self.assets[asset, generation].downloads
            size, file = next((d.size, d.name) for d in files if d.rendition == rendition)
            return file_bytes(file, size)
        found = self.assets[asset, generation].rendition(rendition)
        assert found is not None
        return plain_bytes(
            f"{asset}/{generation}/{rendition}/{name}", found.sizes[int(name.removesuffix(".m4s"))]
        )

    async def open(
        self,
        tenant: str,
        asset: str,
        generation: int,
        rendition: str,
        name: str,
        storage_key: bytes,
        *,
        wanted: range | None = None,
    ) -> MemoryOpened:
        assert (tenant, len(storage_key)) == (TENANT, 32)
        self.opens.append((rendition, name, wanted))
        body = self.body(asset, generation, rendition, name)
        stored = self.source == "origin"
        self.opened.append(MemoryOpened(body, self.source, stored, self.fail_at, self.gate))
        return self.opened[-1]


@dataclass
class Leave:
    """A grant that comes when `given` is set."""

    given: asyncio.Event
    dripping: bool = True
    left: bool = False
    waits: int = 0

    async def wait(self, timeout_s: float) -> bool:
        self.waits += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.given.wait()
        return self.given.is_set()

    def may_drip(self) -> bool:
        return self.dripping

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.left = not self.given.is_set()


@dataclass
class MemoryGate:
    """A pace that is open, or held until `given` is set."""

    given: asyncio.Event = field(default_factory=asyncio.Event)
    dripping: bool = True
    asked: list[tuple[str, str, str, int, float]] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    grants: list[Leave] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def request(
        self,
        bucket: str,
        media_type: str,
        pace: Pace,
        item: str,
        number: int,
        seconds: float,
        following: Sequence[float] = (),
    ) -> Leave:
        self.asked.append((bucket, media_type, item, number, seconds))
        self.paces.append(pace)
        self.grants.append(Leave(self.given, self.dripping))
        self.arrived.set()
        return self.grants[-1]


@dataclass
class MemoryKeys:
    """The keys service in memory: real tokens, real derivation, one asset key. `down`: out of reach."""

    edges: tuple[str, ...] = ("http://edge.test",)
    site: SigningKey = field(default_factory=lambda: SigningKey.generate("site"))
    own: SigningKey = field(default_factory=lambda: SigningKey.generate("sluice"))
    packager: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    session_s: int = 3600
    network: str | None = None
    limits: link_limits.Limits = link_limits.NO_LIMITS
    asset_streams: int | None = None
    down: bool = False
    refuse: Problem | None = None
    entries: list[Entry] = field(default_factory=list)
    purged: list[Purge] = field(default_factory=list)
    opened: dict[tuple[str, str], OpenedSession] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    told: list[tuple[tuple[str, ...], str]] = field(default_factory=list)  # cookies, country
    cookie: str = ""
    seen: list[dict[str, Activity]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lease_s: float = 900.0
    slow: asyncio.Event | None = None

    async def _asked(self, name: str) -> None:
        self.calls.append(name)
        if self.slow is not None:
            await self.slow.wait()
        if self.down:
            raise Problem("unavailable", detail="keys is down")

    async def trust(self) -> dict[str, Any]:
        await self._asked("trust")
        issuers = [
            {"iss": "site", "kind": "link", "keys": [self.site.public_jwk()], "max_lifetime_s": 90_000},
            {"iss": "sluice", "kind": "session", "keys": [self.own.public_jwk()], "max_lifetime_s": 90_000},
        ]
        return {
            "issuers": issuers,
            "packagers": [public_jwk(self.packager.public_key())],
            "nodes": [],
            "now": 0,
        }

    async def open_session(
        self, token: str, uri: str, client_ip: str, *, cookies: Sequence[str] = (), country: str = ""
    ) -> OpenedSession:
        await self._asked("open_session")
        self.told.append((tuple(cookies), country))
        if self.refuse is not None:
            raise self.refuse
        claims = verify(token, uri=uri, trust=Trust.from_json(await self.trust()), now=time.time())
        asset = opened_scope(uri).asset
        known = self.opened.get((claims.lid, client_ip))
        if known is None:
            sid = bytes([len(self.opened)] * 16)
            text = self.session_token(
                sid, asset, paths=opened_scope(uri).paths, renewal=claims.renewal, offline=claims.offline
            )
            expires = int(time.time()) + self.session_s
            known = OpenedSession(
                text, b64url(sid), asset, GENERATION, expires, self.cookie, expires if self.cookie else 0
            )
            self.opened[claims.lid, client_ip] = known
        return known

    def session_token(
        self,
        sid: bytes,
        asset: str = "film",
        *,
        ends_in: float | None = None,
        paths: str | None = None,
        renewal: Renewal | None = None,
        offline: int = 0,
    ) -> str:
        now = time.time()
        expires = now + (self.session_s if ends_in is None else ends_in)
        return mint(
            self.own, sid=sid, asset=asset, expires=expires, now=now, hosts=self.edges, paths=paths,
            renewal=renewal, offline=offline,
        )  # fmt: skip

    async def renew(self, session_token: str, uri: str) -> OpenedSession:
        await self._asked("renew")
        now = time.time()
        claims = verify(session_token, uri=uri, trust=Trust.from_json(await self.trust()), now=now)
        ends = now + self.session_s
        text = renewed(self.own, claims, ends=ends, now=now)
        return OpenedSession(text, claims.sid, claims.asset, GENERATION, int(ends))

    async def offline_license(
        self, session_token: str, uri: str, device: Mapping[str, Any], file: Mapping[str, Any]
    ) -> OfflineLicense:
        await self._asked("offline_license")
        if self.refuse is not None:
            raise self.refuse
        now = int(time.time())
        claims = verify(session_token, uri=uri, trust=Trust.from_json(await self.trust()), now=now)
        root, holder = self.lease_of(claims.sid).srk, read_public(device)
        _, asset, _, name, _ = urlsplit(uri).path.split("/")[1:]
        sha256 = b64url_decode(file["sha256"])
        what = File(asset, name, file["name"], file["type"], file["size"], sha256)
        license = License(
            b64url(secrets.token_bytes(16)), claims.sid, what, download_salt(root, name),
            now, now + claims.offline, thumbprint(holder),
        )  # fmt: skip
        text = issue(self.own, license, content_key(root, "ece", "file", file["rendition"], 0), holder)
        return OfflineLicense(text, self.own.public_jwk())

    async def zone_link(self, token: str, uri: str) -> ZoneLink:
        await self._asked("zone_link")
        now = time.time()
        claims = verify(token, uri=uri, trust=Trust.from_json(await self.trust()), now=now)
        assert self.site.viewer_key is not None
        viewer = open_claim(self.site.viewer_key.reveal(), claims.sub) if claims.sub else None
        if claims.renewal is None:
            return ZoneLink(viewer)
        return ZoneLink(viewer, follow(self.own, claims, longest_s=self.session_s, now=now))

    async def lease(self, session_token: str, uri: str) -> Lease:
        await self._asked("lease")
        if self.refuse is not None:
            raise self.refuse
        claims = verify(session_token, uri=uri, trust=Trust.from_json(await self.trust()), now=time.time())
        return self.lease_of(claims.sid, claims.asset, claims.exp)

    def lease_of(self, sid: str, asset: str = "film", expires: int | None = None) -> Lease:
        now = time.time()
        root = session_root(bytes(range(32)), bytes(32), TENANT, asset, GENERATION, b64url_decode(sid))
        ends = int(now) + self.session_s if expires is None else expires
        return Lease(
            sid, TENANT, asset, GENERATION, root, bytes(32), ends, now + self.lease_s, self.network,
            "bucket", self.site.iss, self.site.kid, "link-1", "viewer-1", Pace(), now,
            self.limits, self.cookie, now, self.own.kid, self.asset_streams,
        )  # fmt: skip

    def revoke(self, kind: str, value: str, until: float | None = None) -> None:
        ends = time.time() + 3600 if until is None else until
        self.entries.append(Entry(len(self.entries) + 1, kind, value, ends))
        self.news.set()

    @property
    def mark(self) -> str:
        """Of the trust: another when a key was rotated."""
        return f"{self.site.kid}{self.own.kid}"

    async def revocations(self, after: int, wait_s: float = 0, trust: str | None = None) -> Feed:
        await self._asked("revocations")
        if after == len(self.entries) and wait_s and trust in (None, self.mark):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.news.wait()
        self.news.clear()
        new = tuple(entry for entry in self.entries if entry.version > after)
        return Feed(len(self.entries), new, time.time(), self.mark)

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        if self.down:
            raise Problem("unavailable", detail="keys is down")
        if after == len(self.purged):
            await asyncio.sleep(wait_s)
        return Purges(len(self.purged), tuple(self.purged[after:]) if after >= 0 else ())

    async def tell_activity(self, seen: Mapping[str, Activity]) -> None:
        await self._asked("tell_activity")
        self.seen.append(dict(seen))


async def refusal(trusted: TrustedTokens, key: SigningKey, url: str) -> str | None:
    """The code a link to `url` of this signer is refused with; None when it is believed."""
    token = sign_url(url, key).split("URISigningPackage=")[1].split("/")[0]
    try:
        await trusted.verify(token, url)
    except Problem as problem:
        return problem.code
    return None


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; the test's own time limit is the bound."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event to offer
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def served(app: EdgeApp, listening: socket.socket, guard: Guard | None = None) -> AsyncIterator[None]:
    """The app behind the server that `deploy` puts before it, on this socket."""
    settings = config(app, guard=guard)
    settings.timeout_graceful_shutdown = 2
    server = uvicorn.Server(settings)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@dataclass
class World:
    """One edge over a real socket, and everything behind it."""

    url: str
    app: EdgeApp
    keys: MemoryKeys
    library: MemoryLibrary
    gate: MemoryGate
    trusted: TrustedTokens
    counted: dict[str, int]
    observed: list[tuple[str, float]]  # first bytes: series, seconds

    def link(self, asset: str = "film", **how: Any) -> str:
        return sign_url(f"{self.url}/v/{asset}/main.m3u8", self.keys.site, **how)

    def session(
        self, sid: bytes = bytes(16), asset: str = "film", protection: str = "aes", **how: Any
    ) -> str:
        """The base URL of a session: add `720p/0.m4s`."""
        token = self.keys.session_token(sid, asset, **how)
        return f"{self.url}/v;URISigningPackage={token}/{asset}/{protection}/"

    def download(
        self, file: str = "film.mp4", sid: bytes = bytes(16), asset: str = "film", **how: Any
    ) -> str:
        """The URL of a download, such as `film.mp4` or `ece/locked.mp4`, under a session's token."""
        paths = opened_scope(f"{self.url}/d/{asset}/{file}").paths
        token = self.keys.session_token(sid, asset, paths=paths, **how)
        return f"{self.url}/d;URISigningPackage={token}/{asset}/{file}"

    def download_link(self, file: str = "film.mp4", asset: str = "film", **how: Any) -> str:
        """A signed link to a download."""
        return sign_url(f"{self.url}/d/{asset}/{file}", self.keys.site, **how)


def listening_socket() -> tuple[socket.socket, str]:
    """A socket on a free port, and its URL."""
    listening = listening_on()
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def world(
    web: Path,
    keys: MemoryKeys | None = None,
    guard: Guard | None = None,
    now: Callable[[], float] = time.time,
    country_of: Callable[[str], str] = nowhere,
    zones: Sequence[Zone] = (),
    zone_upstream: Upstream | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """An edge that serves `film` from memory and whose pace is open. `now` is its wall clock."""
    listening, url = listening_socket()
    keys = keys or MemoryKeys()
    keys.edges = (url,)
    library, gate = MemoryLibrary(), MemoryGate()
    gate.given.set()
    counted: dict[str, int] = {}
    observed: list[tuple[str, float]] = []

    def count(name: str, by: int) -> None:
        counted[name] = counted.get(name, 0) + by

    trusted = TrustedTokens(keys, now=now, clock=time.monotonic)
    public = settings.pop("public_url", url)
    made = EdgeSettings("sluice-edge-1", public, web, **{"busy": NEVER_BUSY, **settings})
    app = EdgeApp(
        made,
        keys=keys,
        trusted=trusted,
        library=library,
        pace=gate,
        now=now,
        clock=time.monotonic,
        metrics=lambda: "sluice_up 1\n",
        count=count,
        country_of=country_of,
        zones=zones,
        zone_parts=ZoneParts(upstream=zone_upstream, seen=Seen(count=lambda name, by, _: count(name, by))),
        observe=lambda series, seconds: observed.append((series, seconds)),
    )
    async with served(app, listening, guard):
        await until(lambda: not (trusted.missing() or app.revocations.missing()))
        yield World(url, app, keys, library, gate, trusted, counted, observed)
