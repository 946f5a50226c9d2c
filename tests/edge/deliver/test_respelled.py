"""T4: what was taken back stays so, however its token is spelled: revocation knows names, not texts."""

from pathlib import Path

import httpx
import pytest

from keys.names import b64url, b64url_decode
from keys.signing import SigningKey
from tests.edge.parts import MemoryKeys, World, until, world
from tests.support.forge import malleated

SEGMENT = "720p/0.m4s"


def spellings(url: str) -> list[str]:
    """The URL itself, with one `=` of padding, and with the other ECDSA signature (r, n - s)."""
    token = url.split("URISigningPackage=")[1].split("/")[0]
    start, _, signature = token.rpartition(".")
    other = b64url(malleated(b64url_decode(signature)))
    assert other != signature
    return [url, url.replace(token, f"{token}="), url.replace(token, f"{start}.{other}")]


async def statuses(client: httpx.AsyncClient, url: str) -> list[int]:
    return [(await client.get(each)).status_code for each in spellings(url)]


async def taken_back(edge: World, kind: str, value: str) -> None:
    edge.keys.revoke(kind, value)
    await until(lambda: len(edge.app.revocations.revoked) > 0)


@pytest.fixture
def p256() -> MemoryKeys:
    """Keys whose links and sessions are signed with ES256, of whose signatures each has a twin."""
    return MemoryKeys(site=SigningKey.generate("site", "ES256"), own=SigningKey.generate("sluice", "ES256"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("sid", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("lid", "link-1"),
        ("viewer", "viewer-1"),
        ("asset", "film"),
        ("kid", "own"),
        ("kid", "site"),
        ("epoch", "default/9999999999"),
    ],
)
async def test_t4_no_spelling_of_a_revoked_sessions_token_plays(
    web: Path, client: httpx.AsyncClient, p256: MemoryKeys, kind: str, value: str
) -> None:
    async with world(web, p256) as edge:
        url = edge.session() + SEGMENT
        assert await statuses(client, url) == [200, 403, 200], "the twin verifies: it is the same token"
        signers = {"own": f"sluice/{p256.own.kid}", "site": f"site/{p256.site.kid}"}
        await taken_back(edge, kind, signers.get(value, value))
        assert await statuses(client, url) == [403, 403, 403]


@pytest.mark.parametrize("kind", ["lid", "asset", "kid", "epoch"])
async def test_t4_no_spelling_of_a_revoked_link_opens(
    web: Path, client: httpx.AsyncClient, p256: MemoryKeys, kind: str
) -> None:
    async with world(web, p256) as edge:
        link = edge.link()
        assert await statuses(client, link) == [302, 403, 302]
        token = link.split("URISigningPackage=")[1].split("/")[0]
        lid = (await edge.trusted.verify(token, f"{edge.url}/v/film/main.m3u8")).lid
        values = {"lid": lid, "asset": "film", "kid": f"site/{p256.site.kid}", "epoch": "default/9999999999"}
        await taken_back(edge, kind, values[kind])
        assert await statuses(client, link) == [403, 403, 403]


async def test_t4_a_revocation_takes_the_sessions_keys_out_of_memory(
    web: Path, client: httpx.AsyncClient, p256: MemoryKeys
) -> None:
    async with world(web, p256) as edge:
        await client.get(edge.session() + SEGMENT)
        leases = edge.app._leases
        assert len(leases) == 1
        await taken_back(edge, "viewer", "viewer-1")
        await until(lambda: len(leases) == 0)  # nobody asked for it meanwhile
