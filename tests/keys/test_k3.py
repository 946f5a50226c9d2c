"""SECURITY 3.3, K3: no (key, IV) pair ever covers two plaintexts, over a million contexts.

A plaintext here is its place: whatever differs in it (asset, generation, container, position) may differ in
its bytes. Keys come from `keys.derive`, IVs and nonces from where bodies are encrypted and slices sealed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edge.deliver.cipher import segment_iv
from keys.derive import cbcs_iv, content_key, download_salt, enc, etag_key, key_id, session_root, slice_key
from origin.media.protection import sample_iv

CONTEXTS = 1_000_000
SEGMENTS = 40  # of a rendition: its first ones, and some at the end of a long film
FAR = 5000
SEGMENTS_A_PERIOD = 15
# TS beside fMP4, A/B marks and cut lists are renditions or assets of their own (SECURITY 3.2).
RENDITIONS = [
    ("video", "720p"), ("video", "720p-ts"), ("video", "1080p"), ("video", "720p-a"), ("video", "720p-b"),
    ("audio", "audio"), ("audio", "audio-ts"), ("audio", "720p"),
]  # fmt: skip


@dataclass(frozen=True)
class Opening:
    """What is different in two sessions, or after a new upload, a restart of the encoder, a cut."""

    asset_key: bytes
    salt: bytes
    tenant: str
    asset: str
    generation: int
    sid: bytes

    def root(self) -> bytes:
        return session_root(self.asset_key, self.salt, self.tenant, self.asset, self.generation, self.sid)


def openings(source: random.Random) -> Iterator[Opening]:
    """Sessions without end; each may share all but one input with others before it."""
    first = Opening(bytes(range(32)), bytes(32), "tenant-1", "asset-1", 1, bytes(16))
    yield first
    while True:
        one = Opening(
            source.choice((first.asset_key, source.randbytes(32))),
            source.choice((first.salt, source.randbytes(32))),
            source.choice(("tenant-1", "tenant-1a", "tenant-")),
            source.choice(("asset-1", "sset-1", "1asset-1", "cut-1")),
            source.choice((1, 2, 3, 256)),
            source.choice((first.sid, source.randbytes(16))),
        )
        yield one


def streams(root: bytes) -> Iterator[tuple[bytes, tuple[str, str, int]]]:
    """(key ‖ IV, place) of every segment of HLS AES-128 in one session."""
    numbers = [*range(SEGMENTS), *range(FAR, FAR + SEGMENTS)]
    for track, rendition in RENDITIONS:
        keys: dict[int, bytes] = {}
        for number in numbers:
            period = number // SEGMENTS_A_PERIOD
            if period not in keys:
                keys[period] = content_key(root, "aes", track, rendition, period)
            yield keys[period] + segment_iv(number), (track, rendition, number)


def files(root: bytes) -> Iterator[tuple[bytes, tuple[str, str]]]:
    """(key ‖ salt, place) of the protected downloads of one session; RFC 8188 makes the nonces of them."""
    for name in ("film.mp4", "film-720p.mp4", "film-audio.m4a", "720p", "film"):
        for rendition in ("file-original", "file-720p", "720p"):
            key = content_key(root, "ece", "file", rendition, 0)
            yield key + download_salt(root, name), (rendition, name)


@pytest.mark.heavy
def test_k3_no_key_and_iv_cover_two_plaintexts_in_a_million_contexts() -> None:
    source = random.Random(33)
    seen: set[bytes] = set()
    roots: set[bytes] = set()
    known: set[Opening] = set()
    contexts = 0
    for opening in openings(source):
        if opening in known:
            continue
        known.add(opening)
        root = opening.root()
        assert root not in roots, opening
        roots.add(root)
        for pair, place in (*streams(root), *files(root)):
            assert pair not in seen, (opening, place)
            seen.add(pair)
            contexts += 1
        if contexts >= CONTEXTS:
            break
    assert len(seen) == contexts >= CONTEXTS


@pytest.mark.heavy
def test_k3_no_slice_is_sealed_under_the_key_and_nonce_of_another() -> None:
    """A slice's nonce is its index, so its key must differ in all else. A generation has its own SK."""
    source = random.Random(34)
    seen: set[bytes] = set()
    for _ in range(50):
        storage_key = source.randbytes(32)
        for _, rendition in RENDITIONS[:-1]:
            for name in ("init.mp4", *(f"{number}.m4s" for number in range(150)), "0.ts", "file"):
                key = slice_key(storage_key, rendition, name)
                assert key not in seen, (rendition, name)
                seen.add(key)


def test_k3_protections_tracks_and_periods_have_keys_of_their_own() -> None:
    root = session_root(bytes(32), bytes(32), "t", "a", 1, bytes(16))
    places = [
        (protection, track, rendition, period)
        for protection in ("aes", "cbcs", "cenc", "ece")
        for track, rendition in [*RENDITIONS, ("video", "-"), ("audio", "-")]
        for period in range(20)
    ]
    keys = {content_key(root, *place) for place in places}
    kids = {key_id("t", "a", 1, *place) for place in places}
    assert len(keys) == len(kids) == len({cbcs_iv(kid) for kid in kids}) == len(places)
    assert etag_key(root)[:16] not in keys


def test_k3_every_sample_of_a_session_has_a_counter_of_its_own() -> None:
    """`cenc`: one key for a track, so rendition, segment and sample are in the IV; 2^64 blocks follow it."""
    pairs: set[bytes] = set()
    renditions = [("video", 0), ("video", 1), ("video", 255), ("video", 256), ("audio", 2), ("audio", 65535)]
    places = [0, 1, 2, 255, 256, 257, 65535, 65536, (1 << 24) - 1]
    for sid in (bytes(16), bytes(15) + b"\1"):
        root = session_root(bytes(32), bytes(32), "t", "a", 1, sid)
        for track, index in renditions:
            key = content_key(root, "cenc", track, "-", 0)
            pairs |= {key + sample_iv(index, n, sample) for n in places for sample in places}
    assert len(pairs) == 2 * len(renditions) * len(places) ** 2
    assert {len(pair) for pair in pairs} == {16 + 8}


def test_k3_names_run_together_are_other_names() -> None:
    pairs = [
        ("ab", "c"),
        ("a", "bc"),
        ("", "abc"),
        ("abc", ""),
        ("a", "b", "c"),
        ("a\0", "bc"),
        ("a", 0),
        (0, "a"),
    ]
    assert len({enc("l", *pair) for pair in pairs}) == len(pairs)
