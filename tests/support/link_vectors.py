"""Links as a site signs them, each with what it opens: `tests/vectors/links.json`.

Keys, times, IDs and nonces are fixed, Ed25519 is deterministic, and ES256 follows RFC 6979 here, so every run
gives the same bytes.
"""

import itertools
import json
from typing import Any, Final
from unittest import mock

from keys.cipher import seal_claim
from keys.container import canonical_uri, split_token
from keys.limits import Limits
from keys.names import b64url, b64url_decode
from keys.signing import SigningKey, insert_token, sign_url
from tests.support.forge import NOW, SITE, SITE_P256, URI, fixed, raw_signature

EDGE: Final = "http://edge.example:8010"
OTHER_EDGE: Final = "https://[2001:db8::1]:8443"
QUOTED: Final = fixed('Zoë\'s "site" \\ <films>', 6)
SIGNERS: Final = {"site": SITE, "p256": SITE_P256, "quoted": QUOTED}
FILM: Final = "/v/film/main.m3u8"

Vector = dict[str, Any]

# name, key, edges, plain path, the path in its URL, options, URIs the link opens, URIs it does not
LINKS: Final[list[tuple[str, str, list[str], str, str, Vector, list[str], list[str]]]] = [
    ("a stream", "site", [EDGE], FILM, FILM, {},
     [f"{EDGE}/v/film/main.m3u8", f"{EDGE}/v/film/main.mpd"],
     [f"{EDGE}/v/film/main.mp4", f"{EDGE}/v/film2/main.mpd", f"{EDGE}/v/film/720p/index.m3u8",
      "http://edgeXexample:8010/v/film/main.mpd", f"{EDGE}/v/film/main.m3u8?a=1",
      f"{EDGE}/v/film/main.m3u8/"]),
    ("a manifest", "site", [EDGE], "/v/film/main.mpd", "/v/film/main.mpd", {},
     [f"{EDGE}/v/film/main.m3u8", f"{EDGE}/v/film/main.mpd"], [f"{EDGE}/v/film/main"]),
    ("times of its own", "site", [EDGE], FILM, FILM, {"start_within": 60, "session": 900}, [URI], []),
    ("single use", "site", [EDGE], FILM, FILM, {"once": True}, [URI], []),
    ("two edges, one said twice", "site", [EDGE, OTHER_EDGE, EDGE], FILM, FILM, {},
     [URI, f"{OTHER_EDGE}/v/film/main.mpd"],
     ["https://edge.example:8010/v/film/main.mpd", f"{EDGE}{OTHER_EDGE}/v/film/main.mpd"]),
    ("a download", "site", [EDGE], "/d/film/film-720p.mp4", "/d/film/film-720p.mp4", {},
     [f"{EDGE}/d/film/film-720p.mp4"], [f"{EDGE}/d/film/film-720pXmp4", f"{EDGE}/d/film/film-720p.mp"]),
    ("a hidden viewer", "site", [EDGE], FILM, FILM, {"viewer": "customer-4711"}, [URI], []),
    ("a viewer beyond ASCII", "site", [EDGE], FILM, FILM,
     {"viewer": "Zoë O'Brien \"7\" <žlutý> 日本 😀 %41+&;=/\\"}, [URI], []),
    ("from one network", "site", [EDGE], FILM, FILM, {"network": "192.0.2.0/24"}, [URI], []),
    ("limits", "site", [EDGE], FILM, FILM,
     {"streams": 2, "opens": 5, "budget": 20_000_000_000, "speed": 16384, "country": "DE,AT", "device": True},
     [URI], []),
    ("one limit", "site", [EDGE], FILM, FILM, {"country": "CH"}, [URI], []),
    ("renewed by cookie", "site", [EDGE], "/d/film/film.mp4", "/d/film/film.mp4", {"renew": "cookie"},
     [f"{EDGE}/d/film/film.mp4"], []),
    ("renewed by redirect, under limits", "site", [EDGE], "/d/film/film.mp4", "/d/film/film.mp4",
     {"renew": "redirect", "renew_s": 15, "budget": 1, "viewer": "anna"}, [f"{EDGE}/d/film/film.mp4"], []),
    ("for offline use", "site", [EDGE], "/d/film/ece/film.mp4", "/d/film/ece/film.mp4",
     {"offline": 172800, "once": True}, [f"{EDGE}/d/film/ece/film.mp4"],
     [f"{EDGE}/d/film/film.mp4", f"{EDGE}/d/film/ece/film.mp4/license"]),
    ("everything at once", "site", [EDGE, OTHER_EDGE], FILM, FILM,
     {"start_within": 1, "session": 43200, "once": True, "viewer": "anna", "network": "2001:db8::/32"},
     [URI], []),
    ("an issuer to be quoted in JSON", "quoted", [EDGE], FILM, FILM, {}, [URI], []),
    ("a path of one part", "site", [EDGE], "/films", "/films", {}, [f"{EDGE}/films"], [f"{EDGE}/films/"]),
    ("a path that ends in a slash", "site", [EDGE], "/z/site/", "/z/site/", {},
     [f"{EDGE}/z/site/"], [f"{EDGE}/z/site", f"{EDGE}/z/site/x"]),
    ("spaces, quotes, accents", "site", [EDGE], "/z/Été à \"Nice\"/it's 100%.mp4",
     "/z/%C3%89t%C3%A9%20%C3%A0%20%22Nice%22/it%27s%20100%25.mp4", {},
     [f"{EDGE}/z/%C3%89t%C3%A9%20%C3%A0%20%22Nice%22/it%27s%20100%25.mp4",
      f"{EDGE}/z/%c3%89t%c3%a9%20%c3%a0%20%22%4eice%22/it%27s%20100%25%2Emp4"],
     [f"{EDGE}/z/%C3%89t%C3%A9+%C3%A0+%22Nice%22/it%27s+100%25.mp4"]),
    ("signs of URLs", "site", [EDGE], "/z/a?b#c;d=e&f,g+h@i:j!k$l*m(n)",
     "/z/a%3Fb%23c%3Bd%3De%26f%2Cg%2Bh%40i%3Aj%21k%24l%2Am%28n%29", {},
     [f"{EDGE}/z/a%3Fb%23c%3Bd%3De%26f%2Cg%2Bh%40i%3Aj%21k%24l%2Am%28n%29"],
     [f"{EDGE}/z/a?b", f"{EDGE}/z/a"]),
    ("signs of patterns and shells", "site", [EDGE], "/z/[a-z]{2}|^x$\\y`id`$(id)~_-.<b>",
     "/z/%5Ba-z%5D%7B2%7D%7C%5Ex%24%5Cy%60id%60%24%28id%29~_-.%3Cb%3E", {},
     [f"{EDGE}/z/%5Ba-z%5D%7B2%7D%7C%5Ex%24%5Cy%60id%60%24%28id%29~_-.%3Cb%3E"],
     [f"{EDGE}/z/%5Ba-z%5D%7B2%7D%7C%5Ex%24%5Cy%60id%60%24%28id%29~_-X%3Cb%3E"]),
    ("writing beyond the first plane", "site", [EDGE], "/z/日本/😀.mp4",
     "/z/%E6%97%A5%E6%9C%AC/%F0%9F%98%80.mp4", {},
     [f"{EDGE}/z/%E6%97%A5%E6%9C%AC/%F0%9F%98%80.mp4"], [f"{EDGE}/z/%E6%97%A5%E6%9C%AC/"]),
    ("signed by a P-256 key", "p256", [EDGE], FILM, FILM, {}, [URI], [f"{EDGE}/v/film2/main.m3u8"]),
]  # fmt: skip


LIMITS: Final = ("streams", "opens", "budget", "speed", "country", "device")


def limits_of(options: Vector) -> Limits:
    """The limits among a vector's options."""
    found = {name: value for name, value in options.items() if name in LIMITS}
    countries = tuple(found.pop("country", "").split(",")) if "country" in found else ()
    return Limits(**found, countries=countries)


def issuer_file(key: SigningKey) -> Vector:
    """The content of the key file, as a site has it."""
    found: Vector = json.loads(key.to_json())
    return found


def link(
    name: str, signer: str, edges: list[str], path: str, place: str, options: Vector,
    opens: list[str], refuses: list[str],
) -> Vector:  # fmt: skip
    """One link as `sign_url` makes it at NOW with fixed nonces."""
    key, nonces, link_id = SIGNERS[signer], itertools.count(1), name.replace(" ", "-").replace(",", "")
    how = {"start_within": "start_within_s", "session": "session_s", "offline": "offline_s"}
    with mock.patch("keys.cipher.os.urandom", lambda length: next(nonces).to_bytes(length, "big")):
        url = sign_url(
            edges[0] + place, key, hosts=edges[1:], link_id=link_id, now=NOW,
            limits=limits_of(options),
            **{how.get(option, option): value for option, value in options.items() if option not in LIMITS},
        )  # fmt: skip
    text = split_token(url)[1].rpartition(".")[0]
    made = f"{text}.{b64url(raw_signature(key, text))}"
    header, claims = (json.loads(b64url_decode(part)) for part in text.split("."))
    return {
        "name": name, "key": signer, "edges": edges, "path": path,
        "options": {**options, "id": link_id, "now": int(NOW)},
        "uri": canonical_uri(edges[0] + place), "header": header, "claims": claims, "token": made,
        "url": insert_token(edges[0] + place, made), "opens": opens, "refuses": refuses,
    }  # fmt: skip


def links() -> Vector:
    """links.json"""
    return {
        "about": "links a site signs, and what each opens; README.md explains the fields",
        "keys": {name: issuer_file(key) for name, key in SIGNERS.items()},
        "links": [link(*row) for row in LINKS],
        "private_claims": [
            {
                "viewer_key": b64url(bytes(range(16))), "nonce": b64url(bytes(range(12))), "text": text,
                "jwe": seal_claim(bytes(range(16)), text, nonce=bytes(range(12))),
            }
            for text in ("customer-4711", "Zoë 7", "192.0.2.0/24", "2001:db8::/32")
        ],
    }  # fmt: skip
