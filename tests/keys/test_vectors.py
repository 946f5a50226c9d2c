"""The conformance vectors: made by this code, accepted and refused by it, and right by other means too."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from keys.cipher import open_claim
from keys.container import split_token
from keys.names import b64url_decode
from keys.signing import SigningKey
from keys.tokens import Issuer, Refused, Trust, VerifiedTokens, verify
from tests.support.vectors import DOCUMENTS, FOLDER, stored, text_of
from tests.support.viewer import decrypt

LINKS = stored("links.json")
REFUSALS = stored("refusals.json")
SESSIONS = stored("sessions.json")
LINK_KEYS = {name: SigningKey.from_json(json.dumps(key).encode()) for name, key in LINKS["keys"].items()}

Case = dict[str, Any]


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def trust_in(key: SigningKey, kind: str) -> Trust:
    return Trust([Issuer(key.iss, kind, (key.verify_key(),), 86_400)])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_files_are_what_this_code_makes(name: str) -> None:
    made = text_of(name)
    assert (FOLDER / name).read_text("utf-8") == made, "run: python -m tests.support.vectors"


@named(LINKS["links"])
def test_a_link_opens_what_it_says_and_nothing_else(case: Case) -> None:
    key, now = LINK_KEYS[case["key"]], case["options"]["now"]
    plain, token = split_token(case["url"])
    assert (plain, token) == (case["uri"], case["token"])
    for uri in case["opens"]:
        verify(token, uri=uri, trust=trust_in(key, "link"), now=now)
    for uri in case["refuses"]:
        with pytest.raises(Refused) as caught:
            verify(token, uri=uri, trust=trust_in(key, "link"), now=now)
        assert caught.value.reason in (411, 500)


@named(LINKS["links"])
def test_a_link_says_what_its_fields_say(case: Case) -> None:
    header, claims, _ = case["token"].split(".")
    assert json.loads(b64url_decode(header)) == case["header"]
    assert json.loads(b64url_decode(claims)) == case["claims"]
    options, hidden = case["options"], LINK_KEYS[case["key"]].viewer_key
    assert hidden is not None
    for option, claim in (("viewer", "sub"), ("network", "cdniip")):
        assert (option in options) == (claim in case["claims"])
        if option in options:
            assert open_claim(hidden.reveal(), case["claims"][claim]) == options[option]
    assert case["claims"]["jti" if options.get("once") else "lid"] == options["id"]


@named([case for case in LINKS["links"] if case["key"] == "p256"])
def test_es256_signatures_hold_by_the_curve_alone(case: Case) -> None:
    text, _, signature = case["token"].rpartition(".")
    raw = b64url_decode(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    public = LINK_KEYS["p256"].private.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(encode_dss_signature(r, s), text.encode(), ec.ECDSA(SHA256()))


@pytest.mark.parametrize("case", LINKS["private_claims"], ids=lambda case: case["text"])
def test_a_private_claim_is_aes_gcm_over_its_header(case: Case) -> None:
    header, none, nonce, sealed, tag = case["jwe"].split(".")
    assert (json.loads(b64url_decode(header)), none) == ({"alg": "dir", "enc": "A128GCM"}, "")
    assert nonce == case["nonce"]
    aead = AESGCM(b64url_decode(case["viewer_key"]))
    plain = aead.decrypt(b64url_decode(nonce), b64url_decode(sealed) + b64url_decode(tag), header.encode())
    assert plain.decode() == case["text"]


@named(REFUSALS["opens"])
def test_what_the_refusals_were_made_of_opens(case: Case) -> None:
    trust = Trust.from_json({"issuers": REFUSALS["trust"]})
    assert verify(case["token"], uri=REFUSALS["uri"], trust=trust, now=REFUSALS["now"]).lid


@named(REFUSALS["refused"])
def test_t3_every_refusal_is_refused_with_its_code(case: Case) -> None:
    trust = Trust.from_json({"issuers": REFUSALS["trust"]})
    uri, now = {**REFUSALS, **case}["uri"], {**REFUSALS, **case}["now"]
    with pytest.raises(Refused) as caught:
        verify(case["token"], uri=uri, trust=trust, now=now)
    with pytest.raises(Refused) as remembered:
        VerifiedTokens(trust).verify(case["token"], uri, now)
    assert caught.value.reason == remembered.value.reason == case["code"]


@named(SESSIONS["tokens"])
def test_a_session_token_allows_its_own_and_nothing_else(case: Case) -> None:
    key = SigningKey.from_json(json.dumps(SESSIONS["key"]).encode())
    for uri in case["opens"]:
        claims = verify(case["token"], uri=uri, trust=trust_in(key, "session"), now=case["now"])
        assert (claims.sid, claims.asset, claims.exp) == (case["sid"], case["asset"], case["expires"])
    for uri in case["refuses"]:
        with pytest.raises(Refused):
            verify(case["token"], uri=uri, trust=trust_in(key, "session"), now=case["now"])


def encoded(*fields: str | int | bytes) -> bytes:
    """`enc` as the README tells it, written a second time."""
    out = b""
    for field in fields:
        data = field.to_bytes(8, "big") if isinstance(field, int) else field
        data = data.encode() if isinstance(data, str) else data
        out += len(data).to_bytes(4, "big") + data
    return out


def digest(data: bytes) -> bytes:
    state = Hash(SHA256())
    state.update(data)
    return state.finalize()[:16]


def test_session_keys_follow_from_the_readme_alone() -> None:
    given = SESSIONS["inputs"]
    names = (given["tenant"], given["asset"])
    for case in SESSIONS["content_keys"]:
        generation, sid = case["generation"], bytes.fromhex(given["session_id"])
        info = encoded("sluice1 session", *names, generation, sid)
        root = HKDF(SHA256(), 32, bytes.fromhex(given["salt"]), info).derive(
            bytes.fromhex(given["asset_key"])
        )
        assert root.hex() == SESSIONS["session_roots"][str(generation)]
        where = [case[name] for name in ("protection", "track", "rendition", "period")]
        key = HKDFExpand(SHA256(), 16, encoded("sluice1 key", *where)).derive(root)
        kid = digest(encoded("sluice1 kid", *names, generation, *where))
        assert (key.hex(), kid.hex()) == (case["key"], case["kid"])
        if "iv" in case:
            assert digest(encoded("sluice1 cbcs-iv", kid)).hex() == case["iv"]
    assert len({case["key"] for case in SESSIONS["content_keys"]}) == len(SESSIONS["content_keys"])


def test_segments_decrypt_and_slices_open_by_the_readme_alone() -> None:
    for case in SESSIONS["segments"]:
        plain = decrypt(bytes.fromhex(case["key"]), case["number"], bytes.fromhex(case["cipher"]))
        assert (plain.hex(), case["number"]) == (case["plain"], int(case["iv"], 16))
    names = (SESSIONS["inputs"]["tenant"], SESSIONS["inputs"]["asset"])
    for case in SESSIONS["slices"]:
        where, length = (case["rendition"], case["object"]), len(case["plain"]) // 2
        info = encoded("sluice1 slice", *where)
        key = HKDFExpand(SHA256(), 32, info).derive(bytes.fromhex(case["storage_key"]))
        data = encoded("sluice1 slice", *names, case["generation"], *where, case["index"], length)
        nonce = int(case["index"]).to_bytes(12, "big")
        assert key.hex() == case["slice_key"]
        assert AESGCM(key).decrypt(nonce, bytes.fromhex(case["sealed"]), data).hex() == case["plain"]
