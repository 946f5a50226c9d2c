"""One ffmpeg run that makes every rendition of a ladder, each as fragmented MP4 on a pipe of its own.

`arguments` builds the command and is pure; `transcode` runs it in jail and hands the bytes of each rendition
to a sink as they come. Nothing but the input is a file. Fragments are segments: video is cut at keyframes,
which are forced on the same frames of every rung; sound every `segment_s` seconds. Times start at 0 in both:
the encoders' delays stand in edit lists (CMAF §7.5.13), which ffmpeg, Chromium and Shaka honour, and without
B-pyramid the delays of picture and sound are so near each other that a player which ignores them is off by
less than a frame.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from keys.problems import Problem
from origin.ingest.jail import GIB, Limits, Outcome, run_jailed
from origin.ingest.ladder import AudioRung, Ladder, VideoRung, Wishes
from origin.ingest.pipes import lines, open_pipe, pieces
from origin.ingest.probe import HLG, PQ, Probe

PIECE: Final = 256 << 10  # bytes read from a pipe at once
LINE: Final = 4096  # bytes of a line of ffmpeg's progress
MAX_PIXELS: Final = 8192 * 8192  # of any frame, also of one that grows in mid-film
MOVFLAGS: Final = "+cmaf+delay_moov+frag_keyframe+skip_trailer"
SOUND_MOVFLAGS: Final = "+cmaf+delay_moov+skip_trailer"

UNREADABLE: Final = "This file could not be converted: its picture or sound is damaged."
TOO_LONG: Final = "Converting this file took longer than it may."
TOO_MUCH: Final = "Converting this file takes more memory or processor time than it may."

# High dynamic range to the ordinary one: linear light, BT.709 colours, highlights folded in.
TONE_MAP: Final = (
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,"
    "zscale=t=bt709:m=bt709:r=tv"
)

Sink = Callable[[str, bytes], Awaitable[None]]  # rendition ID, the next bytes of it


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: float  # 0 to 1
    rate: float  # media seconds a second
    eta_s: float | None  # seconds left, None while unknown


@dataclass(frozen=True, slots=True)
class Budget:
    """What converting one file may cost."""

    memory_bytes: int = 4 * GIB
    least_s: float = 600  # wall clock for the shortest film
    per_media_s: float = 60  # and for each second of media
    stall_s: float = 600  # without any step forward

    def limits(self, duration_s: float, cpus: int) -> Limits:
        """The jail's limits for a film of that duration."""
        wall = self.least_s + self.per_media_s * duration_s
        return Limits(wall_s=wall, cpu_s=int(wall * cpus) + 1, memory_bytes=self.memory_bytes)


def arguments(
    ffmpeg: Path, probe: Probe, ladder: Ladder, wishes: Wishes, pipes: dict[str, int], progress_pipe: int
) -> list[str]:
    """The command. `pipes` are descriptor numbers by rendition ID. Pure."""
    threads = str(min(8, os.cpu_count() or 1))
    command = [str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
    command += ["-progress", f"pipe:{progress_pipe}", "-stats_period", "0.25"]
    command += ["-protocol_whitelist", "fd,pipe", "-format_whitelist", probe.demuxer]
    command += [
        "-max_pixels",
        str(MAX_PIXELS),
        "-threads",
        threads,
        "-f",
        probe.demuxer,
        "-fd",
        "0",
        "-i",
        "fd:",
    ]
    command += ["-filter_complex_threads", threads, "-filter_complex", filters(probe, ladder)]
    for rung in ladder.video:
        command += _video_output(rung, ladder, wishes, threads, pipes[rung.id])
    for sound in ladder.audio:
        command += _audio_output(sound, ladder, pipes[sound.id])
    return command


def filters(probe: Probe, ladder: Ladder) -> str:
    """The filter graph: the film made even at the best size, then scaled down; each sound made even. Pure."""
    graph = [_sound(probe, sound) for sound in ladder.audio]
    if probe.video and ladder.video:
        best = ladder.video[0]
        steps = ["bwdif=mode=send_frame:deint=interlaced"] if probe.video.interlaced else []
        steps += [f"fps={ladder.frame_rate}:start_time=0", _scale(best)]
        steps += [TONE_MAP] if probe.video.transfer in (PQ, HLG) else []
        steps += ["format=yuv420p", f"split={len(ladder.video)}"]
        graph.append(
            f"[0:{probe.video.index}]{','.join(steps)}" + "".join(f"[s-{r.id}]" for r in ladder.video)
        )
        graph += [f"[s-{r.id}]{_scale(r)},setsar=1[{r.id}]" for r in ladder.video]
    return ";".join(graph)


def _scale(rung: VideoRung) -> str:
    return f"scale={rung.width}:{rung.height}:flags=bicubic:out_range=tv"


def _sound(probe: Probe, sound: AudioRung) -> str:
    """Holes become silence, times start at 0; under a film the sound lasts as long as the picture."""
    steps = [f"aresample={sound.sample_rate}:async=1:first_pts=0"]
    steps += [f"aformat=channel_layouts={'stereo' if sound.channels == 2 else 'mono'}"]
    steps += [f"apad=whole_dur={probe.duration:.3f}"] if probe.video else []
    return f"[0:{sound.stream}]{','.join(steps)}[{sound.id}]"


def _video_output(rung: VideoRung, ladder: Ladder, wishes: Wishes, threads: str, pipe: int) -> list[str]:
    # Only forced keyframes count: the interval is out of x264's reach, and scene cuts make none.
    interval = str(2 * round(ladder.frame_rate * ladder.segment_s) + 2)
    return [
        *("-map", f"[{rung.id}]", "-c:v", "libx264", "-preset", wishes.preset, "-profile:v", "high"),
        *("-pix_fmt", "yuv420p", "-threads", threads, "-b:v", str(rung.bit_rate)),
        *("-maxrate", str(rung.max_rate), "-bufsize", str(rung.buffer)),
        *("-g", interval, "-keyint_min", interval, "-sc_threshold", "0", "-forced-idr", "1"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{ladder.segment_s})", "-b-pyramid", "none"),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-f", "mp4", "-movflags", MOVFLAGS, f"pipe:{pipe}"),
    ]


def _audio_output(sound: AudioRung, ladder: Ladder, pipe: int) -> list[str]:
    return [
        *("-map", f"[{sound.id}]", "-c:a", "aac", "-b:a", str(sound.bit_rate)),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-f", "mp4", "-movflags", SOUND_MOVFLAGS, "-frag_duration", str(ladder.segment_s * 1_000_000)),
        f"pipe:{pipe}",
    ]


async def transcode(
    source: Path,
    probe: Probe,
    ladder: Ladder,
    *,
    ffmpeg: Path,
    wishes: Wishes,
    budget: Budget,
    sink: Sink,
    progress: Callable[[Progress], None],
    require_jail: bool = False,
) -> None:
    """Runs it to the end. What `sink` raises stops it; Problem not_media or too_large when it cannot."""
    names = [rung.id for rung in ladder.video] + [sound.id for sound in ladder.audio]
    limits = budget.limits(probe.duration, os.cpu_count() or 1)
    with contextlib.ExitStack() as files:
        pipes = {name: open_pipe(files) for name in (*names, "")}  # "" is the progress
        numbers = {name: pipe.write.fileno() for name, pipe in pipes.items()}
        command = arguments(ffmpeg, probe, ladder, wishes, numbers, numbers[""])
        inputs = [pipe.write for pipe in pipes.values()]
        try:
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(_drain(pipes[name].read, name, sink))
                tasks.create_task(_follow(pipes[""].read, probe.duration, progress, budget.stall_s))
                run = tasks.create_task(_run(source, command, limits, inputs, require_jail))
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
    _judge(run.result())


async def _run(
    source: Path, command: list[str], limits: Limits, pass_files: Sequence[IO[bytes]], require_jail: bool
) -> Outcome:
    with source.open("rb") as file:
        return await run_jailed(
            command, stdin_fd=file.fileno(), limits=limits, pass_files=pass_files, require_jail=require_jail
        )


async def _drain(pipe: IO[bytes], name: str, sink: Sink) -> None:
    async with contextlib.aclosing(pieces(pipe, PIECE)) as coming:
        async for piece in coming:
            await sink(name, piece)


async def _follow(
    pipe: IO[bytes], duration_s: float, progress: Callable[[Progress], None], stall_s: float
) -> None:
    """Reads ffmpeg's `key=value` lines; a block ends with `progress`. Problem if it gets no further."""
    block: dict[str, str] = {}
    step, moved = "", asyncio.get_running_loop().time()
    try:
        async with contextlib.aclosing(lines(pipe, LINE)) as coming:
            while (line := await asyncio.wait_for(anext(coming, None), stall_s)) is not None:
                key, _, value = line.decode("ascii", "replace").strip().partition("=")
                block[key] = value
                if key == "progress":
                    progress(read_progress(block, duration_s))
                    now = asyncio.get_running_loop().time()
                    if step != (
                        step := f"{block.get('frame')} {block.get('total_size')} {block.get('out_time_us')}"
                    ):
                        moved = now
                    elif now - moved > stall_s:
                        raise TimeoutError
    except TimeoutError as exc:
        raise Problem("too_large", TOO_LONG, detail=f"ffmpeg got no further for {stall_s:g} s") from exc


def read_progress(block: dict[str, str], duration_s: float) -> Progress:
    """One block of ffmpeg's progress as ours. Pure."""
    done_s = _number(block.get("out_time_us", "")) / 1_000_000
    rate = _number(block.get("speed", "").removesuffix("x"))
    left = max(0.0, duration_s - done_s)
    return Progress(min(1.0, max(0.0, done_s / duration_s)), rate, left / rate if rate > 0 else None)


def _number(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:  # "N/A" until the first frame
        return 0.0


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that began it: the others are its consequences."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _judge(outcome: Outcome) -> None:
    """Returns for a good end. The sentence is for people, ffmpeg's last words are for the log."""
    if outcome.status == 0 and not outcome.over_time:
        return
    detail = f"ffmpeg ended with {outcome.status}: {outcome.stderr_tail[-2000:]}"
    if outcome.over_time:
        raise Problem("too_large", TOO_LONG, detail=detail)
    if "Cannot allocate memory" in outcome.stderr_tail or outcome.status < 0:
        raise Problem("too_large", TOO_MUCH, detail=detail)
    raise Problem("not_media", UNREADABLE, detail=detail)
