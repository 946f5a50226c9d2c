#!/usr/bin/env python3
"""Signs a Sluice link: sign.py KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.

Python's own library cannot sign, so this needs the package `cryptography`, and nothing else.
"""

import base64
import json
import os
import re
import sys
import time
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LEAST = {"streams": 1, "opens": 1, "budget": 1, "speed": 16384}  # of each limit that is a number
EDGE = r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?"


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def part(value: dict) -> str:
    return b64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def hide(key: dict, text: str) -> str:  # a compact JWE: dir, A128GCM
    if not 0 < len(text.encode()) <= 256:
        raise ValueError("a viewer, a network, is 1 to 256 bytes")
    header, nonce = part({"alg": "dir", "enc": "A128GCM"}), os.urandom(12)
    sealed = AESGCM(from_b64url(key["viewer_key"])).encrypt(nonce, text.encode(), header.encode())
    return f"{header}..{b64url(nonce)}.{b64url(sealed[:-16])}.{b64url(sealed[-16:])}"


def limits(country: str | None, device: bool, **numbers: int | None) -> dict:
    found = {name: number for name, number in numbers.items() if number is not None}
    if any(not LEAST[name] <= number < 10**15 for name, number in found.items()):
        raise ValueError("streams, opens and budget are from 1, speed is from 16384")
    if country is not None:
        if not re.fullmatch("[A-Z]{2}(,[A-Z]{2}){0,59}", country):
            raise ValueError("country is up to 60 codes of two letters, such as DE,AT")
        found["countries"] = country.split(",")
    return found | ({"device": True} if device else {})


def renewal(path: str, by: str, seconds: int) -> dict:  # RFC 9246 §3
    if by not in ("cookie", "redirect") or not re.fullmatch("/d/[^/]+/[^/]+", path) or seconds < 1:
        raise ValueError("renew is cookie or redirect, for a download; renew_s is seconds")
    return {"cdnistt": 1 if by == "cookie" else 2, "cdniets": seconds, "cdnistd": 3}


def offline_use(path: str, seconds: int) -> dict:
    if not re.fullmatch("/d/[^/]+/ece/[^/]+", path) or not 1 <= seconds <= 2592000:
        raise ValueError("offline is 1 to 2592000 seconds, for a protected download, /d/film/ece/film.mp4")
    return {"offline": seconds}


def sign_link(
    key: dict, edges: list, path: str, start_within: int = 7200, session: int = 21600, once: bool = False,
    viewer: str | None = None, network: str | None = None, id: str | None = None, now: int = 0,
    streams: int | None = None, opens: int | None = None, budget: int | None = None, speed: int | None = None,
    country: str | None = None, device: bool = False, renew: str | None = None, renew_s: int = 60,
    offline: int | None = None,
) -> str:  # fmt: skip
    now, id = now or int(time.time()), b64url(os.urandom(16)) if id is None else id
    if key["alg"] != "EdDSA" or not all(re.fullmatch(EDGE, edge) for edge in edges):
        raise ValueError("the key is an Ed25519 one, an edge is like https://edge.example.org")
    if not re.fullmatch("(/[^/]+)+/?", path) or {".", ".."} & set(path.split("/")):
        raise ValueError("a path is like /v/film/main.m3u8")
    if start_within < 1 or session < 1 or not re.fullmatch("[A-Za-z0-9_.~-]{1,64}", id):
        raise ValueError("start_within and session are seconds, an id is 1 to 64 of A-Za-z0-9_.~-")
    path = quote(path)  # UTF-8; all but A-Z a-z 0-9 - . _ ~ and / becomes %XX
    hosts, place = (re.sub(r"[].[]", r"\\\g<0>", text) for text in ("|".join(dict.fromkeys(edges)), path))
    place = re.sub(r"^(/v/[a-z0-9][a-z0-9_-]*/main\\\.)(m3u8|mpd)$", r"\1(m3u8|mpd)", place)
    claims = {"iss": key["iss"], "aud": "sluice", "iat": now, "nbf": now - 30, "exp": now + start_within}
    claims |= {"cap": session, "cdniuc": f"regex:{f'({hosts})' if '|' in hosts else hosts}{place}"}
    claims["jti" if once else "lid"] = id
    claims |= {
        name: hide(key, text) for name, text in (("sub", viewer), ("cdniip", network)) if text is not None
    }
    if limited := limits(country, device, streams=streams, opens=opens, budget=budget, speed=speed):
        claims |= {"limits": limited, "cdnicrit": "limits"}
    claims |= {} if offline is None else offline_use(path, offline)
    claims |= {} if renew is None else renewal(path, renew, renew_s)
    text = f"{part({'alg': 'EdDSA', 'kid': key['kid'], 'typ': 'JWT'})}.{part(claims)}"
    private = Ed25519PrivateKey.from_private_bytes(from_b64url(key["jwk"]["d"]))
    token = f"{text}.{b64url(private.sign(text.encode()))}"
    return edges[0] + re.sub("^/[^/]+", lambda first: f"{first[0]};URISigningPackage={token}", path)


def yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("once and device are yes or no")
    return text == "yes"


READ = {"start_within": int, "session": int, "now": int, "renew_s": int, "once": yes, "device": yes}
READ |= dict.fromkeys((*LEAST, "offline"), int)

if __name__ == "__main__":
    try:
        file, edges, path, *words = sys.argv[1:]
        options = dict(word.partition("=")[::2] for word in words)
        options = {name: READ.get(name, str)(value) for name, value in options.items()}
        print(sign_link(json.loads(Path(file).read_text("utf-8")), edges.split(","), path, **options))
    except (OSError, KeyError, TypeError, ValueError) as error:
        sys.exit(f"sign.py: {error}")
