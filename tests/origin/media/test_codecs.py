"""Codec strings and sizes, from init segments of ffmpeg and from configuration records written by hand."""

import re
import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from origin.media.boxes import BadBox, BadMedia
from origin.media.codecs import TrackInfo, read_init
from origin.media.segmenting import Splitter

Make = Callable[..., bytes]
CMAF = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=322x182:rate=25:duration=0.4")
SOUND = ("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=0.4")


def init_of(stream: bytes) -> bytes:
    return Splitter().feed(stream)[0].data


def test_h264_is_avc1_with_its_profile_and_level(video_stream: bytes) -> None:
    info = read_init(init_of(video_stream))
    assert re.fullmatch(r"avc1\.[0-9a-f]{6}", info.codecs)
    assert info == TrackInfo(1, "vide", info.codecs, 12800, width=320, height=180)
    assert info.track == "video"


def test_the_profile_asked_of_the_encoder_is_the_one_named(ffmpeg: Make) -> None:
    codec = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-profile:v", "high", "-level:v", "4.0")
    info = read_init(init_of(ffmpeg(*PICTURE, *codec, *CMAF)))
    assert info.codecs == "avc1.640028"
    assert (info.width, info.height) == (322, 182)


def test_aac_is_mp4a_40_2(audio_stream: bytes) -> None:
    info = read_init(init_of(audio_stream))
    assert info == TrackInfo(1, "soun", "mp4a.40.2", 48000, channels=2, sample_rate=48000)
    assert info.track == "audio"


@pytest.mark.parametrize(
    ("source", "codec", "expected"),
    [
        (
            PICTURE,
            ("libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
            r"hvc1\.[1-4]\.\w+\.L\d+.*",
        ),
        (SOUND, ("libopus",), "Opus"),
        (SOUND, ("ac3",), "ac-3"),
    ],
)
def test_other_codecs_have_their_names(
    ffmpeg: Make, source: tuple[str, ...], codec: tuple[str, ...], expected: str
) -> None:
    stream = ffmpeg(*source, "-pix_fmt", "yuv420p", "-c", *codec, *CMAF)
    assert re.fullmatch(expected, read_init(init_of(stream)).codecs)


@pytest.fixture
def init(box: Make) -> Callable[[str, str, bytes], bytes]:
    """An init segment of one track: handler, sample entry type, what the entry holds after its fixed part."""

    def write(handler: str, entry: str, inside: bytes) -> bytes:
        fixed = (
            struct.pack(">8x16xHH50x", 640, 360)
            if handler == "vide"
            else struct.pack(">16xHHII", 6, 16, 0, 0)
        )
        stsd = box("stsd", struct.pack(">II", 0, 1), box(entry, fixed, inside))
        mdia = box(
            "mdia",
            box("mdhd", struct.pack(">IIII8x", 0, 0, 0, 96000)),
            box("hdlr", struct.pack(">II4s12x", 0, 0, handler.encode())),
            box("minf", box("stbl", stsd)),
        )
        tkhd = box("tkhd", struct.pack(">IIII", 0, 0, 0, 5))
        return box("moov", box("trak", tkhd, mdia))

    return write


def descriptor(tag: int, body: bytes) -> bytes:
    return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body


def esds(object_type: int, config: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    decoder = descriptor(4, bytes([object_type]) + bytes(12) + descriptor(5, config))
    payload = bytes(4) + descriptor(3, bytes(2) + bytes([flags]) + extra + decoder)
    return struct.pack(">I4s", 8 + len(payload), b"esds") + payload


def record(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def vpcc(text: str) -> bytes:
    """Version, profile, level, depth with chroma and range, colours."""
    version, *rest = bytes.fromhex(text)
    return record(b"vpcC", bytes((version, 0, 0, 0, *rest)))


@pytest.mark.parametrize(
    ("handler", "entry", "inside", "expected"),
    [
        ("vide", "avc3", record(b"avcC", bytes.fromhex("014d401f")), "avc3.4d401f"),
        # ISO/IEC 14496-15 Annex E.3 gives this very example
        (
            "vide",
            "hvc1",
            record(b"hvcC", bytes.fromhex("0101 60000000 b00000000000 5d".replace(" ", ""))),
            "hvc1.1.6.L93.B0",
        ),
        (
            "vide",
            "hev1",
            record(b"hvcC", bytes.fromhex("0162 20000000 000000000000 78".replace(" ", ""))),
            "hev1.A2.4.H120",
        ),
        # AV1 ISO-BMFF binding §5: Main profile, level 3.0, main tier, 8 and 10 bits
        ("vide", "av01", record(b"av1C", bytes.fromhex("810400")), "av01.0.04M.08"),
        ("vide", "av01", record(b"av1C", bytes.fromhex("810440")), "av01.0.04M.10"),
        ("vide", "av01", record(b"av1C", bytes.fromhex("8150e0")), "av01.2.16H.12"),
        # VP Codec ISO Media File Format Binding, Codecs Parameter String: its example, its defaults
        ("vide", "vp09", vpcc("01 02 0a a3 09 10 09"), "vp09.02.10.10.01.09.16.09.01"),
        ("vide", "vp09", vpcc("01 00 29 82 01 01 01"), "vp09.00.41.08.01.01.01.01.00"),
        ("soun", "mp4a", esds(0x40, bytes.fromhex("2b11")), "mp4a.40.5"),
        ("soun", "mp4a", esds(0x40, bytes.fromhex("f940")), "mp4a.40.42"),  # xHE-AAC: escaped type
        ("soun", "mp4a", esds(0x40, bytes.fromhex("1190"), 0xE0, b"\0\0\3url\0\0"), "mp4a.40.2"),
        ("soun", "mp4a", esds(0x6B, b""), "mp4a.6b"),
        ("soun", "fLaC", b"", "fLaC"),
    ],
)
def test_configuration_records_are_named_as_their_bindings_say(
    init: Make, handler: str, entry: str, inside: bytes, expected: str
) -> None:
    info = read_init(init(handler, entry, inside))
    assert (info.codecs, info.id, info.timescale) == (expected, 5, 96000)
    if handler == "vide":
        assert (info.width, info.height) == (640, 360)
    else:
        assert (info.channels, info.sample_rate) == (6, 96000)  # a rate that does not fit its field


@pytest.mark.parametrize(
    ("handler", "entry", "inside"),
    [
        ("vide", "avc1", b""),
        ("vide", "vp08", b""),
        ("vide", "vp09", b""),
        ("vide", "vp09", vpcc("00 00 29 82 01 01 01")),  # another version: its fields lie elsewhere
        ("vide", "vp09", vpcc("01 04 29 82 01 01 01")),  # no such profile, level, depth
        ("vide", "vp09", vpcc("01 00 00 82 01 01 01")),
        ("vide", "vp09", vpcc("01 00 29 92 01 01 01")),
        ("vide", "vp09", vpcc("01 00 29 82 01 01")),
        ("vide", "avc1", record(b"avcC", b"\1\2")),
        ("soun", "avc1", record(b"avcC", b"\1\2\3\4")),
        ("soun", "mp4a", record(b"esds", bytes(4) + b"\x04\x00")),
        ("soun", "mp4a", record(b"esds", bytes(4) + b"\x03\x80\x80\x80\x80\x00")),
        ("text", "mp4a", b""),
    ],
)
def test_what_cannot_be_named_is_refused(init: Make, handler: str, entry: str, inside: bytes) -> None:
    with pytest.raises(BadBox):
        read_init(init(handler, entry, inside))


def test_an_init_has_one_track_and_that_a_description(box: Make) -> None:
    trak = box("trak")
    for body in (b"", trak + trak):
        with pytest.raises(BadBox, match="has one track"):
            read_init(box("moov", body))
    hdlr = box("hdlr", struct.pack(">II4s", 0, 0, b"vide"))
    for entries in (b"", box("avc1", bytes(20)), box("avc1", bytes(40))):
        stsd = box("stsd", bytes(8), entries)
        mdhd = box("mdhd", struct.pack(">IIII", 0, 0, 0, 1))
        mdia = box("mdia", mdhd, hdlr, box("minf", box("stbl", stsd)))
        with pytest.raises(BadBox):
            read_init(box("moov", box("trak", box("tkhd", bytes(24)), mdia)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_f33_any_byte_of_an_init_may_be_wrong_without_a_crash(
    audio_stream: bytes, video_stream: bytes, where: float, value: int
) -> None:
    for stream in (audio_stream, video_stream):
        altered = bytearray(init_of(stream))
        altered[int(len(altered) * where)] = value
        try:
            read_init(altered)
        except BadMedia:
            continue
