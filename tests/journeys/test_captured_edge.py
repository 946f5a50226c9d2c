"""T19: what who captured an edge can do with all it has, and what he cannot (SECURITY 3.5, line by line).

He has the edge's own key, the join token of edges, its Redis and the tokens of its live sessions; so has each
test, from a running system. Likewise for whoever has the origin, Redis or the blob store.
"""

import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from keys import SigningKey
from keys.access import node_key
from keys.client import KeysClient, node_credential
from keys.jws import parse, sign
from keys.leases import LEASE_S
from keys.names import b64url
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.strict_json import strict_object
from keys.tokens import SESSION_ISSUER, mint
from origin.media.digests import BadList, ObjectDigest, digest_of, read_list, write_list
from origin.media.seal import BadSlice, Sealer
from tests.support.eventually import eventually
from tests.support.packaged import Packaged
from tests.support.publish import publish
from tests.support.system import System
from tests.support.viewer import Viewer, decrypt

SIZES = {"720p": [50_000] * 6}
NAME = "sluice-edge-1"


class Captured:
    """All that a captured edge has, and one live session of it."""

    def __init__(self, system: System, node: NodeIdentity, keys: KeysClient, viewer: Viewer) -> None:
        self.system, self.node, self.keys, self.viewer = system, node, keys, viewer
        self.join_token = (system.data / "secrets" / "join-token").read_text().strip()
        self.token = viewer.url.split("URISigningPackage=")[1].split("/")[0]
        self.http = httpx.AsyncClient(timeout=30)

    def uri(self, asset: str) -> str:
        """The public URI of a segment."""
        return f"{self.system.edges[0]}/v/{asset}/aes/720p/0.m4s"

    async def status(self, method: str, path: str, body: object = None) -> int:
        """What keys answers to this under the edge's own bearer."""
        headers = {"authorization": f"Bearer {self.node.bearer('keys', time.time())}"}
        url = self.system.direct("keys") + path
        return (await self.http.request(method, url, json=body, headers=headers)).status_code

    async def refused(self, token: str, asset: str) -> str:
        """The code with which keys gives no lease."""
        with pytest.raises(Problem) as caught:
            await self.keys.lease(token, self.uri(asset))
        return caught.value.code


@pytest.fixture
async def captured(system: System) -> AsyncIterator[Captured]:
    """The first edge in other hands, while one viewer watches `watched` there."""
    asset = f"watched-{secrets.token_hex(4)}"
    await publish(system, asset, SIZES)
    node = NodeIdentity.load_or_create(system.data / "edge-1" / "node.json", NAME, "edge")
    async with (
        KeysClient(system.direct("keys"), node_credential(node, time.time)) as keys,
        await Viewer(system.sign(asset)).opened() as viewer,
    ):
        yield Captured(system, node, keys, viewer)


def asset_of(captured: Captured) -> str:
    return captured.viewer.url.split("/aes/")[0].rsplit("/", 1)[1]


async def test_t19_an_edge_reads_what_its_live_sessions_watch_and_for_a_lease_only(
    captured: Captured,
) -> None:
    asset = asset_of(captured)
    lease = await captured.keys.lease(captured.token, captured.uri(asset))
    stored = await Packaged.of(captured.system.data, asset)
    assert lease.sk == stored.key
    assert lease.lease_expires - lease.now <= LEASE_S
    told = captured.system.sluice("revoke", lease.sid)
    assert told.returncode == 0, told.stderr
    assert await captured.refused(captured.token, asset) == "revoked"


async def test_t19_an_edge_mints_no_token_and_extends_none(captured: Captured) -> None:
    asset, node = asset_of(captured), captured.node
    trust = await captured.keys.trust()
    assert '"d"' not in json.dumps(trust), "public keys only"
    claims = strict_object(parse(captured.token).payload)
    kid = parse(captured.token).kid
    own = SigningKey(SESSION_ISSUER, kid, node.private)
    hosts, now = captured.system.edges, time.time()
    forged = [
        mint(own, sid=os.urandom(16), asset=asset, expires=now + 3600, now=now, hosts=hosts),
        sign(node.private, kid, {**claims, "exp": int(now) + 7 * 86_400}),
        sign(node.private, node.name, claims),
        captured.token.rsplit(".", 1)[0] + "." + b64url(node.private.sign(b"x")),
    ]
    for token in forged:
        assert await captured.refused(token, asset) == "forbidden"
        url = captured.viewer.segment_url("720p", 0).replace(captured.token, token)
        assert (await captured.http.get(url)).status_code == 403
    link = parse(captured.system.sign(asset).split("=")[1].split("/")[0])
    path = f"{hosts[0]}/v/{asset}/main.m3u8"
    text = sign(node.private, link.kid, strict_object(link.payload))
    with pytest.raises(Problem) as caught:
        await captured.keys.open_session(text, path, "127.0.0.1")
    assert caught.value.code == "forbidden"


async def test_t19_an_edge_unseals_no_idle_asset(captured: Captured) -> None:
    system = captured.system
    idle = await publish(system, f"idle-{secrets.token_hex(4)}", SIZES)
    headers = {"authorization": f"Bearer {captured.node.bearer('origin', time.time())}"}
    blob = await captured.http.get(f"{system.direct('origin')}/v1/blobs/{idle}/1/720p/0.m4s", headers=headers)
    assert blob.status_code == 200, "it may fetch sealed slices of anything"
    lease = await captured.keys.lease(captured.token, captured.uri(asset_of(captured)))
    for key in (lease.sk, lease.srk):
        with pytest.raises(BadSlice):
            Sealer(key, "default", idle, 1, "720p", "0.m4s").open(0, blob.content)
    assert await captured.refused(captured.token, idle) == "forbidden"
    for method, path, body in (
        ("POST", "/v1/generations", {"asset": idle}),
        ("POST", f"/v1/generations/{idle}/1/publish", {}),
        ("GET", "/v1/sessions", None),
        ("GET", "/v1/keys", None),
    ):
        assert await captured.status(method, path, body) == 401, path


async def test_t19_an_edge_changes_nothing_that_others_play(captured: Captured) -> None:
    asset, system, node = asset_of(captured), captured.system, captured.node
    stored = await Packaged.of(system.data, asset)
    packagers = [node_key(jwk) for jwk in (await captured.keys.trust())["packagers"]]
    rows = [ObjectDigest("0.m4s", 5, (digest_of(b"other bytes"),))]
    with pytest.raises(BadList):
        read_list(write_list(node.private, asset, 1, "720p", rows), packagers, asset, 1, "720p")

    file = system.data.parent / f"{secrets.token_hex(4)}.json"
    impostor = NodeIdentity.load_or_create(file, "sluice-origin-2", "origin")
    async with KeysClient(system.direct("keys")) as stranger:
        with pytest.raises(Problem) as caught:
            await stranger.enrol(impostor, captured.join_token)
        assert caught.value.code == "unauthenticated", "the edges' join token makes nobody a packager"
    upload = f"{system.direct('origin')}/v1/uploads?name=film.mp4&id={asset}"
    headers = {"authorization": f"Bearer {node.bearer('origin', time.time())}"}
    assert (await captured.http.post(upload, content=b"x", headers=headers)).status_code == 401

    async with system.redis() as redis:
        names = [name async for name in redis.scan_iter(count=1000)]
        for name in names:
            if await redis.type(name) == b"string":
                await redis.set(name, os.urandom(50_016), keepttl=True, xx=True)
    async with await Viewer(system.sign(asset)).opened() as other:
        for number in range(6):
            key = await other.client.get(other.url.replace("main.m3u8", f"720p/key/{number // 3}"))
            plain = decrypt(key.content, number, await other.cipher("720p", number))
            assert plain == stored.segment("720p", number)


async def test_t19_an_edge_unrevokes_nothing_and_rotates_nothing(captured: Captured) -> None:
    asset = asset_of(captured)
    sid = str(strict_object(parse(captured.token).payload)["sid"])
    told = captured.system.sluice("revoke", sid)
    assert told.returncode == 0, told.stderr
    for path, body in (
        ("/v1/revocations", {"kind": "sid", "value": sid, "lift": True}),
        ("/v1/revocations", {"kind": "asset", "value": asset}),
        ("/v1/rotations", {"kind": "signing"}),
    ):
        assert await captured.status("POST", path, body) == 401
    assert await captured.status("DELETE", f"/v1/assets/{asset}") == 401
    activity = {sid: {"at": time.time(), "requests": 1, "bytes": 1, "media_s": 1.0}}
    assert await captured.status("POST", "/v1/activity", {"sessions": activity}) == 204
    assert await captured.refused(captured.token, asset) == "revoked"

    async def stopped() -> bool:
        return (await captured.http.get(captured.viewer.segment_url("720p", 0))).status_code == 403

    await eventually(stopped, within_s=30)


async def test_t19_redis_and_the_blob_store_show_sealed_bytes_only(captured: Captured) -> None:
    asset, system = asset_of(captured), captured.system
    stored = await Packaged.of(system.data, asset)
    plain = [stored.segment("720p", number) for number in range(3)]
    for number in range(3):
        await captured.viewer.cipher("720p", number)
    seen = b"".join((await system.redis_values()).values())
    seen += b"".join(path.read_bytes() for path in stored.stored())
    for body in plain:
        assert not any(body[at : at + 64] in seen for at in range(0, len(body) - 64, 5000))
    assert stored.key not in seen
    assert b64url(stored.key).encode() not in seen
    sealed = (stored.folder / "720p" / "0.m4s").read_bytes()
    altered = bytes([sealed[0] ^ 1]) + sealed[1:]
    with pytest.raises(BadSlice):
        Sealer(stored.key, "default", asset, 1, "720p", "0.m4s").open(0, altered)


async def test_t19_an_edge_that_is_removed_is_a_stranger_to_keys_and_origin_within_seconds(
    captured: Captured,
) -> None:
    asset, system = asset_of(captured), captured.system
    name = f"other-edge-{secrets.token_hex(2)}"
    node = NodeIdentity.load_or_create(system.data.parent / f"{name}.json", name, "edge")
    blob = f"{system.direct('origin')}/v1/blobs/{asset}/1/720p/0.m4s"

    async def origin_says(status: int) -> None:
        async def says() -> bool:
            headers = {"authorization": f"Bearer {node.bearer('origin', time.time())}"}
            return (await captured.http.get(blob, headers=headers)).status_code == status

        await eventually(says, within_s=10)

    async with KeysClient(system.direct("keys"), node_credential(node, time.time)) as keys:
        await keys.enrol(node, captured.join_token)
        assert (await keys.lease(captured.token, captured.uri(asset))).asset == asset
        await origin_says(200)
        listed = system.sluice("nodes").stdout
        assert name in listed and NAME in listed

        told = system.sluice("nodes", "--remove", name, "--yes")
        assert told.returncode == 0, told.stderr
        with pytest.raises(Problem, match="unauthenticated"):
            await keys.lease(captured.token, captured.uri(asset))
        await origin_says(401)
        with pytest.raises(Problem, match="unauthenticated"):
            await keys.enrol(node, captured.join_token)
        assert name not in system.sluice("nodes").stdout
        assert system.sluice("nodes", "--remove", name, "--yes").returncode == 1

        answer = await captured.viewer.get(captured.viewer.segment_url("720p", 0))
        assert answer.status_code == 200, "other edges serve on"
        anew = (system.data / "secrets" / "join-token").read_text().strip()
        await keys.enrol(node, anew)
        assert (await keys.lease(captured.token, captured.uri(asset))).asset == asset
        await origin_says(200)
        assert system.sluice("nodes", "--remove", name, "--yes").returncode == 0


async def test_t19_an_origin_has_no_asset_key_no_session_and_plays_nothing(captured: Captured) -> None:
    asset, system = asset_of(captured), captured.system
    node = NodeIdentity.load_or_create(system.data / "origin" / "node.json", "sluice-origin", "origin")
    captured.node = node
    made = await captured.http.post(
        f"{system.direct('keys')}/v1/generations",
        json={"asset": f"new-{secrets.token_hex(4)}"},
        headers={"authorization": f"Bearer {node.bearer('keys', time.time())}"},
    )
    assert set(made.json()) == {"tenant", "asset", "generation", "storage_key"}, "SK, and never AK"
    wish = {"token": system.sign(asset).split("=")[1].split("/")[0], "uri": captured.uri(asset)}
    for path, body in (
        ("/v1/leases", {"session_token": captured.token, "uri": captured.uri(asset)}),
        ("/v1/sessions", {**wish, "client_ip": "127.0.0.1"}),
        ("/v1/activity", {"sessions": {}}),
        ("/v1/revocations", {"kind": "asset", "value": asset}),
        ("/v1/rotations", {"kind": "root"}),
    ):
        assert await captured.status("POST", path, body) == 401, path
    assert await captured.status("GET", "/v1/sessions") == 401
    forged = sign(node.private, parse(captured.token).kid, strict_object(parse(captured.token).payload))
    url = captured.viewer.segment_url("720p", 0).replace(captured.token, forged)
    assert (await captured.http.get(url)).status_code == 403


def test_t19_an_edges_folder_holds_its_own_key_and_no_other(system: System) -> None:
    folder = system.data / "edge-1"
    root = [path.read_bytes() for path in Path(system.data / "secrets").glob("root*.key")]
    issuer = json.loads((system.data / "secrets" / "issuer.json").read_text())["jwk"]["d"]
    admin = system.admin_token
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(key in data for key in root), path
            assert issuer.encode() not in data, path
            assert admin.encode() not in data, path
