"""Which renditions a source gets."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.ingest.ladder import Ladder, Wishes, frame_rate, language_tag, picture_size, plan
from origin.ingest.probe import AudioTrack, Probe, VideoTrack

HD = VideoTrack(
    index=0,
    codec="h264",
    width=1920,
    height=1080,
    aspect=Fraction(1),
    rotation=0,
    average_rate=Fraction(25),
    base_rate=Fraction(25),
    pixels="yuv420p",
    depth=8,
    interlaced=False,
    transfer=1,
)
SOUND = AudioTrack(1, "aac", 2, 48000, "eng", "", True)


def source(video: VideoTrack | None = HD, *audio: AudioTrack, size: int = 1 << 30) -> Probe:
    """A ten-minute file."""
    return Probe("mov", size, 600.0, video, audio)


def sizes(ladder: Ladder) -> list[tuple[str, int, int]]:
    """ID, width and height of each video rung."""
    return [(rung.id, rung.width, rung.height) for rung in ladder.video]


def sized(width: int, height: int) -> list[tuple[str, int, int]]:
    """The rungs of a film of that size."""
    return sizes(plan(source(replace(HD, width=width, height=height)), Wishes(max_rungs=9)))


def test_rungs_step_down_from_the_source() -> None:
    assert sized(1920, 1080) == [
        ("1080p", 1920, 1080),
        ("720p", 1280, 720),
        ("480p", 854, 480),
        ("360p", 640, 360),
        ("240p", 426, 240),
    ]
    assert sized(3840, 2160)[0] == ("1080p", 1920, 1080)


def test_wide_and_upright_films_fit_the_same_boxes() -> None:
    assert sized(1920, 800)[:2] == [("1080p", 1920, 800), ("720p", 1280, 534)]
    assert sized(1080, 1920)[:2] == [("1080p", 1080, 1920), ("720p", 720, 1280)]
    assert sized(1440, 1080)[0] == ("1080p", 1440, 1080)


def test_a_size_between_rungs_or_below_all_gets_its_own() -> None:
    assert sized(1024, 576)[0] == ("576p", 1024, 576)
    assert sized(960, 540)[0] == ("480p", 854, 480)
    assert sized(321, 241) == [("240p", 320, 240)]
    assert sized(161, 91) == [("90p", 160, 90)]
    assert sized(3, 3) == [("2p", 2, 2)]


@given(st.integers(1, 8192), st.integers(1, 8192), st.integers(1, 6), st.sampled_from([0, 90, 180, 270]))
def test_no_rung_is_odd_larger_than_the_source_or_one_of_too_many(
    w: int, h: int, most: int, turn: int
) -> None:
    video = replace(HD, width=w, height=h, rotation=turn)
    ladder = plan(source(video), Wishes(max_rungs=most))
    wide, high = picture_size(video)
    assert 1 <= len(ladder.video) <= most
    assert len({rung.id for rung in ladder.video}) == len(ladder.video)
    for rung in ladder.video:
        assert rung.width % 2 == 0 and rung.height % 2 == 0
        assert 2 <= rung.width <= max(2, wide) and 2 <= rung.height <= max(2, high)
        assert rung.max_rate <= 1.2 * rung.bit_rate and rung.buffer <= rung.bit_rate
    widths = [rung.width * rung.height for rung in ladder.video]
    assert widths == sorted(widths, reverse=True)


def test_few_rungs_are_spread_over_the_range() -> None:
    assert [name for name, *_ in sizes(plan(source(), Wishes(max_rungs=4)))] == [
        "1080p",
        "720p",
        "360p",
        "240p",
    ]
    assert [name for name, *_ in sizes(plan(source(), Wishes(max_rungs=2)))] == ["1080p", "240p"]
    assert [name for name, *_ in sizes(plan(source(), Wishes(max_rungs=1)))] == ["1080p"]


def test_a_rotated_film_swaps_its_sides_and_pixels_become_square() -> None:
    assert picture_size(replace(HD, rotation=90)) == (1080, 1920)
    assert picture_size(replace(HD, rotation=180)) == (1920, 1080)
    assert picture_size(replace(HD, width=720, height=576, aspect=Fraction(64, 45))) == (1024, 576)
    assert picture_size(replace(HD, width=720, height=576, aspect=Fraction(8, 9))) == (720, 648)


@pytest.mark.parametrize(
    ("average", "base", "expected"),
    [
        ("25", "25", "25"),
        ("30000/1001", "30000/1001", "30000/1001"),
        ("2997/100", "2997/100", "30000/1001"),
        ("24000/1001", "24000/1001", "24000/1001"),
        ("18", "18", "18"),  # steady: kept as it is
        ("120", "120", "60"),
        ("120000/1001", "120000/1001", "60000/1001"),
        ("240", "240", "60"),
        ("13", "30", "12"),  # varies: the nearest standard rate
        ("29", "90000", "30000/1001"),
        ("1", "1", "5"),  # a slide show still has a keyframe every 4 s
        ("0", "0", "25"),
        ("0", "50", "50"),
    ],
)
def test_all_rungs_share_one_constant_frame_rate(average: str, base: str, expected: str) -> None:
    video = replace(HD, average_rate=Fraction(average), base_rate=Fraction(base))
    assert frame_rate(video) == Fraction(expected)


def test_a_small_source_is_not_blown_up_in_bits() -> None:
    rich = plan(source(size=1 << 30), Wishes()).video
    poor = plan(source(size=20 << 20), Wishes()).video
    assert rich[0].bit_rate == 4_500_000
    assert poor[0].bit_rate <= 1.2 * (20 << 20) * 8 / 600 + 1
    assert [rung.bit_rate for rung in poor] == sorted((rung.bit_rate for rung in poor), reverse=True)
    hevc = plan(source(replace(HD, codec="hevc"), size=20 << 20), Wishes()).video
    assert hevc[0].bit_rate > poor[0].bit_rate


def test_sound_becomes_stereo_aac_with_its_language_the_default_first() -> None:
    tracks = (
        replace(SOUND, index=1, channels=6, sample_rate=96000, language="ger", default=False),
        replace(SOUND, index=2, channels=1, sample_rate=44100, language="eng", title="Commentary"),
        replace(SOUND, index=3, channels=2, language="und", default=False),
    )
    rungs = plan(source(HD, *tracks), Wishes()).audio
    assert [(r.id, r.stream, r.channels, r.sample_rate, r.language, r.name) for r in rungs] == [
        ("audio", 2, 1, 44100, "en", "Commentary"),
        ("audio-2", 1, 2, 48000, "de", "Deutsch"),
        ("audio-3", 3, 2, 48000, "", "Audio 3"),
    ]
    assert [r.bit_rate for r in rungs] == [80_000, 128_000, 128_000]


def test_sound_alone_has_no_video_rungs() -> None:
    ladder = plan(source(None, SOUND), Wishes())
    assert ladder.video == () and ladder.frame_rate == 0


@pytest.mark.parametrize(
    ("text", "tag"),
    [("eng", "en"), ("fre", "fr"), ("de", "de"), ("pt_br", "pt-BR"), ("und", ""), ("", ""), ("gsw", "gsw"),
     ("<b>", ""), ("x" * 40, ""), ('en"', ""), ("en-US\n", "en-US")],
)  # fmt: skip
def test_languages_are_tags_or_nothing(text: str, tag: str) -> None:
    assert language_tag(text) == tag
