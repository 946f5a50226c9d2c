"""The sample film is made of real parts: a moving picture, a clock, sound, and no font of the machine."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from deploy.demo import film, glyphs, scenery
from deploy.ffmpeg import ffmpeg_path
from deploy.layers import load


def clock_of(frame: av.VideoFrame) -> bytes:
    """The luma of the square the clock stands in."""
    plane = frame.planes[0]
    luma, line = bytes(plane), plane.line_size
    cx, cy, radius = scenery.CLOCK
    return b"".join(
        luma[y * line + cx - radius : y * line + cx + radius] for y in range(cy - radius, cy + radius)
    )


async def test_the_film_has_moving_picture_and_sound_and_tells_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenery, "DURATION_S", 6)
    monkeypatch.setenv("FONTCONFIG_FILE", "/nonexistent")
    told: list[float] = []
    target = tmp_path / "film.mp4"
    await film.make(str(ffmpeg_path(load({}, {}))), target, told.append)
    with av.open(str(target)) as found:
        video, audio = found.streams.video[0], found.streams.audio[0]
        assert (video.width, video.height) == (1280, 720) and video.average_rate == Fraction(25)
        assert audio.channels == 2 and audio.sample_rate == 48_000
        frames = [clock_of(frame) for frame in found.decode(video)]
    assert len(frames) == 150
    assert max(frames[80]) > 220, "the clock's digits are white"
    changed = sum(one != other for one, other in zip(frames[80], frames[110], strict=True))
    assert changed > len(frames[80]) / 100, "and change"
    assert told == sorted(told) and told[-1] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


async def test_a_film_that_cannot_be_made_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(film.FilmFailed):
        await film.make("/bin/false", tmp_path / "film.mp4", lambda done: None)
    assert list(tmp_path.iterdir()) == []


def test_the_real_film_is_over_a_minute_and_every_second_has_its_clock() -> None:
    script = scenery.script()
    assert scenery.DURATION_S >= 70
    assert script.count("Dialogue: 83,") == scenery.DURATION_S


def test_every_letter_the_film_writes_has_a_glyph() -> None:
    written = set("SLUICE0123456789:").union(*(scene.name for scene in scenery.SCENES))
    assert written <= set(glyphs.GLYPHS)
