"""Every segment of a rendition gets its map, sixteen to a block; a rendition is mapped whole or not."""

import pytest

from origin.ingest.mapping import Mapping
from origin.media.maps import read_map
from origin.media.protection import Protector
from tests.origin.ingest.bench import X264, film, make_clip
from tests.support.slice_headers import pieces

FLAGS = ["-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer", "-f", "mp4"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[bytes]]:
    """A film of 35 segments of two frames each."""
    path = tmp_path_factory.mktemp("clip") / "c.mp4"
    return pieces(make_clip(path, *film(seconds="2.8"), *X264, "-g", "2", *FLAGS).read_bytes())


def test_blocks_of_sixteen_hold_the_maps_of_all_segments(clip: tuple[bytes, list[bytes]]) -> None:
    init, segments = clip
    assert len(segments) == 35
    mapping, protector = Mapping(init, 7), Protector(init, 7)
    blocks = dict(filter(None, [*map(mapping.take, segments), mapping.rest()]))
    assert list(blocks) == ["map-0", "map-1", "map-2"] and mapping.rest() is None
    assert 0 < mapping.added < len(segments[-1])
    for number, segment in enumerate(segments):
        assert read_map(blocks[f"map-{number // 16}"], number) == protector.map_of(segment, number)
    assert not mapping.refused


def test_a_segment_that_cannot_be_mapped_ends_it(clip: tuple[bytes, list[bytes]]) -> None:
    init, segments = clip
    mapping = Mapping(init, 0)
    assert mapping.take(segments[0]) is None
    assert mapping.take(segments[1][:-1]) is None
    assert mapping.refused.startswith("segment 1: ")
    assert mapping.take(segments[2]) is None and mapping.rest() is None


def test_a_codec_that_cannot_be_protected_has_no_maps(clip: tuple[bytes, list[bytes]]) -> None:
    init, segments = clip
    mapping = Mapping(init.replace(b"avc1", b"vp08"), 0)
    assert "'vp08' is not supported" in mapping.refused
    assert mapping.take(segments[0]) is None and mapping.rest() is None
