"""AV1 tiles are where ffmpeg's reading of the headers puts them; hostile samples are refused."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.av1 import Av1Config, Av1Cutter, av1_config, units
from origin.media.bits import BadSyntax
from origin.media.box_writing import box
from origin.media.boxes import BadMedia, Box
from tests.support.av1_streams import Av1Stream
from tests.support.av1_tiles import disagreements, samples, tile_starts, traced_tiles

Make = Callable[..., bytes]
CMAF = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
AOM = ("-c:v", "libaom-av1", "-cpu-used", "8")
SVT = ("-c:v", "libsvtav1", "-preset", "10", "-svtav1-params")
STREAMS = st.integers(0, 1 << 32).map(lambda seed: Av1Stream(random.Random(seed)))
SIZED, EXTENDED = 2, 4  # flags of an OBU header


def encoded(ffmpeg: Make, *codec: str) -> bytes:
    source = ("-f", "lavfi", "-i", "testsrc2=size=256x192:rate=25:duration=0.4")
    return ffmpeg(*source, *codec, *CMAF)


@pytest.mark.parametrize(
    "codec",
    [
        (*AOM, "-tiles", "2x2", "-aom-params", "num-tile-groups=2:film-grain-test=3:enable-qm=1"),
        (*AOM, "-pix_fmt", "yuv444p", "-aom-params", "aq-mode=2:film-grain-test=5:timing-info=model"),
        (*AOM, "-aom-params", "tile-width=1:tile-height=2:sb-size=64:error-resilient=1:enable-order-hint=0"),
        (*SVT, "superres-mode=2:scm=1"),
        (*SVT, "resize-mode=2:pred-struct=1"),
        ("-c:v", "librav1e", "-speed", "10", "-tiles", "4"),
    ],
)
def test_tiles_of_encoders_begin_where_ffmpeg_says(
    ffmpeg: Make, tmp_path: Path, codec: tuple[str, ...]
) -> None:
    clip = encoded(ffmpeg, *codec)
    (tmp_path / "clip.mp4").write_bytes(clip)
    groups, wrong = disagreements(clip, tmp_path / "clip.mp4")
    assert groups >= 8 and wrong == []


def expected(stream: Av1Stream) -> list[tuple[int, int]]:
    """What `tile_starts` finds in a stream: the size of a tile stands before it, but for the last."""
    return [(head + (size_bytes if tiles > 1 else 0), tiles) for head, size_bytes, tiles in stream.groups]


def test_tiles_behind_headers_of_every_kind_begin_where_ffmpeg_says(tmp_path: Path) -> None:
    for seed in range(10):
        stream = Av1Stream(random.Random(seed))
        (tmp_path / "made.obu").write_bytes(stream.file)
        found = [head for head, _ in traced_tiles(tmp_path / "made.obu", "-f", "obu")]
        assert found == [head for head, _, _ in stream.groups]
        assert tile_starts(Av1Cutter(), stream.samples) == expected(stream)


@given(STREAMS)
def test_every_syntax_element_is_stepped_over(stream: Av1Stream) -> None:
    assert tile_starts(Av1Cutter(), stream.samples) == expected(stream)


@given(STREAMS, st.data())
def test_f33_hostile_headers_are_refused_or_read(stream: Av1Stream, data: st.DataObject) -> None:
    cutter = Av1Cutter()
    for sample in stream.samples:
        at, junk = data.draw(st.integers(0, len(sample))), data.draw(st.binary(max_size=6))
        hostile = sample[:at] + junk + sample[at + len(junk) :]
        with contextlib.suppress(BadSyntax):
            assert all(0 < start < end <= len(hostile) for start, end in cutter.slices(memoryview(hostile)))


@pytest.fixture(scope="module")
def tiled(ffmpeg: Make) -> tuple[Av1Config, list[bytes]]:
    """The sequence header of a clip of four tiles a frame, and the samples of its first segment."""
    clip = encoded(ffmpeg, *AOM, "-tiles", "2x2")
    at = clip.index(b"av1C") - 4
    entry = Box("av01", at, at, at + int.from_bytes(clip[at : at + 4], "big"))
    return av1_config(clip, entry), samples(clip)[0]


def unit(kind: int, payload: bytes = b"", flags: int = SIZED) -> bytes:
    """An OBU; an extension says temporal layer 1, spatial layer 2."""
    extension = bytes([1 << 5 | 2 << 3]) if flags & EXTENDED else b""
    size = bytes([len(payload)]) if flags & SIZED else b""
    return bytes([kind << 3 | flags]) + extension + size + payload


def test_units_with_and_without_sizes_and_layers() -> None:
    data = unit(5, b"ab") + unit(15, b"", SIZED | EXTENDED) + unit(6, b"rest", EXTENDED)
    found = [(u.kind, u.temporal, u.spatial, data[u.start : u.end]) for u in units(memoryview(data))]
    assert found == [(5, 0, 0, b"ab"), (15, 1, 2, b""), (6, 1, 2, b"rest")]
    long = bytes([5 << 3 | SIZED]) + b"\x82\x80\x00" + b"ab"  # a size in more bytes than it needs
    assert [(u.start, u.end) for u in units(memoryview(long))] == [(4, 6)]


def test_units_that_do_not_fit_are_refused() -> None:
    for data in (unit(5, b"ab")[:-1], b"\x12", bytes([6 << 3 | EXTENDED]), b"\x80", b"\x12" + b"\x80" * 9):
        with pytest.raises(BadSyntax, match=r"over the end|without end"):
            list(units(memoryview(data)))


def test_what_comes_out_of_turn_is_refused(tiled: tuple[Av1Config, list[bytes]]) -> None:
    config, (first, *later) = tiled
    last = list(units(memoryview(first)))[-1]
    refused = {
        "without its sequence header": (Av1Cutter(), unit(6, b"\0" * 9)),
        "tiles without a frame": (Av1Cutter(), unit(4, b"\0" * 9)),
        "tile lists": (Av1Cutter(), unit(8, b"\0" * 9)),
        "that is not there": (config.cutter(), later[0]),
        "runs over its group": (config.cutter(), unit(6, first[last.start : last.start + 120])),
    }
    for reason, (cutter, sample) in refused.items():
        with pytest.raises(BadSyntax, match=reason):
            list(cutter.slices(memoryview(sample)))


@given(st.binary(max_size=60))
def test_f33_any_configuration_and_sample_is_read_or_refused(junk: bytes) -> None:
    for data in (box("av1C", bytes(4), junk), box("av1C", bytes(4), unit(1, junk))):
        with contextlib.suppress(BadMedia):
            cutter = av1_config(data, Box("av01", 0, 0, len(data))).cutter()
            sample = unit(6, junk)
            at = 0
            for start, end in cutter.slices(memoryview(sample)):
                assert at <= start <= end <= len(sample), "in order, and inside"
                at = end
