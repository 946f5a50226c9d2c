"""Boxes: what is found where, and that no bytes whatever make the reader crash or run long."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.boxes import BadBox, Box, Fields, boxes, find, need, read_header

Write = Callable[..., bytes]


def test_boxes_are_found_in_order_with_their_places(box: Write) -> None:
    data = box("ftyp", b"iso5") + box("moov", box("mvhd", b"abc"))
    assert list(boxes(data)) == [Box("ftyp", 0, 8, 12), Box("moov", 12, 20, 31)]
    assert list(boxes(data, Box("moov", 12, 20, 31))) == [Box("mvhd", 20, 28, 31)]


def test_a_path_leads_to_the_first_box_there(box: Write) -> None:
    data = box("moov", box("trak", box("tkhd")), box("trak", box("mdia", b"")))
    assert find(data, "moov", "trak", "tkhd") == Box("tkhd", 16, 24, 24)
    assert find(data, "moov", "trak", "mdia") is None
    with pytest.raises(BadBox, match="no moov/mvex"):
        need(data, "moov", "mvex")


def test_a_64_bit_size_and_a_uuid_type_lengthen_the_header() -> None:
    long = struct.pack(">I4sQ", 1, b"mdat", 20) + b"body"
    assert list(boxes(long)) == [Box("mdat", 0, 16, 20)]
    named = struct.pack(">I4s16s", 26, b"uuid", bytes(16)) + b"ab"
    assert list(boxes(named)) == [Box("uuid", 0, 24, 26)]


def test_size_0_reaches_to_the_end_of_the_file_and_only_there(box: Write) -> None:
    endless = struct.pack(">I4s", 0, b"mdat") + b"rest"
    assert list(boxes(endless)) == [Box("mdat", 0, 8, 12)]
    parent = box("moov", endless)
    with pytest.raises(BadBox, match="has no size"):
        list(boxes(parent, Box("moov", 0, 8, len(parent))))


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0",
        struct.pack(">I4s", 7, b"free"),
        struct.pack(">I4s", 9, b"free"),
        struct.pack(">I4s", 1, b"mdat"),
        struct.pack(">I4sQ", 1, b"mdat", 15),
        struct.pack(">I4sQ", 1, b"mdat", 1 << 63),
        struct.pack(">I4s", 23, b"uuid") + bytes(15),
        struct.pack(">I4s", 0, b"uuid") + bytes(15),
    ],
)
def test_a_box_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(BadBox):
        list(boxes(data))


def test_a_child_may_not_reach_out_of_its_parent(box: Write) -> None:
    data = box("moov", struct.pack(">I4s", 16, b"trak")) + bytes(8)
    with pytest.raises(BadBox, match="runs over"):
        find(data, "moov", "trak")


@pytest.mark.parametrize("size", range(8))
def test_a_header_that_has_not_arrived_is_none(size: int) -> None:
    assert read_header(struct.pack(">I4s", 99, b"mdat")[:size]) is None


def test_a_header_may_arrive_before_its_box() -> None:
    header = read_header(struct.pack(">I4s", 99, b"mdat"))
    assert header is not None
    assert (header.type, header.length, header.size) == ("mdat", 8, 99)
    assert read_header(struct.pack(">I4sI", 1, b"mdat", 0)) is None


def test_fields_end_where_their_box_ends(box: Write) -> None:
    data = box("mfhd", b"\x01\x00\x00\x02", b"\x00\x07") + b"beyond"
    fields = Fields(data, need(data, "mfhd"))
    assert fields.version_and_flags() == (1, 2)
    assert (len(fields), fields.uint(2), len(fields)) == (2, 7, 0)
    with pytest.raises(BadBox):
        fields.uint(1)


@given(st.binary(max_size=400))
def test_f33_any_bytes_are_boxes_or_refused(data: bytes) -> None:
    try:
        found = list(boxes(data))
    except BadBox:
        return
    assert [b.start for b in found] == [0, *(b.end for b in found)][: len(found)]
    assert not found or found[-1].end == len(data)


TYPES = st.sampled_from(["free", "moov", "trak", "mdat", "\xa9nam"])
TREES = st.recursive(
    st.binary(max_size=20),
    lambda inner: st.lists(st.tuples(TYPES, inner), max_size=4),
    max_leaves=12,
)
Tree = bytes | list[tuple[str, "Tree"]]


def write_tree(tree: Tree) -> bytes:
    if isinstance(tree, bytes):
        return tree
    parts = [(kind.encode("latin-1"), write_tree(inner)) for kind, inner in tree]
    return b"".join(struct.pack(">I", 8 + len(payload)) + kind + payload for kind, payload in parts)


def assert_reads(data: bytes, parent: Box | None, tree: Tree) -> None:
    if isinstance(tree, bytes):
        assert parent is None or data[parent.body : parent.end] == tree
        return
    found = list(boxes(data, parent))
    assert [b.type for b in found] == [kind for kind, _ in tree]
    for place, (_, inner) in zip(found, tree, strict=True):
        assert_reads(data, place, inner)


@given(st.lists(st.tuples(TYPES, TREES), max_size=4))
def test_what_was_written_as_boxes_is_read_as_the_same_boxes(tree: list[tuple[str, Tree]]) -> None:
    assert_reads(write_tree(tree), None, tree)
