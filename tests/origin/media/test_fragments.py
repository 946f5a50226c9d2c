"""Fragments: times, counts and sync from whichever box gives them; what does not add up is refused."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.boxes import BadBox, BadMedia
from origin.media.fragments import Defaults, read_fragment, timescale, track_defaults

Write = Callable[..., bytes]
U32 = st.integers(0, 0xFFFFFFFF)
TRACK = {1: Defaults(duration=512, size=10, flags=0)}


def full(version: int, flags: int, *words: int) -> bytes:
    return struct.pack(f">{1 + len(words)}I", version << 24 | flags, *words)


@pytest.fixture
def moof(box: Write) -> Callable[..., bytes]:
    """A moof of one track: its tfhd payload, the trun payloads, and its tfdt payload."""

    def write(*truns: bytes, tfhd: bytes = full(0, 0x20000, 1), tfdt: bytes = full(0, 0, 7)) -> bytes:
        traf = box("traf", box("tfhd", tfhd), box("tfdt", tfdt), *(box("trun", t) for t in truns))
        return box("moof", box("mfhd", full(0, 0, 3)), traf)

    return write


def test_durations_come_from_the_run_before_the_fragment_before_the_init(moof: Write) -> None:
    by_init = read_fragment(moof(full(0, 0, 4)), TRACK)
    assert (by_init.duration, by_init.samples, by_init.decode_time, by_init.sequence) == (2048, 4, 7, 3)
    by_fragment = read_fragment(moof(full(0, 0, 4), tfhd=full(0, 0x8, 1, 100)), TRACK)
    assert by_fragment.duration == 400
    by_run = read_fragment(moof(full(0, 0x100, 2, 30, 31), tfhd=full(0, 0x8, 1, 100)), TRACK)
    assert by_run.duration == 61


def test_whether_the_first_sample_is_sync_comes_from_the_nearest_flags(moof: Write) -> None:
    other = 0x10000
    assert read_fragment(moof(full(0, 0, 1)), TRACK).starts_with_sync
    assert not read_fragment(moof(full(0, 0, 1)), {1: Defaults(flags=other)}).starts_with_sync
    assert not read_fragment(moof(full(0, 0, 1), tfhd=full(0, 0x20, 1, other)), TRACK).starts_with_sync
    by_sample = moof(full(0, 0x400, 2, 0, other), tfhd=full(0, 0x20, 1, other))
    assert read_fragment(by_sample, TRACK).starts_with_sync
    by_first = moof(full(0, 0x4, 2, 0), tfhd=full(0, 0x20, 1, other))
    assert read_fragment(by_first, TRACK).starts_with_sync


def test_several_runs_add_up_and_an_empty_one_says_nothing_of_sync(moof: Write) -> None:
    runs = (full(0, 0x4, 0, 0x10000), full(0, 0x301, 1, 8, 40, 9), full(1, 0xB00, 2, 50, 9, 0, 60, 9, 0))
    found = read_fragment(moof(*runs), TRACK)
    assert (found.duration, found.samples, found.starts_with_sync) == (150, 3, True)


def test_every_optional_field_before_the_defaults_is_stepped_over(moof: Write) -> None:
    tfhd = full(0, 0x3B, 1, 0, 0, 1, 25, 99, 0x10000)
    found = read_fragment(moof(full(0, 0, 4), tfhd=tfhd, tfdt=full(1, 0, 1, 0)), TRACK)
    assert (found.duration, found.starts_with_sync, found.decode_time) == (100, False, 1 << 32)


@pytest.mark.parametrize(
    "trun",
    [
        full(0, 0x100, 2, 30),
        full(0, 0x100, 1, 30, 31),
        full(0, 0, 1, 5),
        full(0, 0x100, 0xFFFFFFFF, 30),
        full(0, 0x4, 1),
        full(0, 0, 0),
        b"\0\0\0",
    ],
)
def test_a_run_whose_rows_do_not_fill_it_is_refused(moof: Write, trun: bytes) -> None:
    with pytest.raises(BadBox):
        read_fragment(moof(trun), TRACK)


def test_four_billion_samples_without_rows_cost_nothing(moof: Write) -> None:
    found = read_fragment(moof(full(0, 0, 0xFFFFFFFF)), TRACK)
    assert found.duration == 512 * 0xFFFFFFFF


def test_a_fragment_must_have_one_known_track_and_a_decode_time(moof: Write, box: Write) -> None:
    with pytest.raises(BadBox, match="not in the init segment"):
        read_fragment(moof(full(0, 0, 1), tfhd=full(0, 0, 2)), TRACK)
    mfhd, traf = box("mfhd", full(0, 0, 1)), box("traf", box("tfhd", full(0, 0, 1)))
    for body, reason in ((b"", "has 0"), (traf + traf, "has 2"), (traf, "without samples")):
        with pytest.raises(BadBox, match=reason):
            read_fragment(box("moof", mfhd, body), TRACK)
    untimed = box("traf", box("tfhd", full(0, 0, 1)), box("trun", full(0, 0, 1)))
    with pytest.raises(BadBox, match="without a decode time"):
        read_fragment(box("moof", mfhd, untimed), TRACK)


def test_an_init_gives_its_timescale_and_defaults(box: Write) -> None:
    def init(mdhd: bytes) -> bytes:
        trex = box("trex", full(0, 0, 1, 1, 512, 10, 0x10000))
        trak = box("trak", box("mdia", box("mdhd", mdhd)))
        return box("moov", trak, box("mvex", box("mehd", full(0, 0, 0)), trex))

    assert timescale(init(full(0, 0, 0, 0, 12800, 0, 0))) == 12800
    assert timescale(init(full(1, 0, 0, 0, 0, 0, 90000, 0, 0, 0))) == 90000
    assert track_defaults(init(b"")) == {1: Defaults(512, 10, 0x10000)}
    with pytest.raises(BadBox, match="timescale 0"):
        timescale(init(full(0, 0, 0, 0, 0, 0, 0)))
    with pytest.raises(BadBox, match="no moov/mvex"):
        track_defaults(box("moov"))


@given(st.lists(st.tuples(U32, U32, U32), min_size=1, max_size=40), U32, st.integers(0, (1 << 64) - 1))
def test_what_a_writer_put_in_is_read_out(
    rows: list[tuple[int, int, int]], first_flags: int, decode_time: int
) -> None:
    def box(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", 8 + len(payload)) + kind + payload

    words = [word for row in rows for word in row]
    trun = box(b"trun", full(0, 0xB04, len(rows), first_flags, *words))
    tfdt = box(b"tfdt", full(1, 0, decode_time >> 32, decode_time & 0xFFFFFFFF))
    traf = box(b"traf", box(b"tfhd", full(0, 0, 1)) + tfdt + trun)
    found = read_fragment(box(b"moof", box(b"mfhd", full(0, 0, 9)) + traf), TRACK)
    assert found.duration == sum(duration for duration, _, _ in rows)
    assert (found.samples, found.decode_time) == (len(rows), decode_time)
    assert found.starts_with_sync == (not first_flags & 0x10000)


@given(st.binary(max_size=200))
def test_f33_any_moof_is_read_or_refused(payload: bytes) -> None:
    data = struct.pack(">I4s", 8 + len(payload), b"moof") + payload
    with contextlib.suppress(BadMedia):
        read_fragment(data, TRACK)
