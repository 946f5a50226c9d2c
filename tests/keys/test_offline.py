"""A license for offline use: for one machine, one file, one time; whatever is changed, it opens nothing."""

import hashlib
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keys import jws, offline
from keys.claims import OFFLINE_LONGEST_S, Refused
from keys.ecdh import thumbprint
from keys.names import b64url, b64url_decode
from keys.offline import TOLERANCE_S, BadLicense, File, License, content_key, issue, read, standing
from keys.signing import SigningKey
from keys.tokens import Issuer, Trust, verify

NOW = 1_800_000_000
KEYS = SigningKey.generate("sluice", viewer_key=False)
OTHER_KEYS = SigningKey.generate("sluice", viewer_key=False)
MACHINE = X25519PrivateKey.generate()
OTHER_MACHINE = X25519PrivateKey.generate()
KEY = bytes(range(16))
FILE = File("film", "film.mp4", "Été à Nice.mp4", "video/mp4", 1000, hashlib.sha256(b"film").digest())
LICENSE = License(
    b64url(bytes(16)), b64url(bytes(16)), FILE, bytes(16), NOW, NOW + 3600, thumbprint(MACHINE.public_key())
)
TEXT = issue(KEYS, LICENSE, KEY, MACHINE.public_key())


def claims() -> dict[str, object]:
    found: dict[str, object] = json.loads(b64url_decode(TEXT.split(".")[1]))
    return found


def signed(said: dict[str, object], key: SigningKey = KEYS, typ: str = offline.TYPE) -> str:
    return jws.sign(key.private, key.kid, said, typ)


def test_what_is_issued_is_read_and_its_key_opens_on_its_machine() -> None:
    found = read(TEXT, KEYS.verify_key())
    assert replace(found, sealed="") == LICENSE
    assert content_key(found, MACHINE) == KEY
    assert b64url(KEY) not in TEXT and KEY.hex() not in TEXT
    with pytest.raises(BadLicense, match="another machine"):
        content_key(found, OTHER_MACHINE)


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="ascii"))
def test_any_character_changed_is_refused(at: int, by: str) -> None:
    changed = TEXT[:at] + by + TEXT[at + 1 :]
    if changed != TEXT:
        with pytest.raises(BadLicense):
            read(changed, KEYS.verify_key())


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadLicense):
        read(text, KEYS.verify_key())


@pytest.mark.parametrize("name", LICENSE.claims())
def test_a_claim_changed_under_another_signature_leaves_the_key_shut(name: str) -> None:
    """Who signs anew with a key of his own, and has it believed, gets no key out of the license."""
    said = claims()
    value = said[name]
    said[name] = (
        value + 1 if isinstance(value, int) else b64url(bytes(31) + b"!") if name == "sha256" else "other"
    )
    if name in ("jti", "sid", "salt"):
        said[name] = b64url(b"another one 1234")
    if name == "type":
        said[name] = "video/other"
    if name == "device":
        said[name] = thumbprint(OTHER_MACHINE.public_key())
    try:
        found = read(signed(said, OTHER_KEYS), OTHER_KEYS.verify_key())
    except BadLicense:
        return
    for machine in (MACHINE, OTHER_MACHINE):
        with pytest.raises(BadLicense):
            content_key(found, machine)


@given(
    st.dictionaries(
        st.sampled_from([*LICENSE.claims(), "key", "more"]), st.none() | st.integers() | st.text()
    )
)
def test_signed_claims_of_other_types_are_refused_and_never_crash(changed: dict[str, object]) -> None:
    said = claims() | changed
    try:
        found = read(signed(said), KEYS.verify_key())
    except BadLicense:
        return
    assert found.claims() | {"key": found.sealed} == said


def test_another_signer_and_another_type_of_token_are_refused() -> None:
    with pytest.raises(BadLicense):
        read(TEXT, OTHER_KEYS.verify_key())
    with pytest.raises(BadLicense):
        read(signed(claims(), typ="JWT"), KEYS.verify_key())
    trust = Trust([Issuer("sluice", "session", (KEYS.verify_key(),), 90_000)])
    for text in (TEXT, signed(claims() | {"iss": "sluice"})):
        with pytest.raises(Refused):  # a license opens nothing at an edge
            verify(text, uri="http://edge.test/d/film/ece/film.mp4", trust=trust, now=NOW)


@pytest.mark.parametrize("longer", [0, -1, OFFLINE_LONGEST_S + 1])
def test_a_time_nobody_grants_is_refused(longer: int) -> None:
    with pytest.raises(BadLicense):
        read(signed(claims() | {"exp": NOW + longer}), KEYS.verify_key())


def test_it_is_good_from_when_it_was_given_until_its_end() -> None:
    assert standing(LICENSE, NOW, NOW) == offline.GOOD
    assert standing(LICENSE, NOW + 3599, NOW) == offline.GOOD
    assert standing(LICENSE, NOW + 3600, NOW) == offline.OVER
    assert standing(LICENSE, NOW - TOLERANCE_S, NOW) == offline.GOOD
    assert standing(LICENSE, NOW - TOLERANCE_S - 1, NOW) == offline.NOT_YET


@given(st.integers(NOW - 10_000, NOW + 10_000), st.integers(NOW, NOW + 10_000))
def test_a_clock_turned_back_wins_at_most_the_tolerance(now: int, seen: int) -> None:
    found = standing(LICENSE, now, seen)
    if max(now, seen) >= LICENSE.expires:
        assert found == offline.OVER
    elif found == offline.GOOD:
        assert now >= seen - TOLERANCE_S and now >= NOW - TOLERANCE_S
    else:
        assert found in (offline.TURNED_BACK, offline.NOT_YET) and now < seen - TOLERANCE_S


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "Film"}, {"name": "../film"}, {"shown": ""}, {"shown": "x" * 513}, {"media_type": "video"},
        {"size": -1}, {"size": True}, {"size": 1 << 50}, {"sha256": b"short"},
    ],
)  # fmt: skip
def test_what_is_no_file_has_no_license(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(FILE, **change)  # type: ignore[arg-type]
