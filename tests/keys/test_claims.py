"""Claims have the types RFC 9246 gives them; what may be left out may be left out."""

import json

import pytest

from keys.cipher import seal_claim
from keys.claims import REASONS, VERIFIED, Claims, Refused, check_times, log_fields, read_claims
from keys.renewal import COOKIE, REDIRECT, Renewal

NOW = 1_800_000_000
JWE = seal_claim(bytes(16), "viewer-7")


def read(kind: str = "link", **claims: object) -> Claims:
    fields = {"iss": "site", "exp": NOW + 60, "cdniuc": "regex:.*", "lid": "link-1", **claims}
    data = json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()
    return read_claims(data, kind, "site", "k1", now=NOW, max_lifetime_s=3600)


def test_the_least_a_link_says() -> None:
    claims = read()
    assert (claims.nbf, claims.iat, claims.audience, claims.sub, claims.cdniip) == (0, 0, (), "", "")
    assert (claims.lid, claims.token_id, claims.single_use, claims.cap, claims.pace) == (
        "link-1",
        "link-1",
        False,
        0,
        None,
    )


def test_all_a_link_can_say() -> None:
    claims = read(
        nbf=NOW, iat=NOW, aud=["other", "sluice"], sub=JWE, cdniip=JWE, cap=600, cdniv=1, cdnicrit="lid,pace",
        pace={"burst": 20, "rate": 1.5, "jumps": 3}, cdnistt=1, cdniets=30, cdnistd=2, film="unknown",
    )  # fmt: skip
    assert (claims.audience, claims.sub, claims.cdniip, claims.cap) == (("other", "sluice"), JWE, JWE, 600)
    assert claims.pace == {"burst_s": 20, "rate": 1.5, "jumps": 3}
    assert claims.renewal == Renewal(COOKIE, 30, 2)
    assert claims.raw["film"] == "unknown"


def test_a_jti_makes_a_link_single_use_and_is_its_id() -> None:
    claims = read(jti="once-1")
    assert (claims.lid, claims.single_use) == ("once-1", True)


def test_a_session_is_known_by_its_sid() -> None:
    claims = read("session", sid="A" * 22, asset="film", lid=...)
    assert (claims.token_id, claims.asset, claims.lid, claims.single_use) == ("A" * 22, "film", "", False)


def test_an_expired_link_says_so_whatever_else_is_wrong_with_it() -> None:
    with pytest.raises(Refused) as caught:
        read(exp=NOW, cdniv=2)
    assert caught.value.code == "expired"


@pytest.mark.parametrize(
    ("exp", "nbf", "reason"), [(NOW, 0, 404), (NOW + 1, NOW + 1, 405), (NOW + 61, 0, 404)]
)
def test_times_have_no_leeway(exp: int, nbf: int, reason: int) -> None:
    check_times(NOW + 60, NOW, NOW, 60)
    with pytest.raises(Refused) as caught:
        check_times(exp, nbf, NOW, 60)
    assert caught.value.reason == reason


def test_each_reason_has_its_code_and_words_in_the_log() -> None:
    """RFC 9246 §4.4: s-uri-signing is three digits, s-uri-signing-deny-reason a quoted string."""
    assert log_fields(VERIFIED) == "s-uri-signing=200"
    assert set(REASONS) == {*range(400, 412), 500}
    assert log_fields(411) == 's-uri-signing=411 s-uri-signing-deny-reason="URI container"'
    assert Refused(404, "expired").problem().detail.endswith('s-uri-signing-deny-reason="expiry: expired"')
    assert Refused(400).problem().detail == 's-uri-signing=400 s-uri-signing-deny-reason="signature"'


@pytest.mark.parametrize(
    ("said", "renewal"),
    [
        ({}, None),
        ({"cdnistd": 2}, None),
        ({"cdnistt": 0, "cdniets": 30}, None),
        ({"cdnistt": 1, "cdniets": 30}, Renewal(COOKIE, 30, 0)),
        ({"cdnistt": 2, "cdniets": 30, "cdnistd": 3}, Renewal(REDIRECT, 30, 3)),
    ],
)
def test_renewal_is_asked_for_by_two_claims_together(said: dict[str, int], renewal: Renewal | None) -> None:
    claims = read("link", **said)
    assert claims.renewal == renewal
    if renewal is not None:
        assert renewal.claims() == {"cdnistd": 0, **said}
