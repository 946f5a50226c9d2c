"""mpv and VLC as a viewer has them, without a screen: told what to do over their own sockets."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.eventually import eventually

OBSERVED: Final = ("paused-for-cache", "seeking", "time-pos", "demuxer-cache-duration")


class Mpv:
    """A running mpv with its own defaults, and how often it stopped to wait for data after it had begun."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._now: dict[str, Any] = {}
        self.stalls = 0
        for number, name in enumerate(OBSERVED, 1):
            self._say("observe_property", number, name)

    async def plays_past(self, seconds: float, *, most: float = 1e9) -> None:
        """Waits until the film plays here."""

        async def plays() -> bool:
            return not self._now.get("seeking") and seconds < (self._now.get("time-pos") or 0.0) < most

        await eventually(plays, within_s=60)

    async def has_ahead(self, seconds: float) -> None:
        """Waits until it holds so much of the film."""

        async def holds() -> bool:
            return (self._now.get("demuxer-cache-duration") or 0.0) >= seconds

        await eventually(holds, within_s=60)

    async def seeks(self, place: float) -> None:
        """To this moment of the film, and plays a little."""
        self._say("seek", place, "absolute")
        await self.plays_past(place + 0.3, most=place + 30)

    async def plays_on(self, seconds: float, speed: float) -> None:
        """So much of the film, at this speed."""
        self._say("set_property", "speed", speed)
        await self.plays_past(self._now["time-pos"] + seconds)

    async def listen(self) -> None:
        """Keeps up with what it tells, until it ends."""
        while line := await self._reader.readline():
            told = json.loads(line)
            if told.get("event") != "property-change":
                continue
            name, data = told["name"], told.get("data")
            if name == "paused-for-cache" and data and self._now.get("time-pos"):
                self.stalls += 1
            self._now[name] = data

    def _say(self, *words: object) -> None:
        self._writer.write(json.dumps({"command": words}).encode() + b"\n")


@contextlib.asynccontextmanager
async def mpv(link: str, folder: Path) -> AsyncIterator[Mpv]:
    """mpv that plays a link; skips where there is none."""
    if shutil.which("mpv") is None:
        pytest.skip("mpv is not installed (Debian: apt install mpv)")
    socket = folder / "mpv.sock"
    options = ("--no-config", "--no-terminal", "--ytdl=no", "--vo=null", "--ao=null")
    process = await asyncio.create_subprocess_exec("mpv", *options, f"--input-ipc-server={socket}", link)
    try:
        found = Mpv(*await _connected(socket))
        listening = asyncio.create_task(found.listen())
        try:
            yield found
            assert process.returncode is None, "it ended"
        finally:
            listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class Vlc:
    """A running VLC."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._at = -1  # whole seconds of the film

    @property
    def ended(self) -> bool:
        """Whether it took the film to be over, as VLC 3 does now and then after a seek, unasked."""
        return self._process.returncode is not None

    async def seeks(self, place: int) -> None:
        """To this moment of the film, and plays a little."""
        await self._does(f"seek {place}")
        await self.plays_past(place)

    async def plays_past(self, seconds: int) -> None:
        """Waits until the film plays here, or has ended."""

        async def plays() -> bool:
            await self._does("get_time")
            return self.ended or seconds < self._at < seconds + 30

        await eventually(plays, within_s=60)

    async def listen(self) -> None:
        """Keeps up with what it answers, until it ends."""
        while line := await self._reader.readline():
            if (word := line.decode(errors="replace").strip("> \r\n")).isdecimal():
                self._at = int(word)

    async def _does(self, command: str) -> None:
        with contextlib.suppress(ConnectionError):  # it has ended
            self._writer.write(command.encode() + b"\n")
            await self._writer.drain()


@contextlib.asynccontextmanager
async def vlc(link: str, folder: Path, *, speed: float) -> AsyncIterator[Vlc]:
    """VLC that plays a link at a speed; skips where there is none. Anybody may write to `folder`."""
    if shutil.which("cvlc") is None:
        pytest.skip("VLC is not installed (Debian: vlc-bin, vlc-plugin-base)")
    socket = folder / "vlc.sock"
    socket.unlink(missing_ok=True)
    options = (
        "-I",
        "oldrc",
        "--rc-unix",
        str(socket),
        "--rc-fake-tty",
        "--vout",
        "vdummy",
        "--aout",
        "adummy",
    )
    command = ["cvlc", *options, "--rate", str(speed), "--play-and-exit", link]
    if os.geteuid() == 0:  # VLC refuses to run as root
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = Vlc(process, *await _connected(socket))
        listening = asyncio.create_task(found.listen())
        try:
            yield found
        finally:
            listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _connected(socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    found: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def answers() -> bool:
        with contextlib.suppress(OSError):
            found.append(await asyncio.open_unix_connection(socket))
        return bool(found)

    await eventually(answers, within_s=30)
    return found[0]
