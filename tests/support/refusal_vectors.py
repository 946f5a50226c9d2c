"""Tokens that open nothing, each with its reason: `tests/vectors/refusals.json`.

A choice of SECURITY 4's list for implementers elsewhere; tests/keys/test_tokens.py has the whole of it.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from keys.cipher import seal_claim
from keys.names import b64url, b64url_decode
from tests.support.forge import (
    DER,
    GOOD,
    NON_CANONICAL,
    NOW,
    OTHER_SITE,
    PEM,
    SITE,
    SITE_P256,
    STRANGER,
    TRUST,
    URI,
    der,
    hs256,
    payload,
    signed,
    spelled,
    token,
    with_header,
    with_signature,
)  # fmt: skip

EDGE: Final = "http://edge.example:8010"

Vector = dict[str, Any]
Refusal = tuple[str, str, int, Vector]  # name, token, code of the log, what is unlike the file's `uri`, `now`

P256_GOOD: Final = signed(json.dumps(payload()), key=SITE_P256)


def respelled(change: Callable[[bytes], bytes]) -> str:
    """The P-256 token under a changed signature."""
    text, _, signature = P256_GOOD.rpartition(".")
    return f"{text}.{b64url(change(b64url_decode(signature)))}"


REFUSALS: Final[list[Refusal]] = [
    *(
        (f"alg {alg!r}", with_header(alg=alg), 401, {})
        for alg in ("none", "None", "NONE", "", "RS256", "ES256")
    ),
    ("alg none and no signature", with_header(alg="none").rpartition(".")[0] + ".", 400, {}),
    ("no alg", with_header(alg=...), 400, {}),
    ("HS256 with the public key's PEM", hs256(PEM), 401, {}),
    ("HS256 with the public key's DER", hs256(DER), 401, {}),
    ("crit", with_header(crit=["exp"]), 400, {}),
    ("b64 false", with_header(b64=False), 400, {}),
    ("a key of its own", with_header(jwk=STRANGER.public_jwk()), 400, {}),
    ("jku", with_header(jku="https://stranger.example/keys"), 400, {}),
    ("x5u", with_header(x5u="https://stranger.example/chain"), 400, {}),
    ("header member twice", signed("{}", f'{{"alg":"EdDSA","kid":"x","kid":"{SITE.kid}"}}'), 400, {}),
    ("kid a path", with_header(kid="../../dev/null"), 401, {}),
    ("kid a number", with_header(kid=1), 400, {}),
    ("no kid", with_header(kid=...), 400, {}),
    ("an unknown signer", token(key=STRANGER), 401, {}),
    ("the key of another site", token(key=OTHER_SITE), 401, {}),
    ("the name of another site", token(iss="other"), 401, {}),
    ("no issuer", token(iss=...), 401, {}),
    ("no signature", GOOD.rpartition(".")[0] + ".", 400, {}),
    ("a signature of zeros", with_signature(lambda _: bytes(64)), 400, {}),
    ("a flipped bit", with_signature(lambda s: bytes([s[0] ^ 1]) + s[1:]), 400, {}),
    ("ECDSA: zeros", respelled(lambda _: bytes(64)), 400, {}),
    ("ECDSA: as DER", respelled(der), 400, {}),
    ("ECDSA: a byte short", respelled(lambda s: s[:63]), 400, {}),
    ("padding", GOOD + "=", 400, {}),
    ("a line end", GOOD + "\n", 400, {}),
    ("trailing bits set", NON_CANONICAL, 400, {}),
    ("two segments", GOOD.rpartition(".")[0], 400, {}),
    ("five segments", seal_claim(bytes(16), json.dumps(payload()), nonce=bytes(12)), 400, {}),
    ("a token in a token", signed(GOOD), 400, {}),
    ("exp twice", signed(json.dumps(payload())[:-1] + f', "exp": {int(NOW) + 9}}}'), 400, {}),
    ("a list of claims", signed("[]"), 400, {}),
    ("no exp", token(exp=...), 404, {}),
    ("exp a string", spelled(f'"{int(NOW) + 60}"'), 404, {}),
    ("exp with a fraction", spelled(f"{int(NOW) + 60}.0"), 404, {}),
    ("exp true", spelled("true"), 404, {}),
    ("exp NaN", spelled("NaN"), 400, {}),
    ("exp further ahead than the site may sign", token(exp=int(NOW) + 86_401), 404, {}),
    ("at its exp", GOOD, 404, {"now": int(NOW) + 3600}),
    ("a second before its nbf", GOOD, 405, {"now": int(NOW) - 31}),
    ("another audience", token(aud="film"), 403, {}),
    ("cdniv 2", token(cdniv=2), 408, {}),
    ("cdnicrit names what is unknown", token(cdnicrit="film", film=1), 409, {}),
    ("cdnicrit empty", token(cdnicrit=""), 409, {}),
    ("a viewer in clear", token(sub="customer-4711"), 402, {}),
    ("a network in clear", token(cdniip="192.0.2.0/24"), 410, {}),
    ("cdnistt without cdniets", token(cdnistt=1), 406, {}),
    ("offline for more than 30 days", token(offline=2_592_001), 409, {}),
    ("offline for no time", token(offline=0), 409, {}),
    ("offline true", token(offline=True), 409, {}),
    ("neither lid nor jti", token(lid=...), 407, {}),
    ("no container", token(cdniuc=...), 411, {}),
    ("a container of no form", token(cdniuc=URI), 411, {}),
    ("a pattern for the start only", token(cdniuc="regex:http://edge"), 411, {}),
    ("a pattern for the end only", token(cdniuc=r"regex:/main\.m3u8"), 411, {}),
    ("a pattern over 512 characters", token(cdniuc="regex:" + ".*" * 257), 411, {}),
    ("another asset", GOOD, 411, {"uri": f"{EDGE}/v/film2/main.m3u8"}),
    ("another case", GOOD, 411, {"uri": f"{EDGE}/v/Film/main.m3u8"}),
    ("another port", GOOD, 411, {"uri": "http://edge.example/v/film/main.m3u8"}),
    ("another scheme", GOOD, 411, {"uri": "https://edge.example:8010/v/film/main.m3u8"}),
    ("another host", GOOD, 411, {"uri": "http://edge.example.evil:8010/v/film/main.m3u8"}),
    ("a query that was not signed", GOOD, 411, {"uri": f"{URI}?a"}),
    ("a slash that is encoded", GOOD, 411, {"uri": f"{EDGE}/v/film%2Fmain.m3u8"}),
    ("a session signed by a site", token(iss="sluice", sid="A" * 22, asset="film"), 401, {}),
]  # fmt: skip


def refusals() -> Vector:
    """refusals.json"""
    return {
        "about": "tokens that open nothing, and the code of RFC 9246 4.4 each is logged with",
        "trust": TRUST.to_json()["issuers"],
        "audience": "sluice",
        "now": int(NOW),
        "uri": URI,
        "opens": [{"name": "the same in good order", "token": GOOD}, {"name": "ES256", "token": P256_GOOD}],
        "refused": [{"name": n, "token": text, **unlike, "code": code} for n, text, code, unlike in REFUSALS],
    }
