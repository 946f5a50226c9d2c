"""Links bound to a browser or to countries, where the site asked for it."""

from pathlib import Path

import httpx
import pytest

from edge.deliver.clients import nowhere
from edge.deliver.countries import Countries
from edge.deliver.device import MOST, cookies_in, device_cookie
from keys import Limits
from tests.edge.parts import MemoryKeys, World, world
from tests.support.countries import write_countries

COOKIE = "c" * 43
PATHS = ("main.m3u8", "720p/index.m3u8", "720p/key/0", "720p/init.mp4", "720p/0.m4s")


def pair(value: str) -> bytes:
    """The cookie as a browser sends it back."""
    return device_cookie(value, 60, secure=False)[1].partition(b";")[0]


def test_a_browser_sends_back_what_it_was_given_among_whatever_else() -> None:
    one, other = "A-" + "x" * 41, "B_" + "y" * 41
    sent = b"sluice_admin=zzz; " + pair(one) + b"; theme=dark; " + pair(other)
    sent += b";sluice_12345678=" + b"z" * 43
    assert cookies_in({b"cookie": sent}) == (one, other), "one under another's name is none"
    assert cookies_in({}) == cookies_in({b"cookie": b"\xff; =; sluice_"}) == ()
    many = b"; ".join(pair(f"{n:043d}") for n in range(100))
    assert len(cookies_in({b"cookie": many})) == MOST


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_is_out_of_scripts_reach_and_of_this_site_alone(secure: bool) -> None:
    name, value = device_cookie(COOKIE, 3600, secure=secure)
    assert name == b"set-cookie"
    assert {b"Max-Age=3600", b"Path=/", b"HttpOnly", b"SameSite=Lax"} <= set(value.split(b"; "))
    assert (b"Secure" in value) is secure


async def test_a_link_bound_to_a_browser_plays_in_that_browser_only(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits, edge.keys.cookie = Limits(device=True), COOKIE
    opened = await client.get(edge.link())
    assert opened.status_code == 302 and client.cookies
    await client.get(edge.link())
    assert edge.keys.told == [((), ""), ((COOKIE,), "")], "keys is told whose browser asks again"
    base = edge.session()
    file = edge.download("clip.mp4", bytes([3] * 16))
    async with httpx.AsyncClient() as stranger:
        for url in (*(base + path for path in PATHS), file):
            assert (await client.get(url)).status_code == 200, url
            for cookie in (b"", pair("d" * 43), pair(COOKIE)[:-1]):
                answer = await stranger.get(url, headers={b"cookie": cookie})
                assert (answer.status_code, answer.json()["limit"]) == (403, "device"), url


async def test_other_links_give_no_cookie(edge: World, client: httpx.AsyncClient) -> None:
    assert "set-cookie" not in (await client.get(edge.link())).headers


@pytest.fixture
def countries(tmp_path: Path) -> Countries:
    records = {
        "127.0.0.0/8": {"country": {"iso_code": "DE"}},
        "198.51.100.0/24": {"country_code": "AT"},
        "203.0.113.0/24": {"country": "FR"},
        "192.0.2.0/24": {"city": "somewhere"},
    }
    return Countries(write_countries(tmp_path / "countries.mmdb", records))


def test_the_country_of_an_address_is_read_in_every_vendors_form(countries: Countries) -> None:
    found = {address: countries(address) for address in ("127.0.0.1", "198.51.100.7", "203.0.113.9")}
    assert found == {"127.0.0.1": "DE", "198.51.100.7": "AT", "203.0.113.9": "FR"}
    for unknown in ("192.0.2.1", "10.0.0.1", "2001:db8::1", "", "no address"):
        assert countries(unknown) == nowhere(unknown) == ""


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bad.mmdb"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"bad\.mmdb is no file of countries"):
        Countries(path)
    with pytest.raises(OSError):
        Countries(tmp_path / "absent.mmdb")


async def test_a_link_bound_to_countries_plays_there_only_and_keys_is_told_where_it_is_opened(
    tmp_path: Path, countries: Countries
) -> None:
    keys = MemoryKeys(limits=Limits(countries=("AT", "DE")))
    async with (
        world(tmp_path, keys, country_of=countries, trusted_proxies=("127.0.0.1",)) as edge,
        httpx.AsyncClient() as client,
    ):
        for address, allowed in (("198.51.100.7", True), ("203.0.113.9", False), ("10.0.0.1", False)):
            headers = {"x-forwarded-for": address}
            for path in PATHS:
                answer = await client.get(edge.session() + path, headers=headers)
                assert answer.status_code == (200 if allowed else 403), (address, path)
                assert allowed or answer.json()["limit"] == "country"
            await client.get(edge.link(), headers=headers)
            assert keys.told[-1][1] == countries(address)


async def test_without_a_file_a_link_bound_to_countries_plays_nowhere(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits = Limits(countries=("DE",))
    answer = await client.get(edge.session() + "main.m3u8")
    assert (answer.status_code, answer.json()["limit"]) == (403, "country")
