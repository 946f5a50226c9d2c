"""H.265 slice headers are as long as ffmpeg says, whatever is in them; hostile ones are refused."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from origin.media.bits import BadSyntax
from origin.media.hevc import HevcHeaders
from origin.media.hevc_sets import References
from tests.support.bit_writer import Writer, escaped, traced
from tests.support.hevc_streams import HevcStream, header
from tests.support.slice_headers import header_bytes, nal_units

Make = Callable[..., bytes]
CMAF = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
START = b"\0\0\0\1"
STREAMS = st.integers(0, 1 << 32).map(lambda seed: HevcStream(random.Random(seed)))
X265 = ("-c:v", "libx265", "-preset", "fast", "-pix_fmt", "yuv420p", "-x265-params")
KVAZAAR = ("-c:v", "libkvazaar", "-pix_fmt", "yuv420p", "-kvazaar-params")


@pytest.mark.parametrize(
    "encoder",
    [
        (*X265, "log-level=none:slices=3:weightb=1:bframes=3:ref=4:keyint=9:ctu=16"),
        (*KVAZAAR, "wpp=1,slices=wpp,gop=lp-g4d3t1"),  # dependent slice segments
        (*KVAZAAR, "tiles=2x2,slices=tiles,gop=8,period=8"),
    ],
)
def test_headers_of_encoders_end_where_ffmpeg_says(
    ffmpeg: Make, tmp_path: Path, encoder: tuple[str, ...]
) -> None:
    source = "testsrc2=size=256x256:rate=25:duration=0.5,fade=in:0:12"
    clip = ffmpeg("-f", "lavfi", "-i", source, *encoder, *CMAF)
    (tmp_path / "clip.mp4").write_bytes(clip)
    assert header_bytes(*nal_units(clip)) == traced(tmp_path / "clip.mp4")


def test_headers_of_every_kind_end_where_ffmpeg_says(tmp_path: Path) -> None:
    streams = [HevcStream(random.Random(seed)) for seed in range(25)]
    nals = [nal for stream in streams for nal in stream.nals]
    (tmp_path / "made.hevc").write_bytes(b"".join(START + nal for nal in nals))
    expected = [length for stream in streams for length in stream.headers]
    found = traced(tmp_path / "made.hevc", "-f", "hevc")
    assert len(found) >= len(expected) - 4  # ffmpeg drops what comes before the first keyframe
    assert found == expected[-len(found) :]
    assert header_bytes(HevcHeaders(), nals) == expected  # sets of one number replace each other


@given(STREAMS)
def test_every_syntax_element_is_stepped_over(stream: HevcStream) -> None:
    assert header_bytes(HevcHeaders(), stream.nals) == stream.headers


def test_a_copy_learns_nothing_from_the_other() -> None:
    stream = HevcStream(random.Random(1))
    headers = HevcHeaders()
    other = headers.copy()
    header_bytes(headers, stream.nals)
    with pytest.raises(BadSyntax, match="without its parameter sets"):
        other.take(stream.nals[-1])


def test_layers_and_screen_content_are_refused() -> None:
    with pytest.raises(BadSyntax, match="layers"):
        HevcHeaders().take(bytes((2, 1 << 3 | 1, 0x80)))
    for profile, compatible in ((9, 0), (11, 0), (4, 1 << 22)):
        w = Writer(header(33))
        w.u(8, 1), w.u(8, profile), w.u(32, compatible), w.u(64, 0)
        with pytest.raises(BadSyntax, match="screen content"):
            HevcHeaders().take(w.data())


def sets(*, short_term: int = 0, long_term: int = 0) -> HevcHeaders:
    """Plain parameter sets: pictures of one block, so many reference picture sets and long-term pictures."""
    w = Writer(header(33))
    w.u(8, 1), w.u(8, 1), w.u(32, 1 << 30), w.u(56, 0)
    w.ue(0), w.ue(1), w.ue(64), w.ue(64), w.u(1, 0), w.ue(0), w.ue(0), w.ue(4), w.u(1, 0)
    w.ue(15), w.ue(0), w.ue(0), w.ue(0), w.ue(3), w.ue(0), w.ue(0), w.ue(0), w.ue(0)
    w.u(4, 0), w.ue(short_term)  # no scaling lists, asymmetric partitions, offsets, PCM
    for number in range(short_term):
        w.u(number and 1, 0), w.ue(0), w.ue(0)
    w.u(1, long_term > 0)
    if long_term:
        w.ue(long_term), w.u(9 * long_term, 0)
    w.u(1, 0)
    headers = HevcHeaders()
    headers.take(escaped(w.data()))
    w = Writer(header(34))
    w.ue(0), w.ue(0), w.u(7, 0), w.ue(0), w.ue(0), w.se(0), w.u(3, 0), w.se(0), w.se(0)
    w.u(10, 0), w.ue(0), w.u(2, 0)
    headers.take(escaped(w.data()))
    return headers


def test_a_slice_that_names_references_that_are_not_there_is_refused() -> None:
    for headers, kind in ((sets(short_term=3), "reference picture set"), (sets(long_term=3), "long-term")):
        w = Writer(header(1))
        w.u(1, 1), w.ue(0), w.ue(2), w.u(8, 0)
        if kind == "long-term":
            w.u(1, 0), w.ue(0), w.ue(0), w.ue(1), w.ue(0), w.u(2, 3)
        else:
            w.u(1, 1), w.u(2, 3)
        with pytest.raises(BadSyntax, match=f"names a {kind}.* not there"):
            headers.take(escaped(w.data()))


def test_a_predicted_set_of_too_many_pictures_is_refused() -> None:
    w = Writer(header(1))
    w.u(1, 1), w.ue(0), w.ue(2), w.u(8, 0), w.u(1, 0)
    base = References(tuple((-1 - 2 * n, True) for n in range(16)))
    headers = sets(short_term=1)
    headers.sequences[0] = replace(headers.sequences[0], short_term=(base,))
    w.u(1, 1), w.ue(0), w.u(1, 1), w.ue(0), w.u(17, (1 << 17) - 1)  # all of it, moved by one, and itself
    with pytest.raises(BadSyntax, match="too many pictures"):
        headers.take(escaped(w.data()))


def test_all_that_is_no_slice_of_the_first_layer_is_left_alone() -> None:
    for kind in (10, 15, 22, 31, 32, 35, 39, 48, 63):
        assert HevcHeaders().take(header(kind) + b"\xff") is None
    assert HevcHeaders().take(bytes((34 << 1, 1 << 3 | 1, 0xFF))) is None
    with pytest.raises(BadSyntax, match="without its header"):
        HevcHeaders().take(b"\x02")


@settings(max_examples=40)
@given(STREAMS, st.data())
def test_f33_hostile_units_are_refused_or_read_never_more(stream: HevcStream, data: st.DataObject) -> None:
    headers = HevcHeaders()
    for nal in stream.nals:
        at = data.draw(st.integers(0, len(nal) - 1))
        for hostile in (nal[: at + 1], nal[:at] + data.draw(st.binary(max_size=9)) + nal[at + 1 :], nal):
            with contextlib.suppress(BadSyntax):
                length = headers.take(hostile)
                assert length is None or length <= len(hostile)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 19, 21, 33, 34]), st.binary(max_size=80))))
def test_f33_any_bytes_are_refused_or_read(units: list[tuple[int, bytes]]) -> None:
    headers = HevcHeaders()
    for kind, rest in units:
        with contextlib.suppress(BadSyntax):
            length = headers.take(header(kind) + rest)
            assert length is None or 0 < length <= len(header(kind)) + len(rest)
