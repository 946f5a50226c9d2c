"""ffmpeg as a player at reading pace: plays one picture and the sound of a session, says what it decoded.

ffmpeg leaves out what it cannot get and still exits with 0: what counts is the frames, never its exit code.
"""

import asyncio
import contextlib
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.demo.check.frames import Decoded
from deploy.observe import scrub

LAST_WORDS: Final = 300  # characters of what ffmpeg said, kept for the report
_FRAMES: Final = ("-fps_mode:v", "passthrough", "-f", "framemd5", "pipe:1")
_ONE_THREAD: Final = ("-threads", "1")  # a decoder each: many players share this machine


class Player:
    """One ffmpeg. `decoded` grows while it plays."""

    def __init__(self, ffmpeg: str, url: str, variant: int, *, sound: bool, frames: int = 0) -> None:
        """Plays picture number `variant` of the multivariant playlist; `frames` 0: to the end."""
        self.decoded = Decoded()
        self.words = ""
        maps = ["-map", f"0:v:{variant}", *(("-map", "0:a:0") if sound else ())]
        stop = ["-frames:v", str(frames)] if frames else []
        self._argv = [
            *(ffmpeg, "-v", "error", "-nostdin", *_ONE_THREAD, "-re", *_any_extension(ffmpeg)),
            *("-i", url, *maps, *stop, *_FRAMES),
        ]

    async def play(self, timeout_s: float) -> None:
        """Returns when ffmpeg has ended, by itself or for being too late."""
        process = await asyncio.create_subprocess_exec(*self._argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        assert process.stdout is not None and process.stderr is not None
        words = asyncio.create_task(process.stderr.read())
        try:
            async with asyncio.timeout(timeout_s):
                async for line in process.stdout:
                    self.decoded.take(line.decode())
                await process.wait()
        except TimeoutError:
            self.words = f"not done after {timeout_s:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            said = (await words).decode(errors="replace").strip()
        self.words = self.words or scrub(said)[-LAST_WORDS:]


async def decoded(ffmpeg: str, file: Path) -> list[str]:
    """MD5 of every frame of the one stream in a file, as fast as it goes."""
    argv = [ffmpeg, "-v", "error", "-nostdin", *_ONE_THREAD, "-i", str(file), *_FRAMES]
    process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    said, _ = await process.communicate()
    found = Decoded()
    for line in said.decode().splitlines():
        found.take(line)
    return found.video


def _any_extension(ffmpeg: str) -> Sequence[str]:
    """Options that let ffmpeg take keys, whose names have no extension; newer versions are pickier."""
    picky = ("-extension_picky", "0") if "extension_picky" in _help(ffmpeg) else ()
    return ("-allowed_extensions", "ALL", *picky)


def _help(ffmpeg: str) -> str:
    if ffmpeg not in _known:
        argv = [ffmpeg, "-hide_banner", "-h", "demuxer=hls"]
        _known[ffmpeg] = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return _known[ffmpeg]


_known: Final[dict[str, str]] = {}
