"""Cutting the pipe of ffmpeg: in whatever pieces it arrives the segments are the same, and a cut is said."""

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from origin.media.boxes import boxes
from origin.media.fragments import timescale
from origin.media.segmenting import BadMedia, Init, Segment, Splitter

Write = Callable[..., bytes]
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def split(stream: bytes, piece: int = 65536) -> list[Init | Segment]:
    splitter = Splitter()
    found: list[Init | Segment] = []
    for at in range(0, len(stream), piece):
        found += splitter.feed(stream[at : at + piece])
    splitter.close()
    return found


def segments(found: Sequence[Init | Segment]) -> list[Segment]:
    return [piece for piece in found if isinstance(piece, Segment)]


def test_real_video_is_one_init_and_segments_that_start_with_a_key_frame(video_stream: bytes) -> None:
    init, *rest = split(video_stream)
    assert isinstance(init, Init)
    assert [b.type for b in boxes(init.data)] == ["ftyp", "moov"]
    ticks = timescale(init.data)
    assert [s.duration / ticks for s in segments(rest)] == [2, 2, 1]
    assert [s.decode_time / ticks for s in segments(rest)] == [0, 2, 4]
    assert [s.samples for s in segments(rest)] == [50, 50, 25]
    assert all(s.starts_with_sync for s in segments(rest))


def test_real_audio_has_no_gap_between_its_segments(audio_stream: bytes) -> None:
    init, *rest = split(audio_stream)
    found = segments(rest)
    assert timescale(init.data) == 48000
    assert len(found) >= 2
    assert all(a.decode_time + a.duration == b.decode_time for a, b in pairwise(found))
    assert all(s.starts_with_sync and s.duration == 1024 * s.samples for s in found[:-1])


def test_every_byte_of_the_stream_is_in_a_piece(video_stream: bytes) -> None:
    assert b"".join(piece.data for piece in split(video_stream)) == video_stream


def test_one_byte_at_a_time_gives_the_same_pieces(audio_stream: bytes) -> None:
    assert split(audio_stream, piece=1) == split(audio_stream, piece=1 << 20)


@SHARED
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_stream_cut_anywhere_but_between_segments_is_refused(audio_stream: bytes, cut: float) -> None:
    ends, at = [], 0
    for piece in split(audio_stream):
        at += len(piece.data)
        ends.append(at)
    size = int(len(audio_stream) * cut)
    splitter = Splitter()
    splitter.feed(audio_stream[:size])
    if size in ends:
        splitter.close()
        return
    with pytest.raises(BadMedia):
        splitter.close()


@SHARED
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_f33_a_flipped_bit_is_cut_otherwise_or_refused_but_never_crashes(
    audio_stream: bytes, where: float, bit: int
) -> None:
    altered = bytearray(audio_stream)
    # most flips hit media bytes and change nothing here: look at the boxes only
    altered[int(1600 * where)] ^= 1 << bit
    try:
        split(bytes(altered))
    except BadMedia:
        return


@given(st.binary(max_size=300))
def test_f33_any_bytes_are_refused_and_never_crash(data: bytes) -> None:
    with pytest.raises(BadMedia):
        split(data)


def test_boxes_before_a_fragment_stay_with_it_and_padding_goes(audio_stream: bytes, box: Write) -> None:
    init, first, *_ = split(audio_stream)
    styp, emsg, free = box("styp", b"msdh"), box("emsg", bytes(20)), box("free", bytes(9))
    stream = init.data + free + styp + free + emsg + first.data + box("mfra", bytes(30))
    again, segment = split(stream)
    assert again == init
    assert segment.data == styp + emsg + first.data
    assert isinstance(segment, Segment) and isinstance(first, Segment)
    assert (segment.decode_time, segment.samples) == (first.decode_time, first.samples)


def test_a_box_over_the_limit_is_refused_at_its_header_without_waiting_for_it(audio_stream: bytes) -> None:
    init = split(audio_stream)[0]
    splitter = Splitter(limit=1 << 20)
    splitter.feed(init.data)
    with pytest.raises(BadMedia, match="more than 1048576"):
        splitter.feed(struct.pack(">I4s", 1 << 30, b"moof"))


def test_many_small_boxes_do_not_add_up_past_the_limit(audio_stream: bytes, box: Write) -> None:
    init = split(audio_stream)[0]
    splitter = Splitter(limit=10_000)
    splitter.feed(init.data)
    with pytest.raises(BadMedia, match="more than 10000"):
        for _ in range(200):
            splitter.feed(box("emsg", bytes(100)))


@pytest.mark.parametrize("kind", ["mdat", "moof", "moov", "abcd"])
def test_a_stream_that_does_not_begin_with_its_type_is_refused(kind: str, box: Write) -> None:
    with pytest.raises(BadMedia, match="may not come here"):
        Splitter().feed(box(kind))


def test_a_second_init_a_box_in_between_and_an_endless_box_are_refused(
    audio_stream: bytes, box: Write
) -> None:
    init, first, *_ = split(audio_stream)
    for wrong in (init.data, box("mdat"), struct.pack(">I4s", 0, b"moof")):
        splitter = Splitter()
        splitter.feed(init.data + first.data)
        with pytest.raises(BadMedia):
            splitter.feed(wrong)


def test_a_segment_that_goes_back_in_time_is_refused(audio_stream: bytes) -> None:
    init, first, *_ = split(audio_stream)
    splitter = Splitter()
    splitter.feed(init.data + first.data)
    with pytest.raises(BadMedia, match="decode time"):
        splitter.feed(first.data)


def test_an_empty_stream_and_a_lone_type_are_refused(box: Write) -> None:
    for stream in (b"", box("ftyp", b"iso5")):
        splitter = Splitter()
        splitter.feed(stream)
        with pytest.raises(BadMedia):
            splitter.close()
