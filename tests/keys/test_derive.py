"""Derivation against its published vectors: one wrong byte here and nothing plays anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import derive
from origin.media.seal import Sealer

VECTORS = Path(__file__).parents[1] / "vectors"
DERIVATION: dict[str, Any] = json.loads((VECTORS / "derivation.json").read_text())
HKDF: list[dict[str, Any]] = json.loads((VECTORS / "rfc5869.json").read_text())["cases"]

Field = str | bytes | int
fields = st.lists(st.text(max_size=8) | st.binary(max_size=8) | st.integers(0, 2**64 - 1), max_size=4)


def root(generation: int) -> bytes:
    given_ = DERIVATION["inputs"]
    return derive.session_root(
        bytes.fromhex(given_["asset_key"]),
        bytes.fromhex(given_["salt"]),
        given_["tenant"],
        given_["asset"],
        generation,
        bytes.fromhex(given_["session_id"]),
    )


def key_id(generation: int) -> bytes:
    return derive.key_id("tenant-1", "asset-1", generation, "aes", "video", "720p", 0)


@pytest.mark.parametrize("case", HKDF)
def test_hkdf_gives_the_published_bytes(case: dict[str, Any]) -> None:
    prk = derive.hkdf_extract(bytes.fromhex(case["salt"]), bytes.fromhex(case["ikm"]))
    assert prk.hex() == case["prk"]
    assert derive.hkdf_expand(prk, bytes.fromhex(case["info"]), case["length"]).hex() == case["okm"]


@pytest.mark.parametrize("length", [0, -1, 255 * 32 + 1])
def test_hkdf_refuses_a_length_it_cannot_give(length: int) -> None:
    with pytest.raises(ValueError, match="8160"):
        derive.hkdf_expand(bytes(32), b"", length)


def test_session_keys_are_those_of_the_vectors() -> None:
    first, second = DERIVATION["generation_1"], DERIVATION["generation_2"]
    assert root(1).hex() == first["srk"]
    assert derive.content_key(root(1), "aes", "video", "720p", 0).hex() == first["key"]
    assert derive.content_key(root(2), "aes", "video", "720p", 0).hex() == second["key"]
    assert derive.etag_key(root(1)).hex() == first["etk"]
    assert derive.download_salt(root(1), "film.mp4").hex() == first["salt"]


def test_public_names_of_keys_are_those_of_the_vectors() -> None:
    assert key_id(1).hex() == DERIVATION["generation_1"]["kid"]
    assert key_id(2).hex() == DERIVATION["generation_2"]["kid"]
    assert derive.cbcs_iv(key_id(1)).hex() == DERIVATION["generation_1"]["civ"]


def test_a_sealed_slice_is_that_of_the_vector() -> None:
    case = DERIVATION["sealed_slice"]
    storage_key = bytes.fromhex(case["storage_key"])
    assert derive.slice_key(storage_key, case["rendition"], case["object"]).hex() == case["slice_key"]
    sealer = Sealer(storage_key, "tenant-1", "asset-1", 1, case["rendition"], case["object"])
    assert sealer.seal(case["index"], case["plain"].encode()).hex() == case["sealed"]


@given(fields, fields)
def test_enc_never_gives_two_field_lists_the_same_bytes(one: list[Field], other: list[Field]) -> None:
    def plain(row: list[Field]) -> list[bytes]:
        return [
            f.to_bytes(8, "big") if isinstance(f, int) else f.encode() if isinstance(f, str) else f
            for f in row
        ]

    assert (derive.enc("label", *one) == derive.enc("label", *other)) == (plain(one) == plain(other))


def test_a_leaked_key_says_nothing_of_any_other_context() -> None:
    contexts = [
        (protection, track, rendition, period)
        for protection in ("aes", "cenc")
        for track in ("video", "audio")
        for rendition in ("720p", "480p")
        for period in (0, 1, 2)
    ]
    keys = {derive.content_key(root(g), *context) for g in (1, 2) for context in contexts}
    assert len(keys) == 2 * len(contexts)
