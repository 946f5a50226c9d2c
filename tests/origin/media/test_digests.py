"""Signed digest lists: read back as written, and refused as soon as anything in them differs."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from origin.media.digests import BLOCK, BadList, ObjectDigest, digest_of, read_list, write_list
from origin.media.seal import SLICE, slice_count

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PACKAGERS = [OTHER.public_key(), KEY.public_key()]
PLACE = ("film", 1, "720p")


def listed(name: str, length: int) -> ObjectDigest:
    slices = tuple(digest_of(f"{name}{n}".encode()) for n in range(slice_count(length)))
    return ObjectDigest(name, length, slices)


def many(count: int) -> list[ObjectDigest]:
    return [listed("init.mp4", 700), *(listed(f"{n}.m4s", n * SLICE // 3) for n in range(count - 1))]


@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_list_is_read_back_as_it_was_written(count: int) -> None:
    objects = many(count)
    found = read_list(write_list(KEY, *PLACE, objects), PACKAGERS, *PLACE)
    assert list(found.values()) == objects
    assert list(found) == [o.name for o in objects]


def test_a_list_of_another_place_or_an_unknown_packager_is_refused() -> None:
    text = write_list(KEY, *PLACE, many(3))
    for place in (("other", 1, "720p"), ("film", 2, "720p"), ("film", 1, "360p")):
        with pytest.raises(BadList):
            read_list(text, PACKAGERS, *place)
    with pytest.raises(BadList, match="known packager"):
        read_list(text, [OTHER.public_key()], *PLACE)
    with pytest.raises(BadList):
        read_list(text, [], *PLACE)


def test_blocks_may_not_change_places() -> None:
    fields = json.loads(write_list(KEY, *PLACE, many(2 * BLOCK)))
    first, second = fields["blocks"]
    first["first"], second["first"] = second["first"], first["first"]
    with pytest.raises(BadList):
        read_list(json.dumps(fields).encode(), PACKAGERS, *PLACE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "9.m4s"),
        ("name", "../x"),
        ("name", 7),
        ("length", 701),
        ("length", -1),
        ("length", 10**30),
        ("length", "700"),
        ("slices", []),
        ("slices", ["AAAA"]),
        ("slices", [7]),
        ("slices", "no list"),
    ],
)
def test_a_row_that_was_altered_is_refused(field: str, value: object) -> None:
    fields = json.loads(write_list(KEY, *PLACE, many(2)))
    fields["blocks"][0]["objects"][0][field] = value
    with pytest.raises(BadList):
        read_list(json.dumps(fields).encode(), PACKAGERS, *PLACE)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"blocks":7}',
        b'{"blocks":[7]}',
        b'{"blocks":[{"objects":[7],"first":0,"signature":""}]}',
        b'{"blocks":[{"objects":[],"first":-1,"signature":""}]}',
        b'{"blocks":[{"objects":[],"first":1.5,"signature":""}]}',
        b'{"blocks":[{"objects":[],"first":0,"signature":"A"}]}',
        b'{"blocks":[{"objects":[],"first":0,"signature":7}]}',
    ],
)
def test_f33_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(BadList):
        read_list(text, PACKAGERS, *PLACE)


@given(st.integers(0), st.integers(0, 255))
def test_f33_a_list_with_any_byte_altered_says_the_same_or_is_refused(where: int, value: int) -> None:
    objects = many(3)
    text = bytearray(write_list(KEY, *PLACE, objects))
    text[where % len(text)] = value
    try:
        found = read_list(bytes(text), PACKAGERS, *PLACE)
    except BadList:
        return
    assert list(found.values()) == objects
