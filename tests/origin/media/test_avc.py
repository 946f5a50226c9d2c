"""H.264 slice headers are as long as ffmpeg says, whatever is in them; hostile ones are refused."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from origin.media.avc import AvcHeaders
from origin.media.bits import BadSyntax
from tests.support.avc_streams import AvcStream
from tests.support.bit_writer import traced
from tests.support.slice_headers import header_bytes, nal_units

Make = Callable[..., bytes]
CMAF = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
START = b"\0\0\0\1"
STREAMS = st.integers(0, 1 << 32).map(lambda seed: AvcStream(random.Random(seed)))


def picture(filters: str = "null") -> tuple[str, ...]:
    """Input of half a second of moving picture."""
    return ("-f", "lavfi", "-i", f"testsrc2=size=192x128:rate=25:duration=0.5,{filters}")


@pytest.mark.parametrize(
    ("filters", "encoder"),
    [
        ("null", "slices=4:cabac=0:bframes=3:b-pyramid=strict:ref=4:keyint=9"),
        ("fade=in:0:12", "weightp=2:bframes=2:ref=5"),
        ("null", "interlaced=1:bframes=2:no-deblock=1"),
        ("format=yuv444p,fade=in:0:12", "bframes=0"),
    ],
)
def test_headers_of_x264_end_where_ffmpeg_says(
    ffmpeg: Make, tmp_path: Path, filters: str, encoder: str
) -> None:
    options = ("-c:v", "libx264", "-preset", "fast", "-x264-params", encoder)
    clip = ffmpeg(*picture(filters), *options, *CMAF)
    (tmp_path / "clip.mp4").write_bytes(clip)
    assert header_bytes(*nal_units(clip)) == traced(tmp_path / "clip.mp4")


def test_headers_of_every_kind_end_where_ffmpeg_says(tmp_path: Path) -> None:
    streams = [AvcStream(random.Random(seed)) for seed in range(25)]
    nals = [nal for stream in streams for nal in stream.nals]
    (tmp_path / "made.h264").write_bytes(b"".join(START + nal for nal in nals))
    expected = [length for stream in streams for length in stream.headers]
    assert traced(tmp_path / "made.h264", "-f", "h264") == expected
    assert header_bytes(AvcHeaders(), nals) == expected  # sets of one number replace each other


@given(STREAMS)
def test_every_syntax_element_is_stepped_over(stream: AvcStream) -> None:
    assert header_bytes(AvcHeaders(), stream.nals) == stream.headers


def test_a_copy_learns_nothing_from_the_other() -> None:
    stream = AvcStream(random.Random(1))
    headers = AvcHeaders()
    other = headers.copy()
    header_bytes(headers, stream.nals)
    with pytest.raises(BadSyntax, match="without its parameter sets"):
        other.take(stream.nals[-1])


@pytest.mark.parametrize("kind", [2, 3, 4, 20, 21])
def test_partitions_and_layers_are_refused(kind: int) -> None:
    with pytest.raises(BadSyntax, match="not protected"):
        AvcHeaders().take(bytes((kind, 0x80)))


def test_all_that_is_no_slice_is_left_alone() -> None:
    for kind in (0, 6, 9, 10, 11, 12, 14, 19, 24, 31):
        assert AvcHeaders().take(bytes((kind, 0xFF))) is None


@settings(max_examples=40)
@given(STREAMS, st.data())
def test_f33_hostile_units_are_refused_or_read_never_more(stream: AvcStream, data: st.DataObject) -> None:
    headers = AvcHeaders()
    for nal in stream.nals:
        at = data.draw(st.integers(0, len(nal) - 1))
        for hostile in (nal[: at + 1], nal[:at] + data.draw(st.binary(max_size=9)) + nal[at + 1 :], nal):
            with contextlib.suppress(BadSyntax):
                length = headers.take(hostile) if hostile else 0
                assert length is None or length <= len(hostile)


@given(st.lists(st.tuples(st.sampled_from([1, 5, 7, 8, 0x67, 0x65]), st.binary(max_size=80))))
def test_f33_any_bytes_are_refused_or_read(units: list[tuple[int, bytes]]) -> None:
    headers = AvcHeaders()
    for kind, rest in units:
        with contextlib.suppress(BadSyntax):
            length = headers.take(bytes((kind,)) + rest)
            assert length is None or 0 < length <= 1 + len(rest)
