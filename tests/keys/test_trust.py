"""Whom we believe, and the memory of whom we have believed already."""

from typing import Any

import pytest

from keys.container import split_token
from keys.signing import SigningKey, sign_url
from keys.tokens import Issuer, Refused, Trust, VerifiedTokens

NOW = 1_800_000_000.0
URI = "http://edge.example/v/film/main.m3u8"
SITE = SigningKey.generate("site")
ISSUER = Issuer("site", "link", (SITE.verify_key(),), 86_400)
TRUST = Trust([ISSUER])


def link(now: float = NOW, key: SigningKey = SITE) -> str:
    return split_token(sign_url(URI, key, now=now))[1]


def test_a_trust_comes_back_from_its_json() -> None:
    assert Trust.from_json({**TRUST.to_json(), "packagers": [], "now": 1}) == TRUST
    assert Trust([]) != TRUST


def row(**changes: object) -> dict[str, object]:
    return {"iss": "site", "kind": "link", "keys": [SITE.public_jwk()], "max_lifetime_s": 60, **changes}


BAD: list[dict[str, Any]] = [
    {},
    {"issuers": {}},
    {"issuers": [1]},
    {"issuers": [{}]},
    {"issuers": [row(iss=1)]},
    {"issuers": [row(kind="node")]},
    {"issuers": [row(keys={})]},
    {"issuers": [row(keys=[1])]},
    {"issuers": [row(keys=[{}])]},
    {"issuers": [row(max_lifetime_s=0)]},
    {"issuers": [row(max_lifetime_s="60")]},
    {"issuers": [row(), row()]},
]


@pytest.mark.parametrize("fields", BAD)
def test_what_is_no_trust_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Trust.from_json(fields)


def test_two_issuers_may_use_one_key_id() -> None:
    other = SigningKey("other", SITE.kid, SigningKey.generate("other").private)
    tokens = VerifiedTokens(Trust([ISSUER, Issuer("other", "link", (other.verify_key(),), 86_400)]))
    assert tokens.verify(link(), URI, NOW).iss == "site"
    assert tokens.verify(link(key=other), URI, NOW).iss == "other"


def test_a_known_token_is_still_asked_for_its_time_uri_and_revocation() -> None:
    tokens, text = VerifiedTokens(TRUST), link()
    first = tokens.verify(text, URI, NOW)
    assert tokens.verify(text, URI, NOW + 1) is first
    with pytest.raises(Refused, match="411"):
        tokens.verify(text, URI + "x", NOW)
    with pytest.raises(Refused, match="revoked"):
        tokens.verify(text, URI, NOW, lambda claims: claims is first)
    with pytest.raises(Refused, match="405"):
        tokens.verify(text, URI, NOW - 31)
    with pytest.raises(Refused, match="expired"):
        tokens.verify(text, URI, NOW + 7200)
    assert len(tokens) == 0


def test_no_more_tokens_are_known_than_the_limit() -> None:
    tokens = VerifiedTokens(TRUST, limit=3)
    for _ in range(10):
        tokens.verify(link(), URI, NOW)
    assert len(tokens) == 3


def test_a_refused_token_is_not_remembered() -> None:
    tokens = VerifiedTokens(TRUST)
    for text in (link() + "=", "film", "ä", "A" * 5000, link(now=NOW - 90_000)):
        with pytest.raises(Refused):
            tokens.verify(text, URI, NOW)
    assert len(tokens) == 0


def test_a_key_no_longer_trusted_opens_nothing_at_once() -> None:
    tokens, text = VerifiedTokens(TRUST), link()
    tokens.verify(text, URI, NOW)
    tokens.set_trust(Trust.from_json(TRUST.to_json()))
    assert len(tokens) == 1  # the same trust, told again
    tokens.set_trust(Trust([]))
    assert tokens.trust == Trust([])
    with pytest.raises(Refused, match="401"):
        tokens.verify(text, URI, NOW)
