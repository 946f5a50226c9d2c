"""A segment's layout is read only where the samples fill the mdat, one after another from its start."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.box_writing import box, full_box
from origin.media.boxes import BadBox, BadMedia
from origin.media.fragments import Defaults
from origin.media.samples import read_layout
from tests.support.fragmented import segment

TRACK = {1: Defaults(duration=512, size=0, flags=0)}


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=9), st.sampled_from([b"", box("styp", b"cmfs")]))
def test_samples_lie_where_they_were_written(samples: list[bytes], before: bytes) -> None:
    data = segment(*samples, before=before)
    layout = read_layout(data, TRACK)
    assert data[layout.payload :] == b"".join(samples)
    assert layout.sizes == tuple(map(len, samples))


def fragment(*truns: bytes, payload: bytes = b"abcdef", tfhd: bytes | None = None) -> bytes:
    """A segment with these runs."""
    header = tfhd or full_box("tfhd", 0, 0x20000, struct.pack(">I", 1))
    return box("moof", box("traf", header, *truns)) + box("mdat", payload)


def run(flags: int, *words: int) -> bytes:
    return full_box("trun", 0, flags, struct.pack(f">{len(words)}I", *words))


def test_several_runs_follow_each_other() -> None:
    first, second = run(0x201, 1, 0, 2), run(0x200, 2, 3, 1)
    offset = len(fragment(first, second)) - 6
    assert read_layout(fragment(run(0x201, 1, offset, 2), second), TRACK).sizes == (2, 3, 1)
    told = run(0x205, 2, offset + 4 + 4 + 2, 0, 3, 1)
    assert read_layout(fragment(run(0x201, 1, offset + 8, 2), told), TRACK).sizes == (2, 3, 1)
    with pytest.raises(BadBox, match="not where"):
        read_layout(fragment(run(0x201, 1, offset + 8, 2), run(0x205, 2, offset, 0, 3, 1)), TRACK)


def test_sizes_may_come_from_the_fragment_and_are_held_against_the_bytes() -> None:
    tfhd = full_box("tfhd", 0, 0x20010, struct.pack(">II", 1, 2))

    def of(count: int) -> bytes:
        offset = len(fragment(run(1, count, 0), tfhd=tfhd)) - 6
        return fragment(run(1, count, offset), tfhd=tfhd)

    assert read_layout(of(3), TRACK).sizes == (2, 2, 2)
    with pytest.raises(BadBox, match="no samples"):
        read_layout(of(2), TRACK)
    for count in (4, 0xFFFFFFFF):
        with pytest.raises(BadBox, match="longer than its mdat"):
            read_layout(of(count), TRACK)
    empty = fragment(run(1, 0xFFFFFFFF, len(fragment(run(1, 1, 0))) - 6))  # samples of no bytes
    with pytest.raises(BadBox, match="longer than its mdat"):
        read_layout(empty, TRACK)


def test_what_is_laid_out_otherwise_is_refused() -> None:
    data = segment(b"abc", b"def")
    moof, mdat = data[: data.index(b"mdat") - 4], data[data.index(b"mdat") - 4 :]
    refused = {
        "one moof and one mdat": (data + data, mdat + moof, data + box("free"), moof + moof + mdat),
        "not where": (fragment(run(0x201, 1, 7, 6)), fragment(run(0x200, 1, 6))),
        "longer than its mdat": (moof + box("mdat", b"abcde"),),
        "no samples": (moof + box("mdat", b"abcdefg"), segment()),
        "one track": (box("moof") + mdat, box("moof", box("traf"), box("traf")) + mdat),
        "has 4 bytes": (fragment(run(0x201, 2, len(fragment(run(0x201, 2, 0, 3))) - 6, 3)),),
        "base data offset": (fragment(tfhd=full_box("tfhd", 0, 1, struct.pack(">IQ", 1, 0))),),
        "another sample description": (fragment(tfhd=full_box("tfhd", 0, 2, struct.pack(">II", 1, 2))),),
    }
    for reason, several in refused.items():
        for each in several:
            with pytest.raises(BadBox, match=reason):
                read_layout(each, TRACK)


@given(st.binary(max_size=60), st.integers(0, 90))
def test_f33_any_segment_is_read_or_refused(junk: bytes, at: int) -> None:
    data = segment(b"abc", b"def")
    for hostile in (junk, data[:at] + junk + data[at + len(junk) :], data[:at]):
        with contextlib.suppress(BadMedia):
            read_layout(hostile, TRACK)
