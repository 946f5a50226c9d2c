"""The signed descriptor: read back as written, for exactly one asset and generation, or refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keys.derive import enc
from keys.names import b64url
from origin.media.asset import (
    BadDescriptor,
    Descriptor,
    Download,
    Rendition,
    read_descriptor,
    write_descriptor,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PACKAGERS = [OTHER.public_key(), KEY.public_key()]
VIDEO = Rendition(
    id="720p",
    track="video",
    index=0,
    codecs="avc1.64001f",
    timescale=12800,
    durations=(51200, 25600),
    sizes=(1000, 500),
    bandwidth=2000,
    average_bandwidth=2000,
    width=1280,
    height=720,
    frame_rate=25.0,
    name="720p",
)
FILM = Descriptor("default", "film", 3, "Film “1”", 6.0, 15, (VIDEO,))


def signed(fields: object) -> bytes:
    """An envelope the packager signed over whatever these fields are."""
    text = json.dumps(fields)
    signature = KEY.sign(enc("sluice1 asset", "film", 3, text))
    return json.dumps({"descriptor": text, "signature": b64url(signature)}).encode()


def fields_of(descriptor: Descriptor) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.loads(write_descriptor(KEY, descriptor))["descriptor"])
    return found


def test_a_descriptor_is_read_back_as_it_was_written() -> None:
    found = read_descriptor(write_descriptor(KEY, FILM), PACKAGERS, "film", 3)
    assert found == FILM
    assert found.rendition("720p") == VIDEO
    assert found.rendition("360p") is None
    assert VIDEO.seconds(1) == 2.0


def test_the_same_descriptor_is_the_same_bytes() -> None:
    assert write_descriptor(KEY, FILM) == write_descriptor(KEY, FILM)


def test_another_asset_generation_or_packager_is_refused() -> None:
    text = write_descriptor(KEY, FILM)
    for asset, generation in (("other", 3), ("film", 2)):
        with pytest.raises(BadDescriptor, match="known packager"):
            read_descriptor(text, PACKAGERS, asset, generation)
    with pytest.raises(BadDescriptor):
        read_descriptor(text, [OTHER.public_key()], "film", 3)


def test_a_signature_does_not_make_a_descriptor_of_another_name() -> None:
    with pytest.raises(BadDescriptor, match="names another asset"):
        read_descriptor(signed(fields_of(FILM) | {"asset": "other"}), PACKAGERS, "film", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"period_segments": 0},
        {"protections": ["rot13"]},
        {"protections": 7},
        {"asset": "../x"},
        {"renditions": 7},
        {"renditions": [7]},
        {"renditions": [{"id": "720p"}]},
        {"surprise": 1},
    ],
)
def test_fields_of_the_wrong_shape_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadDescriptor):
        read_descriptor(signed(fields_of(FILM) | change), PACKAGERS, "film", 3)


@pytest.mark.parametrize("change", [{"id": "../x"}, {"timescale": 0}, {"sizes": [1]}, {"surprise": 1}])
def test_a_rendition_of_the_wrong_shape_is_refused(change: dict[str, object]) -> None:
    fields = fields_of(FILM)
    fields["renditions"][0] |= change
    with pytest.raises(BadDescriptor):
        read_descriptor(signed(fields), PACKAGERS, "film", 3)


def test_a_descriptor_that_names_no_protections_has_aes_alone() -> None:
    fields = fields_of(FILM)
    del fields["protections"]
    assert read_descriptor(signed(fields), PACKAGERS, "film", 3).protections == ("aes",)


def test_renditions_of_one_index_are_refused() -> None:
    fields = fields_of(FILM)
    fields["renditions"] *= 2
    with pytest.raises(BadDescriptor):
        read_descriptor(signed(fields), PACKAGERS, "film", 3)


@pytest.mark.parametrize(
    "text",
    [b"", b"7", b"{}", b"\xff", b"[" * 100_000, b'{"descriptor":7,"signature":"A"}', signed([]), signed(7)],
)
def test_f33_what_is_no_descriptor_is_refused(text: bytes) -> None:
    with pytest.raises(BadDescriptor):
        read_descriptor(text, PACKAGERS, "film", 3)


@given(st.integers(0), st.integers(0, 255))
def test_f33_a_descriptor_with_any_byte_altered_says_the_same_or_is_refused(where: int, value: int) -> None:
    text = bytearray(write_descriptor(KEY, FILM))
    text[where % len(text)] = value
    try:
        found = read_descriptor(bytes(text), PACKAGERS, "film", 3)
    except BadDescriptor:
        return
    assert found == FILM


def test_the_protection_of_a_download_is_said_where_it_is_another_than_clear() -> None:
    """A reader that does not know the field reads no such descriptor: nothing it names leaves plain."""
    clear = Download("film.mp4", "Film.mp4", "video/mp4", 5, "A" * 43, "file-original", 7)
    locked = replace(clear, name="locked.mp4", protection="ece")
    both = replace(FILM, downloads=(clear, locked))
    assert read_descriptor(write_descriptor(KEY, both), PACKAGERS, "film", 3) == both
    rows = fields_of(both)["downloads"]
    assert ["protection" in row for row in rows] == [False, True]
    for wrong in ("aes", "", None, "ECE"):
        fields = fields_of(both)
        fields["downloads"][1]["protection"] = wrong
        with pytest.raises(BadDescriptor):
            read_descriptor(signed(fields), PACKAGERS, "film", 3)
