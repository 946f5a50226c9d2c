"""A session's tokens and keys, segments as sent, slices as stored: `tests/vectors/sessions.json`."""

from typing import Final

from edge.deliver.cipher import SegmentCipher, segment_iv
from keys import derive
from keys.ece import Header, encoded
from keys.names import b64url
from keys.tokens import mint
from origin.media.seal import Sealer
from tests.support.forge import KEYS, NOW
from tests.support.link_vectors import EDGE, OTHER_EDGE, Vector, issuer_file

ASSET_KEY, SALT, SID, STORAGE_KEY = (
    bytes(range(n, n + size)) for n, size in ((0, 32), (32, 32), (64, 16), (96, 32))
)
CONTENT_KEYS: Final = [
    *((1, "aes", "video", "720p", period) for period in (0, 1, 61, 2**32)),
    (1, "aes", "video", "720p-ts", 0),
    (1, "aes", "audio", "audio", 0),
    (2, "aes", "video", "720p", 1),
    *((1, protection, track, "-", 0) for protection in ("cenc", "cbcs") for track in ("video", "audio")),
]  # fmt: skip


def session_root(generation: int) -> bytes:
    """SRK of the session all vectors are of."""
    return derive.session_root(ASSET_KEY, SALT, "tenant-1", "asset-1", generation, SID)


def content_key(generation: int, protection: str, track: str, rendition: str, period: int) -> Vector:
    """One content key, its public name, and for `cbcs` its IV."""
    where = (protection, track, rendition, period)
    kid = derive.key_id("tenant-1", "asset-1", generation, *where)
    return {
        "generation": generation, "protection": protection, "track": track, "rendition": rendition,
        "period": period, "key": derive.content_key(session_root(generation), *where).hex(), "kid": kid.hex(),
        **({"iv": derive.cbcs_iv(kid).hex()} if protection == "cbcs" else {}),
    }  # fmt: skip


def protected_file(name: str, plain: bytes) -> Vector:
    """A protected download as it is sent, and what opens it."""
    root = session_root(1)
    key = derive.content_key(root, "ece", "file", "file-original", 0)
    salt = derive.download_salt(root, name)
    return {
        "generation": 1, "name": name, "rendition": "file-original", "plain": plain.hex(),
        "key": key.hex(), "salt": salt.hex(), "sent": encoded(key, Header(salt), plain).hex(),
    }  # fmt: skip


def sessions() -> Vector:
    """sessions.json"""
    minted: list[tuple[str, Vector, list[str], list[str]]] = [
        ("streams of an asset", {"hosts": [EDGE, OTHER_EDGE]},
         [f"{EDGE}/v/film/main.m3u8", f"{EDGE}/v/film/720p/7.m4s", f"{OTHER_EDGE}/v/film/720p/key/3"],
         [f"{EDGE}/v/film2/main.m3u8", f"{EDGE}/d/film/film.mp4", f"{EDGE}/v/film"]),
        ("one download", {"hosts": [EDGE], "paths": r"/d/film/film\.mp4"},
         [f"{EDGE}/d/film/film.mp4"], [f"{EDGE}/d/film/film-720p.mp4", f"{EDGE}/v/film/main.m3u8"]),
    ]  # fmt: skip
    slices = [
        ("720p", "7.m4s", 0, b"segment seven"),
        ("720p", "7.m4s", 1, b""),
        ("audio", "init.mp4", 0, bytes(40)),
    ]
    segments = [(0, b""), (7, b"segment seven"), (2**31, bytes(32))]
    return {
        "about": "a session's tokens and keys, and slices as stored; README.md explains the fields",
        "key": issuer_file(KEYS),
        "tokens": [
            {
                "name": name, "sid": b64url(SID), "asset": "film",
                "now": int(NOW), "expires": int(NOW) + 21600, **how,
                "token": mint(KEYS, sid=SID, asset="film", expires=NOW + 21600, now=NOW, **how),
                "opens": opens, "refuses": refuses,
            }
            for name, how, opens, refuses in minted
        ],
        "inputs": {
            "asset_key": ASSET_KEY.hex(), "salt": SALT.hex(), "session_id": SID.hex(),
            "tenant": "tenant-1", "asset": "asset-1",
        },
        "session_roots": {str(generation): session_root(generation).hex() for generation in (1, 2)},
        "content_keys": [content_key(*row) for row in CONTENT_KEYS],
        "files": [protected_file("film.mp4", b"a film"), protected_file("film.m4a", b"")],
        "segments": [aes_segment(number, plain) for number, plain in segments],
        "slices": [
            {
                "storage_key": STORAGE_KEY.hex(), "generation": 1, "rendition": rendition, "object": name,
                "index": index, "plain": plain.hex(),
                "slice_key": derive.slice_key(STORAGE_KEY, rendition, name).hex(),
                "sealed": Sealer(STORAGE_KEY, "tenant-1", "asset-1", 1, rendition, name)
                .seal(index, plain)
                .hex(),
            }
            for rendition, name, index, plain in slices
        ],
    }  # fmt: skip


def aes_segment(number: int, plain: bytes) -> Vector:
    """A segment as the edge sends it under HLS AES-128."""
    key = derive.content_key(session_root(1), "aes", "video", "720p", 0)
    buffer = bytearray(256)
    length = SegmentCipher(key, number).into(buffer, memoryview(plain), last=True)
    return {
        "number": number, "key": key.hex(), "iv": segment_iv(number).hex(), "plain": plain.hex(),
        "cipher": bytes(buffer[:length]).hex(),
    }  # fmt: skip
