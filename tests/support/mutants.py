"""Tokens and URLs gone wrong at random: from good ones, by the mistakes and tricks that are worth trying.

Everything comes from one `random.Random`, so a seed makes a case again.
"""

import json
import random

from keys.jws import sign
from keys.names import b64url, b64url_decode
from tests.support.forge import GOOD, KEYS, SITE, SITE_P256, payload, signed

ODD_BYTES = [
    b"%00",
    b"%2f",
    b"%2e",
    b"%5c",
    b"//",
    b"/../",
    b"/./",
    b";",
    b"?",
    b"#",
    b"\\",
    b"%",
    b"%c0%af",
    b"\xff",
    b"\x00",
    b"\r\n",
    b" ",
    b"%252f",
    b"URISigningPackage=",
    b";URISigningPackage=",
    b"..",
    b"=",
    b"&",
    b"%u002e",
    b"\xe2\x80\xae",
    b"%F0%9F%8E%A5",
]
ODD_VALUES: list[object] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63,
    2**64,
    1.5,
    1e300,
    "",
    "x",
    "0",
    "..",
    "\x00",
    "\u202e",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    ["sluice"],
    "sluice",
    "regex:",
    "regex:.*",
    "hash:sha-256;",
    "hash:;",
    "lid",
    "regex:(",
    "regex:" + "(" * 200,
    "regex:(a+)+$",
    "regex:[[:alpha:]]{255}",
    "regex:" + "(.{255}){0,255}",
    "regex:(((((.*)*)*)*)*)*",
    "A" * 22,
    "é",
]
GOOD_P256 = sign(SITE_P256.private, SITE_P256.kid, payload())
CLAIMS = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "lid", "cdniv", "cdnicrit", "cdniip", "cdniuc",
          "cdniets", "cdnistt", "cdnistd", "cap", "pace", "limits", "sid", "asset"]  # fmt: skip
HEADERS = ["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "cty", "enc"]
PATHS = [
    b"/v;URISigningPackage=TOKEN/film/main.m3u8",
    b"/v;URISigningPackage=TOKEN/film/aes/main.m3u8",
    b"/v;URISigningPackage=TOKEN/film/aes/720p/index.m3u8",
    b"/v;URISigningPackage=TOKEN/film/aes/720p/0.m4s",
    b"/v;URISigningPackage=TOKEN/film/aes/720p/init.mp4",
    b"/v;URISigningPackage=TOKEN/film/aes/720p/key/0",
    b"/v;URISigningPackage=TOKEN/film/cenc/720p/0.m4s",
    b"/v;URISigningPackage=TOKEN/film/cbcs/license",
    b"/v;URISigningPackage=TOKEN/film/main.m3u8?protection=cbcs",
    b"/d;URISigningPackage=TOKEN/film/film.mp4",
    b"/v/film/main.m3u8?URISigningPackage=TOKEN",
    b"/d/film/film.mp4?a=1&URISigningPackage=TOKEN",
    b"/watch/index.html",
    b"/healthz",
]


def forged_token(random: random.Random) -> str:
    """A good token of `forge.payload`, altered by somebody who cannot sign."""
    return random.choice((_respelled, _cut_up))(random)


def odd_token(random: random.Random) -> str:
    """A token that is signed well and says something strange."""
    return random.choice((_other_claims, _other_header, _other_json))(random)


def mutated_target(random: random.Random, token: bytes = GOOD.encode()) -> bytes:
    """A request target, as a client may send it on the wire."""
    target = random.choice(PATHS).replace(b"TOKEN", token)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(target) + 1)
        match random.randrange(6):
            case 0:
                target = target[:at] + random.choice(ODD_BYTES) + target[at:]
            case 1:
                target = target[:at] + random.randbytes(random.randint(1, 4)) + target[at:]
            case 2:
                target = target[:at] + target[at + random.randint(1, 9) :]
            case 3 if at < len(target):  # one byte, percent-encoded
                target = target[:at] + f"%{target[at]:02x}".encode() + target[at + 1 :]
            case 4:
                target += random.choice((b"?", b"&", b";", b"/")) + target[at:]
            case _:
                target = target[:at] + target[:at][::-1] + target[at:]
    return target


def _base(random: random.Random) -> str:
    return random.choice((GOOD, GOOD, GOOD_P256))


def _respelled(random: random.Random) -> str:
    """Characters changed, added, taken out."""
    text = list(_base(random))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(text))
        match random.randrange(4):
            case 0:
                text[at] = chr(random.choice((random.randrange(128), random.randrange(0x3000))))
            case 1:
                text.insert(at, random.choice(".=-_ \n\x00+/%é"))
            case 2:
                del text[at]
            case _:
                text[at] = text[at].swapcase()
    return "".join(text)


def _cut_up(random: random.Random) -> str:
    """Segments swapped, dropped, doubled, of other lengths."""
    parts = _base(random).split(".")
    match random.randrange(5):
        case 0:
            random.shuffle(parts)
        case 1:
            parts.pop(random.randrange(len(parts)))
        case 2:
            parts.insert(random.randrange(len(parts) + 1), random.choice([*parts, "", "e30", "A" * 5000]))
        case 3:
            at = random.randrange(3)
            parts[at] = parts[at][: random.randrange(len(parts[at]) + 1)]
        case _:
            at = random.randrange(3)
            parts[at] = b64url(random.randbytes(random.randrange(90)))
    return ".".join(parts)


def _other_claims(random: random.Random) -> str:
    """Signed well, with claims of other types and values."""
    changes = {random.choice(CLAIMS): random.choice(ODD_VALUES) for _ in range(random.randint(1, 3))}
    if random.random() < 0.2:
        changes[random.choice(CLAIMS)] = ...
    key = random.choice((SITE, SITE, SITE, KEYS))
    if key is KEYS:
        changes = {"iss": "sluice", "sid": "A" * 22, "asset": "film"} | changes
    return signed(json.dumps(payload(**changes)), key=key)


def _other_header(random: random.Random) -> str:
    header: dict[str, object] = {"alg": SITE.alg, "kid": SITE.kid}
    header |= {random.choice(HEADERS): random.choice(ODD_VALUES) for _ in range(random.randint(1, 2))}
    return signed(json.dumps(payload()), json.dumps(header))


def _other_json(random: random.Random) -> str:
    """Signed well, over bytes that are not quite the JSON they were."""
    data = bytearray(b64url_decode(GOOD.split(".")[1]))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data))
        match random.randrange(4):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at:at] = random.choice(
                    (b"{", b"[", b'"', b"\\", b"\\ud800", b",", b"1e9", b"\x00", b"[" * 50)
                )
            case 2:
                del data[at : at + random.randint(1, 20)]
            case _:
                data += data[at:]
    return signed(bytes(data))
