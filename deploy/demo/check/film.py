"""The films the check plays: put in under fresh asset IDs, so that no cache knows them, and taken out again.

One is the demo's sample film at 640 × 360, cheap enough to decode twenty times at once; or a film of the
user's. The other is for the ripper: long and tiny, because it must last longer than anybody may take of it.
"""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from deploy.commands import media
from deploy.demo.check.ground import Ground
from deploy.demo.check.packaged import Packaged
from deploy.demo.check.reference import Reference, reference
from deploy.demo.check.report import NotShown
from deploy.demo.film import QUICK_VIDEO
from keys.problems import Problem

HEIGHT: Final = 360
TITLE: Final = "Film of the check"
_SMALL: Final = (
    "-vf",
    f"scale=-2:{HEIGHT}:flags=bicubic",
    *QUICK_VIDEO,
)
_TINY: Final = "testsrc2=size=160x90:rate=5:duration="


@dataclass(frozen=True)
class Film:
    """A published film and what is known of it without any edge."""

    asset: str
    true: Reference
    fps: float
    seconds: float


def small_copy(ffmpeg: str, source: Path) -> Path:
    """The film in 360 lines, made once beside its source. NotShown when ffmpeg cannot."""
    target = source.with_name(f"{source.stem}-{HEIGHT}p.mp4")
    if not target.exists():
        partial = target.with_name(f"{target.name}.part")
        _run(ffmpeg, "-i", str(source), *_SMALL, "-c:a", "copy", "-f", "mp4", str(partial))
        partial.replace(target)
    return target


def long_film(ffmpeg: str, folder: Path, seconds: float) -> Path:
    """A film of so many seconds that is quick to make and to take in."""
    target = folder / "long.mp4"
    picture = ("-f", "lavfi", "-i", f"{_TINY}{seconds:.0f}")
    _run(ffmpeg, *picture, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(target))
    return target


@asynccontextmanager
async def ingested(ground: Ground, file: Path) -> AsyncIterator[str]:
    """The file as a published asset under a fresh ID while entered; then removed."""
    asset = f"check-{secrets.token_hex(4)}"
    try:
        await asyncio.to_thread(_put_in, ground, file, asset)
        yield asset
    finally:
        try:
            await asyncio.to_thread(ground.operator.origin, "DELETE", f"/v1/assets/{asset}")
        except Problem as problem:
            if problem.code != "not_found":
                raise


async def known(ground: Ground, asset: str) -> Film:
    """What a published film consists of, unsealed and decoded apart from all delivery."""
    stored = await Packaged.of(ground.data, asset)
    with TemporaryDirectory(prefix="sluice-check-") as folder:
        true = await reference(stored, ground.ffmpeg, Path(folder))
    shown = await asyncio.to_thread(ground.operator.origin, "GET", f"/v1/assets/{asset}")
    seconds = float(shown["duration"])
    pictures = max((len(frames) for name, frames in true.frames.items() if not name.startswith("audio")))
    return Film(asset, true, pictures / seconds, seconds)


def _put_in(ground: Ground, file: Path, asset: str) -> None:
    media.ingest(ground.operator, media.upload(ground.operator, file, asset, TITLE))


def _run(ffmpeg: str, *words: str) -> None:
    done = subprocess.run(
        [ffmpeg, "-v", "error", "-nostdin", "-y", *words], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NotShown(f"ffmpeg could not make a film: {done.stderr.strip()[-300:]}")
