"""What a probe tells, and what it refuses. The child is not trusted: lies about shape are refused."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.problems import Problem
from origin.ingest.probe import BROKEN, Bounds, probe, read_facts
from tests.origin.ingest.bench import AAC, X264, film, make_clip, tone

VIDEO: dict[str, Any] = {
    "index": 0, "codec": "h264", "width": 1920, "height": 1080, "aspect": [1, 1], "rotation": 0,
    "average_rate": [25, 1], "base_rate": [25, 1], "pixels": "yuv420p", "depth": 8, "interlaced": False,
    "transfer": 1, "decoded": True,
}  # fmt: skip
AUDIO: dict[str, Any] = {
    "index": 1, "codec": "aac", "channels": 2, "sample_rate": 48000, "language": "eng", "title": "",
    "default": True,
}  # fmt: skip
FACTS: dict[str, Any] = {"video": VIDEO, "audio": [AUDIO], "duration": 10.0}


async def test_a_probe_tells_what_is_in_a_film(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mkv", *film("320x180", "30000/1001"), *tone(44100), "-vf", "setsar=4/3", *X264, *AAC,
        "-metadata:s:a:0", "language=fre", "-metadata:s:a:0", "title=Version\u2028fran\u00e7aise",
    )  # fmt: skip
    found = await probe(clip, require_jail=True)
    assert found.video is not None
    assert (found.video.codec, found.video.width, found.video.height) == ("h264", 320, 180)
    assert found.video.aspect == Fraction(4, 3)
    assert abs(found.video.average_rate - Fraction(30000, 1001)) < Fraction(1, 100)
    assert (found.demuxer, found.size) == ("matroska", clip.stat().st_size)
    assert found.duration == pytest.approx(2.0, abs=0.1)
    sound = found.audio[0]
    assert (sound.channels, sound.sample_rate, sound.language, sound.title) == (
        2,
        44100,
        "fre",
        "Versionfran\u00e7aise",
    )


async def test_depth_rotation_and_interlacing_are_seen(tmp_path: Path) -> None:
    deep = make_clip(tmp_path / "a.mkv", *film(), "-c:v", "ffv1", "-pix_fmt", "yuv420p10le")
    assert ((await probe(deep)).video or pytest.fail()).depth == 10
    flat = make_clip(tmp_path / "flat.mp4", *film(), *X264)
    turned = make_clip(tmp_path / "b.mp4", "-display_rotation", "-90", "-i", str(flat), "-c", "copy")
    assert ((await probe(turned)).video or pytest.fail()).rotation in (90, 270)
    laced = make_clip(
        tmp_path / "c.ts", *film(), "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-vf", "setfield=tff"
    )
    assert ((await probe(laced)).video or pytest.fail()).interlaced


async def test_a_missing_duration_is_found_in_the_packets(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.flv", *film(seconds="3"), *X264, "-flvflags", "no_duration_filesize")
    assert (await probe(clip)).duration == pytest.approx(3.0, abs=0.2)
    live = make_clip(
        tmp_path / "a.webm", *film(seconds="3"), "-c:v", "libvpx", "-deadline", "realtime", "-live", "1"
    )
    assert (await probe(live)).duration == pytest.approx(3.0, abs=0.2)


async def test_a_cover_is_no_film(tmp_path: Path) -> None:
    cover = make_clip(tmp_path / "cover.jpg", *film(seconds="1"), "-frames:v", "1")
    song = make_clip(
        tmp_path / "a.mp3", *tone(), "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy",
        "-disposition:v:0", "attached_pic",
    )  # fmt: skip
    found = await probe(song)
    assert found.video is None and len(found.audio) == 1


@pytest.mark.parametrize("keep", [100, 1000, 3000])
async def test_a_film_cut_before_its_index_is_called_damaged(tmp_path: Path, keep: int) -> None:
    clip = make_clip(tmp_path / "a.mp4", *film(), *X264)
    clip.write_bytes(clip.read_bytes()[:keep])
    with pytest.raises(Problem) as refused:
        await probe(clip)
    assert (refused.value.code, refused.value.message) == ("not_media", BROKEN)


def test_too_large_or_too_long_is_refused_with_its_limit() -> None:
    for facts, words in (
        (FACTS | {"video": VIDEO | {"width": 65535, "decoded": False}}, "65535 × 1080"),
        (FACTS | {"duration": 90_000.0}, "24 hours"),
        (FACTS | {"duration": float("inf")}, "24 hours"),
    ):
        with pytest.raises(Problem, match=words):
            read_facts(facts, "mov", 1000, Bounds())


def test_nothing_to_decode_is_refused() -> None:
    nothing: tuple[dict[str, Any], ...] = (
        {"video": None, "audio": [], "duration": 1.0},
        FACTS | {"video": VIDEO | {"decoded": False}},
        FACTS | {"duration": 0.0},
        FACTS | {"duration": float("nan")},
    )
    for facts in nothing:
        with pytest.raises(Problem) as refused:
            read_facts(facts, "mov", 1000, Bounds())
        assert refused.value.code == "not_media"


def test_more_sound_streams_than_allowed_are_left_out() -> None:
    facts = FACTS | {"audio": [AUDIO | {"index": n} for n in range(40)]}
    assert len(read_facts(facts, "mov", 1000, Bounds(audio_tracks=16)).audio) == 16


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(
        ["video", "audio", "duration", *(f"video.{k}" for k in VIDEO), *(f"audio.{k}" for k in AUDIO)]
    ),
    json_values,
)
def test_t13_a_lying_child_is_refused_or_believed_within_bounds(where: str, value: object) -> None:
    facts: dict[str, Any] = {"video": dict(VIDEO), "audio": [dict(AUDIO)], "duration": 10.0}
    part, _, name = where.partition(".")
    if not name:
        facts[part] = value
    elif part == "video":
        facts["video"][name] = value
    else:
        facts["audio"][0][name] = value
    try:
        found = read_facts(facts, "mov", 1000, Bounds())
    except Problem as problem:
        assert problem.code == "not_media"
    else:
        assert 0 < found.duration <= 24 * 3600
        assert found.video is None or max(found.video.width, found.video.height) <= 8192
