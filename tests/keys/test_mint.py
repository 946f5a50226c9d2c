"""What is allowed: links a site signs, sessions that keys mint, and how far each reaches."""

import pytest

from keys.cipher import seal_claim
from keys.container import split_token
from keys.signing import SigningKey, sign_url
from keys.tokens import Issuer, Refused, Trust, mint, verify

NOW = 1_800_000_000.0
URI = "http://edge.example:8010/v/film/main.m3u8"
SITE = SigningKey.generate("site")
KEYS = SigningKey.generate("sluice", viewer_key=False)
TRUST = Trust(
    [
        Issuer("site", "link", (SITE.verify_key(),), 86_400),
        Issuer("sluice", "session", (KEYS.verify_key(),), 86_400),
    ]
)


def test_a_link_says_what_the_site_signed() -> None:
    url = sign_url(URI, SITE, viewer="viewer-7", network="10.0.0.0/8", pace={"burst": 20}, now=NOW)
    plain, text = split_token(url)
    claims = verify(text, uri=plain, trust=TRUST, now=NOW)
    assert (claims.kind, claims.iss, claims.kid, claims.single_use) == ("link", "site", SITE.kid, False)
    assert (claims.sid, claims.asset, claims.cap, claims.pace) == ("", "", 21_600, {"burst_s": 20})
    assert claims.exp == NOW + 7200
    assert "viewer-7" not in repr(claims)


def test_a_minted_session_opens_its_asset_everywhere_and_nothing_else() -> None:
    hosts = ["http://edge.example:8010", "http://two.example"]
    text = mint(KEYS, sid=bytes(16), asset="film", expires=NOW + 60, now=NOW, hosts=hosts)
    for base in hosts:
        claims = verify(text, uri=f"{base}/v/film/aes/720p/7.m4s", trust=TRUST, now=NOW)
        assert (claims.kind, claims.sid, claims.asset) == ("session", "A" * 22, "film")
    for uri in (
        "http://edge.example:8010/v/film2/aes/main.m3u8",
        "http://three.example/v/film/aes/main.m3u8",
    ):
        with pytest.raises(Refused):
            verify(text, uri=uri, trust=TRUST, now=NOW)


def test_a_session_keeps_its_links_network() -> None:
    jwe = seal_claim(bytes(16), "10.0.0.0/8")
    text = mint(KEYS, sid=bytes(16), asset="film", expires=NOW + 60, now=NOW, hosts=["http://e"], cdniip=jwe)
    assert verify(text, uri="http://e/v/film/", trust=TRUST, now=NOW).cdniip == jwe


def test_forty_edges_fit_a_session_token_and_too_many_are_refused() -> None:
    def minted(count: int) -> str:
        hosts = [f"https://edge-{i}.example.com" for i in range(count)]
        return mint(KEYS, sid=bytes(16), asset="film", expires=NOW + 60, now=NOW, hosts=hosts)

    assert len(minted(20)) <= 1536
    with pytest.raises(ValueError, match="fit a URL"):
        minted(200)
