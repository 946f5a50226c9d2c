"""Makes the sample film: 72 seconds, 1280 × 720, 25 frames a second, with stereo sound.

Sky from ffmpeg's gradient and noise sources, scenery from `deploy.demo.scenery`, music from a formula.
"""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.demo import blank_font, scenery

FPS: Final = 25
QUICK_VIDEO: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20")  # ffmpeg's words
_CHORD_S: Final = 6
_RATE: Final = 24_000  # the formula is evaluated this often a second, then resampled
# A minor seventh, F major seventh, C major, G with a fourth: frequencies in Hz, bass first.
_CHORDS: Final = (
    (110.00, 220.00, 261.63, 329.63, 392.00),
    (87.31, 220.00, 261.63, 329.63, 349.23),
    (130.81, 196.00, 261.63, 329.63, 392.00),
    (98.00, 196.00, 246.94, 293.66, 392.00),
)


class FilmFailed(Exception):
    """ffmpeg could not make the film. The text is its last words."""


async def make(ffmpeg: str, target: Path, progress: Callable[[float], None]) -> None:
    """Writes the film to `target` (whole or not at all), telling the part done, 0 to 1, as it goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    script = target.with_suffix(".ass")
    partial = target.with_name(target.name + ".part")
    script.write_text(scenery.script())
    fonts = target.with_name(script.name + ".fonts")
    fonts.mkdir(exist_ok=True)
    (fonts / "blank.ttf").write_bytes(blank_font.build())
    try:
        process = await asyncio.create_subprocess_exec(
            *_argv(ffmpeg, script.name, partial.name),
            cwd=target.parent,  # plain names need no escaping in the filter graph
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        words = asyncio.create_task(process.stderr.read())
        while line := await process.stdout.readline():
            key, _, value = line.decode().strip().partition("=")
            if key == "out_time_us" and value.isdigit():
                progress(min(1.0, int(value) / 1e6 / scenery.DURATION_S))
        if await process.wait() != 0:
            raise FilmFailed((await words).decode(errors="replace").strip()[-400:])
        await words
        partial.replace(target)
    finally:
        script.unlink(missing_ok=True)
        shutil.rmtree(fonts, ignore_errors=True)
        partial.unlink(missing_ok=True)


def _argv(ffmpeg: str, script: str, target: str) -> list[str]:
    inputs: list[str] = []
    for scene in scenery.SCENES:
        inputs += ["-f", "lavfi", "-i", _sky(scene)]
    inputs += [
        "-f",
        "lavfi",
        "-i",
        f"perlin=s=160x90:r={FPS}:octaves=4:persistence=0.55:xscale=1.4:yscale=3.2:tscale=0.3",
    ]
    for chord in _CHORDS:
        inputs += ["-f", "lavfi", "-i", _chord(chord)]
    output = [
        *QUICK_VIDEO,
        "-pix_fmt",
        "yuv420p",
        "-g",
        str(2 * FPS),
    ]
    output += ["-c:a", "aac", "-b:a", "160k", "-movflags", "+faststart", "-f", "mp4"]
    graph = ";".join([*_picture(script), *_sound(first=len(scenery.SCENES) + 1)])
    head = [ffmpeg, "-v", "error", "-nostdin", "-y", *inputs, "-filter_complex", graph]
    maps = ["-map", "[picture]", "-map", "[sound]", "-t", str(scenery.DURATION_S)]
    return [*head, *maps, *output, "-progress", "pipe:1", target]


def _sky(scene: scenery.Scene) -> str:
    top, middle, horizon = scene.sky
    # the source's slowest turn stands still for the eye
    return (
        f"gradients=s=320x180:r={FPS}:n=3:c0=0x{top}:c1=0x{middle}:c2=0x{horizon}"
        f":x0=160:y0=0:x1=160:y1=118:speed=0.00001:d={scenery.SCENE_S + scenery.FADE_S}"
    )


def _picture(script: str) -> list[str]:
    steps = []
    before = "[0:v]"
    for index in range(1, len(scenery.SCENES)):
        offset = index * scenery.SCENE_S - scenery.FADE_S
        steps.append(f"{before}[{index}:v]xfade=duration={scenery.FADE_S}:offset={offset}[sky{index}]")
        before = f"[sky{index}]"
    clouds = len(scenery.SCENES)
    steps.append(
        f"[{clouds}:v]scale=320:180:flags=bicubic,format=gray,eq=contrast=1.7:brightness=-0.12,format=gbrp[clouds]"
    )
    steps.append(f"{before}format=gbrp[sky]")
    steps.append("[sky][clouds]blend=all_mode=softlight:all_opacity=0.55:shortest=1[air]")
    size = f"{scenery.WIDTH}:{scenery.HEIGHT}"
    steps.append(
        f"[air]scale={size}:flags=bicubic,format=yuv420p,ass={script}:fontsdir={script}.fonts[picture]"
    )
    return steps


def _chord(notes: tuple[float, ...]) -> str:
    """Six seconds: a soft pad of the whole chord, and its notes plucked one after another, left and right."""
    swell = f"(1-exp(-3*t))*(1-exp(-4*max(0,{_CHORD_S}-t)))"
    pad = "+".join(f"sin(2*PI*{f}*t)+0.5*sin(2*PI*{f * 1.003:.3f}*t)+0.2*sin(4*PI*{f}*t)" for f in notes)
    order = (0, 1, 2, 3, 4, 3, 2, 1)
    plucks = []
    for place, note in enumerate(order):
        at = place * _CHORD_S / len(order)
        since = f"(t-{at})"
        ring = f"gte(t,{at})*exp(-2.6*{since})*(1-exp(-90*max(0,{since})))"
        plucks.append(f"{ring}*(sin(4*PI*{notes[note]}*{since})+0.3*sin(8*PI*{notes[note]}*{since}))")
    left, right = "+".join(plucks[::2]), "+".join(plucks[1::2])
    end = f"(1-exp(-4*max(0,{_CHORD_S}-t)))"
    side = "0.022*({pad})*{swell}+({near}+0.45*({far}))*0.13*{end}"
    exprs = "|".join(
        side.format(pad=pad, swell=swell, near=f"({a})", far=b, end=end)
        for a, b in ((left, right), (right, left))
    )
    return f"aevalsrc=exprs='{exprs}':s={_RATE}:d={_CHORD_S}"


def _sound(first: int) -> list[str]:
    joined = "".join(f"[{first + i}:a]" for i in range(len(_CHORDS)))
    turns = scenery.DURATION_S // (_CHORD_S * len(_CHORDS)) - 1
    length = _CHORD_S * len(_CHORDS) * _RATE
    return [
        f"{joined}concat=n={len(_CHORDS)}:v=0:a=1,aloop=loop={turns}:size={length},"
        f"aresample=48000,aecho=0.9:0.7:310|520:0.28|0.18,lowpass=f=6500,"
        f"afade=t=in:d=2,afade=t=out:st={scenery.DURATION_S - 4}:d=4,volume=1.5[sound]"
    ]
