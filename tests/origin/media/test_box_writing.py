"""Boxes are written as they are read, and made longer in headers of both kinds."""

import struct

import pytest

from origin.media.box_writing import add, box, enlarge, full_box
from origin.media.boxes import BadBox, need


def test_a_box_is_read_as_written() -> None:
    data = box("moov", full_box("tfdt", 1, 0x20002, b"abc", b"de"))
    tfdt = need(data, "moov", "tfdt")
    assert data[tfdt.body : tfdt.end] == b"\1\2\0\2abcde"


def test_headers_of_both_kinds_grow() -> None:
    for header in (struct.pack(">I4s", 11, b"moof"), struct.pack(">I4sQ", 1, b"moof", 19)):
        data = bytearray(header + b"abc")
        enlarge(data, need(data, "moof"), 300)
        data += bytes(300)
        assert need(data, "moof").end == len(data)


def test_what_does_not_fit_its_field_is_refused() -> None:
    data = bytearray(b"\xff\xff\xff\xf0rest")
    add(data, 0, 4, 15)
    assert data == b"\xff\xff\xff\xffrest"
    with pytest.raises(BadBox, match="cannot grow"):
        add(data, 0, 4, 1)
