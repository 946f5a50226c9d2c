"""VP9 is protected after its frame headers, which are as long as ffmpeg reads them, and where Shaka Packager
begins; hostile samples are refused."""

import contextlib
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.cipher import BufferPool
from edge.deliver.common_encryption import ProtectedForm, mapped
from edge.deliver.turns import Turns
from keys.derive import cbcs_iv
from origin.media.bits import BadSyntax
from origin.media.box_writing import box
from origin.media.boxes import BadBox, BadMedia, Box
from origin.media.codecs import read_init
from origin.media.protected_init import protected_init
from origin.media.protection import SCHEMES, Protector
from origin.media.seal import SLICE
from origin.media.vp9 import Vp9Cutter, frames, vp9_config
from tests.support.av1_tiles import samples
from tests.support.cenc import PACKAGER
from tests.support.cenc import frames as decoded
from tests.support.fragmented import auxiliary
from tests.support.slice_headers import pieces
from tests.support.vp9_frames import headers, traced_headers
from tests.support.vp9_streams import Vp9Stream

Make = Callable[..., bytes]
CMAF = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
VPX = ("-c:v", "libvpx-vp9", "-cpu-used", "6")
STREAMS = st.integers(0, 1 << 32).map(lambda seed: Vp9Stream(random.Random(seed)))
KEY, KID = bytes(range(16)), bytes(range(16, 32))
IV_SIZES = {"cenc": 8, "cbcs": 0}


def encoded(ffmpeg: Make, *codec: str, size: str = "256x192", seconds: float = 0.4) -> bytes:
    source = ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}")
    return ffmpeg(*source, *VPX, *codec, *CMAF)


@pytest.fixture(scope="module")
def layered(ffmpeg: Make, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of two segments: superframes of several hidden frames, and frames that are shown again.

    Two passes: with one the encoder hides no frame.
    """
    log = str(tmp_path_factory.mktemp("vp9") / "log")
    source = ("-f", "lavfi", "-i", "testsrc2=size=1024x64:rate=25:duration=2")
    options = ("-auto-alt-ref", "6", "-lag-in-frames", "25", "-g", "25", "-b:v", "150k", "-tile-columns", "2")
    ffmpeg(*source, *VPX, *options, "-pass", "1", "-passlogfile", log, "-f", "null")
    return ffmpeg(*source, *VPX, *options, "-pass", "2", "-passlogfile", log, *CMAF)


def test_the_layered_clip_is_what_it_should_be(layered: bytes) -> None:
    found = samples(layered)
    counts = [len(list(frames(memoryview(sample)))) for segment in found for sample in segment]
    again = [sample for segment in found for sample in segment if len(sample) == 1]
    assert len(found) == 2 and max(counts) >= 3 and counts.count(1) > 10 and again


def agrees(clip: bytes, path: Path) -> int:
    """How many frames there are whose headers are as long as ffmpeg reads them; all must be."""
    path.write_bytes(clip)
    found = [length for segment in samples(clip) for length in headers(Vp9Cutter(), segment)]
    assert found == traced_headers(path)
    return len(found)


@pytest.mark.parametrize(
    "codec",
    [
        ("-aq-mode", "2", "-error-resilient", "default"),
        ("-aq-mode", "3", "-deadline", "realtime", "-cpu-used", "8", "-sharpness", "3"),
        ("-pix_fmt", "yuv444p", "-lossless", "1"),
        ("-pix_fmt", "gbrp", "-tile-rows", "2"),
        ("-pix_fmt", "yuv420p10le", "-frame-parallel", "0"),
        ("-pix_fmt", "yuv422p12le", "-aq-mode", "1"),
    ],
)
def test_headers_of_encoders_are_as_long_as_ffmpeg_says(
    ffmpeg: Make, tmp_path: Path, codec: tuple[str, ...]
) -> None:
    assert agrees(encoded(ffmpeg, *codec), tmp_path / "clip.mp4") >= 10


def test_headers_in_superframes_are_as_long_as_ffmpeg_says(layered: bytes, tmp_path: Path) -> None:
    assert agrees(layered, tmp_path / "clip.mp4") > 40


def test_headers_of_every_kind_are_as_long_as_ffmpeg_says(tmp_path: Path) -> None:
    for seed in range(12):
        stream = Vp9Stream(random.Random(seed))
        (tmp_path / "made.ivf").write_bytes(stream.file)
        assert traced_headers(tmp_path / "made.ivf") == stream.headers
        assert headers(Vp9Cutter(), stream.samples) == stream.headers


@given(STREAMS)
def test_every_syntax_element_is_stepped_over(stream: Vp9Stream) -> None:
    cutter = Vp9Cutter()
    assert [list(cutter.slices(memoryview(sample))) for sample in stream.samples] == stream.slices


def told(clip: bytes, scheme: str) -> list[list[tuple[int, int]]]:
    """Clear and protected bytes of each sample's subsamples, by our maps."""
    init, segments = pieces(clip)
    protector, found = Protector(init, 0), []
    for number, segment in enumerate(segments):
        head = getattr(protector.map_of(segment, number), scheme).head
        found += rows(head, scheme)
    return found


def rows(head: bytes, scheme: str) -> list[list[tuple[int, int]]]:
    read = auxiliary(head)
    return [read.subsamples(number, IV_SIZES[scheme]) for number in range(len(read.entries))]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whole_blocks_at_the_end_of_each_frame_are_protected_and_nothing_else(
    layered: bytes, scheme: str
) -> None:
    """VP binding, Sample Encryption: clear bytes before a frame's data align it; the index stays clear."""
    cutters = [(Vp9Cutter(), segment) for segment in samples(layered)]
    expected = []
    for cutter, segment in cutters:
        for sample in segment:
            runs, at = [], 0
            for start, end in cutter.slices(memoryview(sample)):
                if size := (end - start) // 16 * 16:
                    runs.append((end - size - at, size))
                    at = end
            expected.append([*runs, (len(sample) - at, 0)] if at < len(sample) else runs)
    assert told(layered, scheme) == expected


@pytest.mark.skipif(not PACKAGER.exists(), reason="Shaka Packager is not there: `make setup-dev` fetches it")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_shaka_packager_protects_the_same_bytes(layered: bytes, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "clear.mp4").write_bytes(layered)
    stream = f"in={tmp_path / 'clear.mp4'},stream=video,output={tmp_path / 'protected.mp4'}"
    keys = ("--enable_raw_key_encryption", "--keys", f"label=:key_id={KID.hex()}:key={KEY.hex()}")
    options = ("--protection_scheme", scheme, "--clear_lead", "0", "--segment_duration", "1", "--quiet")
    subprocess.run([str(PACKAGER), stream, *keys, *options], check=True, capture_output=True, timeout=120)
    _, segments = pieces((tmp_path / "protected.mp4").read_bytes())
    assert told(layered, scheme) == [row for segment in segments for row in rows(segment, scheme)]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_an_edge_makes_of_it_decrypts_to_every_frame(
    layered: bytes, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "clear.mp4").write_bytes(layered)
    init, segments = pieces(layered)
    out, protector = [protected_init(init, scheme, KID)], Protector(init, 0)
    for number, segment in enumerate(segments):
        found = protector.map_of(segment, number)
        what = mapped(found, scheme, len(segment), rendition=0, position=number, iv=cbcs_iv(KID))
        form = ProtectedForm(what, KEY)

        async def slice_at(index: int, segment: bytes = segment) -> memoryview:
            return memoryview(segment)[index * SLICE : (index + 1) * SLICE]

        async for piece in form.pieces(slice_at, BufferPool(), Turns(), start=0, stop=form.length):
            out.append(bytes(piece))
    (tmp_path / "protected.mp4").write_bytes(b"".join(out))
    clear = decoded(tmp_path / "clear.mp4", "v")
    assert len(clear) == 50 and decoded(tmp_path / "protected.mp4", "v", KEY) == clear


def test_the_codec_string_of_a_clip_is_its_configuration(ffmpeg: Make) -> None:
    init, _ = pieces(encoded(ffmpeg, "-pix_fmt", "yuv420p10le", "-colorspace", "bt2020nc"))
    assert re.fullmatch(r"vp09\.02\.\d\d\.10\.01\.\d\d\.\d\d\.09\.00", read_init(init).codecs)


def index(*sizes: int, width: int = 2, first: int = 0, last: int = 0) -> bytes:
    """A superframe index; `first` and `last` are changes to its outer bytes."""
    marker = 0b110 << 5 | (width - 1) << 3 | (len(sizes) - 1)
    listed = b"".join(size.to_bytes(width, "little") for size in sizes)
    return bytes([marker ^ first]) + listed + bytes([marker ^ last])


def test_frames_of_a_superframe_lie_one_behind_the_other() -> None:
    assert list(frames(memoryview(b""))) == []
    assert list(frames(memoryview(b"\x82abc"))) == [(0, 4)]
    for width in (1, 2, 3, 4):
        sample = bytes(9) + index(4, 1, 4, width=width)
        assert list(frames(memoryview(sample))) == [(0, 4), (4, 5), (5, 9)]
    assert list(frames(memoryview(bytes(300) + index(300)))) == [(0, 300)]


def test_an_index_that_is_none_is_refused() -> None:
    for sample in (
        b"\xc0",
        index(4)[1:],
        bytes(9) + index(4, 5, first=1),
        bytes(9) + index(4, 5, last=8),
        bytes(9) + index(4, 4),
        bytes(9) + index(4, 6),
        bytes(9) + index(9, 0),
        bytes(9) + index(0, 9),
    ):
        with pytest.raises(BadSyntax, match="a VP9 superframe"):
            list(frames(memoryview(sample)))


def test_frames_that_are_no_frames_are_refused(layered: bytes) -> None:
    first, second, *_ = samples(layered)[0]
    key = Vp9Cutter()
    list(key.slices(memoryview(first)))
    refused = {
        "does not begin as one": (Vp9Cutter(), b"\x42" + first[1:]),
        "sync code": (Vp9Cutter(), first[:1] + b"\0" + first[2:]),
        "reserved bit": (Vp9Cutter(), b"\xb8" + first[1:]),  # of profile 3
        "in RGB": (Vp9Cutter(), first[:4] + b"\xe0" + first[5:]),
        "ends in its headers": (Vp9Cutter(), first[:40] + b"\0"),
        "ends in a field": (Vp9Cutter(), first[:10]),
        "that is not there": (Vp9Cutter(), second),
        "only shown again": (key, b"\x88\0"),
    }
    for reason, (cutter, sample) in refused.items():
        with pytest.raises(BadSyntax, match=reason):
            list(cutter.slices(memoryview(sample)))
    assert list(key.slices(memoryview(b"\x88"))) == []
    with pytest.raises(BadSyntax, match="that is not there"):
        list(Vp9Cutter().slices(memoryview(b"\x88")))


def test_a_track_without_its_configuration_is_refused(layered: bytes) -> None:
    init, _ = pieces(layered)
    with pytest.raises(BadBox, match="vpcC"):
        Protector(init.replace(b"vpcC", b"free"), 0)


@given(STREAMS, st.data())
def test_f33_hostile_frames_are_refused_or_read_within_their_sample(
    stream: Vp9Stream, data: st.DataObject
) -> None:
    cutter = Vp9Cutter()
    for sample in stream.samples:
        place, junk = data.draw(st.integers(0, len(sample))), data.draw(st.binary(max_size=6))
        hostile = sample[:place] + junk + sample[place + len(junk) :]
        at = 0
        with contextlib.suppress(BadSyntax):
            for start, end in cutter.slices(memoryview(hostile)):
                assert at < start < end <= len(hostile), "behind a header, in order, and inside"
                at = end


@given(st.binary(max_size=80), st.booleans())
def test_f33_any_sample_is_read_or_refused(junk: bytes, key: bool) -> None:
    sample = bytes([0b1000_0010, 0x49, 0x83, 0x42]) * key + junk
    with contextlib.suppress(BadMedia):
        cutter = vp9_config(box("vpcC", junk), Box("vp09", 0, 0, 8 + len(junk))).cutter()
        at = 0
        for start, end in cutter.slices(memoryview(sample)):
            assert at < start < end <= len(sample)
            at = end
