"""F33 for boxes: 125,000 broken files and as many maps, refused as such or read within their own bytes."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edge.deliver.common_encryption import mapped
from origin.media.boxes import BadMedia, Box
from origin.media.codecs import read_init
from origin.media.maps import pack, read_map, unpack, write_block
from origin.media.protected_init import protected_init
from origin.media.protection import ProtectionMap, Protector, SchemeMap
from origin.media.segmenting import Init, Segment, Splitter
from tests.support.broken_boxes import all_boxes, broken
from tests.support.hang import at_most

FILES, MAPS = 25_000, 25_000  # of each of the five codecs
HEAD_MOST = 64  # times what the segment has: a head lists what is in it
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=0.2", "-pix_fmt", "yuv420p")
SOUND = ("-f", "lavfi", "-i", "sine=duration=0.2:sample_rate=48000")
FLAGS = ("-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")
CODECS = {
    "avc": (*PICTURE, "-c:v", "libx264", "-x264-params", "slices=2:bframes=1:log-level=-1"),
    "hevc": (*PICTURE, "-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", "log-level=none"),
    "av1": (*PICTURE, "-c:v", "libaom-av1", "-cpu-used", "8", "-strict", "experimental"),
    "vp9": (*PICTURE, "-c:v", "libvpx-vp9", "-cpu-used", "8"),
    "aac": (*SOUND, "-c:a", "aac"),
}


@dataclass(frozen=True, slots=True)
class Good:
    """A file of one segment, and where its boxes are."""

    data: bytes
    places: list[Box]


@pytest.fixture(scope="module", params=CODECS)
def good(request: pytest.FixtureRequest, ffmpeg: Callable[..., bytes]) -> Good:
    data = ffmpeg(*CODECS[request.param], *FLAGS)
    return Good(data, all_boxes(data))


def packaged(data: bytes, source: random.Random) -> int:
    """Takes a file in as the packager does; how many segments came of it. BadMedia."""
    splitter, protector, found = Splitter(), None, 0
    at = 0
    while at < len(data):
        size = source.choice((1, 97, 1500, 1 << 16))
        for piece in splitter.feed(data[at : at + size]):
            if isinstance(piece, Init):
                read_init(piece.data)
                assert len(protected_init(piece.data, "cenc", bytes(16))) > len(piece.data)
                protector = Protector(piece.data, 0)
                continue
            assert isinstance(piece, Segment) and protector is not None
            checked(protector.map_of(piece.data, found), len(piece.data))
            found += 1
        at += size
    splitter.close()
    return found


def checked(found: ProtectionMap, length: int) -> None:
    """A map says nothing of bytes that are not there, and is the same when it was stored."""
    for part in (found.cenc, found.cbcs):
        within(part, length - found.payload)
        assert len(part.head) <= HEAD_MOST * length
    assert unpack(pack(found)) == found


def within(part: SchemeMap, size: int) -> None:
    """The ranges are in order, and of the payload."""
    at = 0
    for ranges in part.samples:
        for start, many in ranges:
            assert at <= start and many >= 0
            at = start + many
    assert at <= size


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_f33_broken_files_are_refused_or_mapped_within_their_bytes(good: Good) -> None:
    source, seen = random.Random(14496), Counter[str]()
    assert packaged(good.data, source) > 0
    with at_most(2) as step:
        for _ in range(FILES):
            data = broken(source, good.data, good.places)
            step()
            try:
                seen["read" if packaged(data, source) else "empty"] += 1
            except BadMedia as refused:
                assert str(refused), "the publisher is told what is wrong"
                seen["refused"] += 1
    assert min(seen["read"], seen["refused"]) > FILES // 50, seen


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_f33_broken_maps_are_refused_or_stay_within_their_segment(good: Good) -> None:
    splitter = Splitter()
    init, segment = splitter.feed(good.data)[:2]
    whole = pack(Protector(init.data, 0).map_of(segment.data, 0))
    block = write_block(0, [whole, whole])
    source, seen = random.Random(23001), Counter[str]()
    with at_most(2) as step:
        for _ in range(MAPS):
            data = bytearray(block)
            for _ in range(source.randint(1, 3)):
                at = source.randrange(len(data))
                width = source.choice((1, 2, 4))
                data[at : at + width] = source.choice(
                    (source.randbytes(width), b"\xff" * width, b"", bytes(9))
                )
            number, scheme = source.choice((0, 1, 2, 1 << 31)), source.choice(("cenc", "cbcs"))
            step()
            try:
                found = read_map(bytes(data), number)
                form = mapped(found, scheme, len(segment.data), rendition=0, position=number, iv=bytes(16))
            except BadMedia:
                seen["refused"] += 1
                continue
            seen["read"] += 1
            assert form.size + form.clear == len(segment.data) and form.clear >= 0
            assert all(0 <= a <= b <= form.size for a, b in zip(form.starts, form.ends, strict=True))
            assert list(form.starts) == sorted(form.starts)
    assert min(seen["read"], seen["refused"]) > 100, seen
