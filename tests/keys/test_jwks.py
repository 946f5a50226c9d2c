"""Sites that publish their keys may rotate them: what is published counts, within a minute. Real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from keys import SigningKey, sign_url
from keys.container import split_token
from keys.issuers import Issuers, configured_issuers
from keys.jwk import private_jwk
from keys.jwks import read_jwks
from keys.jwks_watch import EVERY_S, GAP_S, KEPT_S, JwksWatch, fetch
from keys.keyring import Keyring
from keys.link_ring import LinkRing
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from tests.support.serving import served

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

URI = "http://127.0.0.1:8010/v/film/main.m3u8"
OLD, NEW = SigningKey.generate("shop"), SigningKey.generate("shop", "ES256")
RSA = {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}


def key_set(*keys: SigningKey, more: tuple[object, ...] = ()) -> bytes:
    return json.dumps({"keys": [*(key.public_jwk() for key in keys), *more]}).encode()


def test_keys_of_other_kinds_and_uses_are_passed_over() -> None:
    other_use = {**SigningKey.generate("x").public_jwk(), "use": "enc"}
    found = read_jwks(key_set(OLD, NEW, more=(RSA, other_use)))
    assert [(key.kid, key.alg) for key in found] == [(OLD.kid, "EdDSA"), (NEW.kid, "ES256")]


BAD: dict[str, bytes] = {
    "nothing": b"",
    "no object": b"[]",
    "no keys": b"{}",
    "no list": b'{"keys": {}}',
    "no key": b'{"keys": [1]}',
    "none of ours": key_set(more=(RSA,)),
    "one ID twice": key_set(OLD, OLD),
    "a private key": key_set(OLD, more=(private_jwk(NEW.private),)),
    "a name twice": b'{"keys": [], "keys": []}',
    "too many": key_set(*[OLD] * 51),
    "too large": key_set(OLD) + b" " * 70_000,
    "no point": key_set(more=({"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},)),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_believed_is_no_key_set(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_jwks(data)


@pytest.mark.parametrize(
    "url", ["http://shop.example/k", "ftp://x/k", "/k", "https:///k", "file:///etc/passwd"]
)
def test_keys_are_fetched_by_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="issuer shop"):
        configured_issuers({"shop": {"jwks": url}})


class Shop:
    """A site that publishes `answer`, counts who asked, and can send people elsewhere."""

    def __init__(self) -> None:
        self.answer: Response = Response(key_set(OLD))
        self.asked = 0
        self.app = Starlette(routes=[Route("/jwks", self._jwks), Route("/there", self._there)])

    async def _jwks(self, request: Any) -> Response:
        self.asked += 1
        return self.answer

    async def _there(self, request: Any) -> Response:
        return RedirectResponse("/jwks")


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, str]]:
    shop = Shop()
    async with served(shop.app) as url:
        yield shop, url


class Ticks:
    """A monotonic clock to turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class OwnKeys:
    """The installation's own."""

    sessions = Keyring.of(SigningKey.generate("sluice"))
    links = LinkRing.of(SigningKey.generate("site"), 0.0)


def watched(url: str) -> tuple[Issuers, JwksWatch, Ticks]:
    clock = Ticks()
    configured = configured_issuers({"shop": {"jwks": url}})
    issuers = Issuers(configured, OwnKeys(), 3600)
    return issuers, JwksWatch(issuers, {"shop": url}, clock), clock


def believed(issuers: Issuers) -> list[str]:
    return [key.kid for i in issuers.trust(0).issuers if i.iss == "shop" for key in i.keys]


async def test_what_is_published_is_believed_and_what_is_taken_out_is_not(shop: tuple[Shop, str]) -> None:
    site, url = shop
    issuers, watch, clock = watched(f"{url}/jwks")
    assert believed(issuers) == []
    await watch.refresh()
    assert believed(issuers) == [OLD.kid]
    site.answer = Response(key_set(NEW, OLD))
    await watch.refresh_soon()  # too soon: it was asked just now
    assert believed(issuers) == [OLD.kid]
    clock.now += GAP_S
    await watch.refresh_soon()
    assert believed(issuers) == [NEW.kid, OLD.kid]
    site.answer = Response(key_set(NEW))
    await watch.refresh()
    assert believed(issuers) == [NEW.kid]
    assert site.asked == 3


async def test_a_site_in_trouble_keeps_its_keys_for_a_day_and_then_has_none(shop: tuple[Shop, str]) -> None:
    site, url = shop
    issuers, watch, clock = watched(f"{url}/jwks")
    await watch.refresh()
    for trouble in (Response(status_code=500), Response(b"film"), Response(b" " * 100_000)):
        site.answer = trouble
        clock.now += EVERY_S
        await watch.refresh()
        assert believed(issuers) == [OLD.kid]
    clock.now += KEPT_S
    await watch.refresh()
    assert believed(issuers) == []
    site.answer = Response(key_set(NEW))
    await watch.refresh()
    assert believed(issuers) == [NEW.kid]


async def test_t3_a_redirect_of_a_key_set_is_not_followed(shop: tuple[Shop, str]) -> None:
    site, url = shop
    with pytest.raises(ValueError, match="status 307"):
        await fetch(f"{url}/there")
    assert site.asked == 0


async def test_a_link_under_a_published_key_opens_a_session(
    shop: tuple[Shop, str], stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    issuers = configured_issuers({"shop": {"jwks": f"{shop[1]}/jwks"}})
    service = await KeysService.start(
        stores, secrets, hosts=["http://127.0.0.1:8010"], issuers=issuers, now=clock
    )
    await service.publish("film", (await service.new_generation("film")).generation, None)
    assert OLD.kid in json.dumps(await service.trust())  # whoever asks for trust waits for the first fetch
    token = split_token(sign_url(URI, OLD, now=clock.now))[1]
    assert (await service.open_session(token, URI, "192.0.2.7", "edge-1")).asset == "film"
