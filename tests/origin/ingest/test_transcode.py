"""The ffmpeg command, its progress, and what its end means."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from keys.problems import Problem
from origin.ingest.ladder import Wishes, plan
from origin.ingest.probe import AudioTrack, Probe, VideoTrack, probe
from origin.ingest.transcode import (
    TONE_MAP,
    TOO_LONG,
    UNREADABLE,
    Budget,
    Progress,
    arguments,
    filters,
    read_progress,
    transcode,
)
from tests.origin.ingest.bench import FFMPEG, X264, film, make_clip

VIDEO = VideoTrack(
    index=2,
    codec="hevc",
    width=1280,
    height=720,
    aspect=Fraction(1),
    rotation=0,
    average_rate=Fraction(30000, 1001),
    base_rate=Fraction(30000, 1001),
    pixels="yuv420p10le",
    depth=10,
    interlaced=False,
    transfer=1,
)
SOUND = AudioTrack(5, "aac", 6, 48000, "eng", "", True)
SOURCE = Probe("matroska", 100 << 20, 60.0, VIDEO, (SOUND,))


def command(source: Probe) -> list[str]:
    """The command for that source, pipes numbered from 10."""
    ladder = plan(source, Wishes(max_rungs=2))
    names = [*(rung.id for rung in ladder.video), *(sound.id for sound in ladder.audio)]
    return arguments(FFMPEG, source, ladder, Wishes(), {name: 10 + n for n, name in enumerate(names)}, 9)


def test_t13_the_input_is_a_descriptor_of_one_known_kind_and_nothing_else_may_be_opened() -> None:
    words = command(SOURCE)
    before = words[: words.index("-i")]
    for option, value in {
        "-protocol_whitelist": "fd,pipe",
        "-format_whitelist": "matroska",
        "-f": "matroska",
        "-fd": "0",
        "-max_pixels": str(8192 * 8192),
    }.items():
        assert before[before.index(option) + 1] == value
    assert words[words.index("-i") + 1] == "fd:" and words.count("-i") == 1


def test_every_rendition_goes_to_its_own_pipe() -> None:
    words = command(SOURCE)
    assert [word for word in words if word.startswith("pipe:")] == ["pipe:9", "pipe:10", "pipe:11", "pipe:12"]


def test_the_film_is_made_even_once_and_chosen_streams_only_are_read() -> None:
    graph = filters(SOURCE, plan(SOURCE, Wishes(max_rungs=2)))
    assert graph.count("fps=30000/1001:start_time=0") == 1
    assert "[0:2]" in graph and "[0:5]" in graph
    assert "apad=whole_dur=60.000" in graph
    assert "bwdif" not in graph and TONE_MAP not in graph


def test_only_what_needs_it_is_deinterlaced_or_tone_mapped() -> None:
    source = replace(SOURCE, video=replace(VIDEO, interlaced=True, transfer=16))
    graph = filters(source, plan(source, Wishes()))
    assert "bwdif" in graph and TONE_MAP in graph


def test_progress_is_share_rate_and_time_left() -> None:
    block = {"out_time_us": "15000000", "speed": "2.5x", "progress": "continue"}
    assert read_progress(block, 60.0) == Progress(0.25, 2.5, 18.0)
    assert read_progress({"out_time_us": "N/A", "speed": "N/A"}, 60.0) == Progress(0.0, 0.0, None)
    assert read_progress({"out_time_us": "99000000", "speed": "1x"}, 60.0) == Progress(1.0, 1.0, 0.0)


def test_a_budget_grows_with_the_film() -> None:
    limits = Budget(least_s=10, per_media_s=2, memory_bytes=1 << 30).limits(60.0, cpus=4)
    assert (limits.wall_s, limits.cpu_s, limits.memory_bytes) == (130, 521, 1 << 30)


async def attempt(source: Path, found: Probe, budget: Budget) -> Problem:
    """How a run that cannot end well ends."""

    async def sink(name: str, data: bytes) -> None:
        """Nobody reads it."""

    with pytest.raises(Problem) as refused:
        await transcode(
            source,
            found,
            plan(found, Wishes()),
            ffmpeg=FFMPEG,
            wishes=Wishes(preset="ultrafast"),
            budget=budget,
            sink=sink,
            progress=lambda _: None,
        )
    return refused.value


async def test_a_run_that_gets_no_further_is_stopped(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", *film(), *X264)
    problem = await attempt(clip, await probe(clip), Budget(stall_s=0.001))
    assert (problem.code, problem.message) == ("too_large", TOO_LONG)


async def test_ffmpegs_own_words_go_to_the_log_only(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", *film(), *X264)
    found = await probe(clip)
    clip.write_bytes(b"\x00" * 1000)  # swapped after the probe
    problem = await attempt(clip, found, Budget())
    assert (problem.code, problem.message) == ("not_media", UNREADABLE)
    assert "Invalid data" in problem.detail


async def test_too_little_memory_is_said(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", *film("1280x720"), *X264)
    problem = await attempt(clip, await probe(clip), Budget(memory_bytes=200 << 20))
    assert problem.code in ("too_large", "not_media")


async def test_what_the_sink_raises_ends_the_run_and_is_raised(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", *film(), *X264)
    found = await probe(clip)

    async def full(name: str, data: bytes) -> None:
        raise Problem("disk_full")

    with pytest.raises(Problem, match="disk_full"):
        await transcode(
            clip,
            found,
            plan(found, Wishes()),
            ffmpeg=FFMPEG,
            wishes=Wishes(),
            budget=Budget(),
            sink=full,
            progress=lambda _: None,
        )
