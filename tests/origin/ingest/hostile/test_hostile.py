"""SECURITY T13: files that mean harm reach nobody, read nothing, end in time, leave the worker be."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keys.problems import Problem
from origin.ingest.convert import Settings
from origin.ingest.jail import GIB, Limits, jail_level, run_jailed
from origin.ingest.ladder import Wishes
from origin.ingest.transcode import Budget
from tests.origin.ingest.bench import FFMPEG, X264, Bench, film, make_clip
from tests.origin.ingest.hostile.corpus import corpus

SECRET = b"canary-7d1f0a2e-nobody-may-see-this"


@dataclass
class Canary:
    """A listener that should hear nothing and a file that should stay unread."""

    port: int
    file: Path
    heard: list[object] = field(default_factory=list)


@pytest.fixture
async def canary(tmp_path: Path) -> AsyncIterator[Canary]:
    """Both, on this machine."""
    file = tmp_path / "canary.txt"
    file.write_bytes(SECRET * 100)
    found = Canary(0, file)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.heard.append(writer.get_extra_info("peername"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + SECRET * 100)
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await server.wait_closed()


@pytest.fixture
def strict() -> Settings:
    """Little time, few rungs, jail required."""
    return Settings(
        ffmpeg=FFMPEG,
        wishes=Wishes(preset="ultrafast", max_rungs=1),
        budget=Budget(least_s=20, per_media_s=0),
        require_jail=True,
    )


async def test_t13_forty_and_more_hostile_files_reach_nothing_and_the_worker_lives(
    bench: Bench, canary: Canary, strict: Settings
) -> None:
    files = corpus(canary.port, canary.file)
    assert len(files) >= 40
    jobs = bench.jobs(strict, concurrency=2)
    names = {f"asset-{number}": name for number, name in enumerate(files)}
    async with jobs.running(), asyncio.timeout(240):
        for id, name in names.items():
            path = bench.root / "incoming" / f"{id}-{name}"
            path.write_bytes(files[name])
            await jobs.submit(id, name, path)
        ended = {id: await bench.ended(id) for id in names}
        good = make_clip(bench.root / "good.mp4", *film(seconds="1"), *X264)
        await jobs.submit("good", "Good", bench.upload(good))
        assert (await bench.ended("good")).state == "published"
    for id, asset in ended.items():
        assert asset.state == "failed" or await harmless(bench, asset.id), names[id]
        assert asset.state == "published" or asset.error.endswith((".", "Sluice takes.")), (
            names[id],
            asset.error,
        )
        assert "log says more" not in asset.error, names[id]
    assert canary.heard == []


async def harmless(bench: Bench, id: str) -> bool:
    """Whether what was published of it (noise may decode to noise) holds nothing of the canary."""
    asset = await bench.catalogue.get(id)
    media = [await bench.media(asset, rendition) for rendition in asset.renditions]
    return not any(SECRET in data for data in [*media, await bench.catalogue.poster(id) or b""])


async def test_t13_inspection_refuses_lists_at_the_door(
    bench: Bench, canary: Canary, strict: Settings
) -> None:
    jobs = bench.jobs(strict)
    for name, data in corpus(canary.port, canary.file).items():
        if name.startswith(
            ("hls", "concat", "dash", "smil", "asx", "smooth", "session", "winamp", "redirect")
        ):
            path = bench.root / name
            path.write_bytes(data)
            with pytest.raises(Problem) as refused:
                await jobs.inspect(path)
            assert refused.value.code == "not_media"
            assert "playlist" in refused.value.message, name
    assert canary.heard == []
    assert bench.left_behind() == []


EVIL = ("hls", "concat", "dash", "sdp", "mov", "avi", "matroska", "image2", "lavfi", "smjpeg")


@pytest.mark.parametrize("demuxer", EVIL)
async def test_t13_the_jail_holds_even_when_ffmpeg_is_told_to_allow_everything(
    bench: Bench, canary: Canary, demuxer: str
) -> None:
    level = await jail_level()
    if "landlock" not in level or ("netns" not in level and "seccomp" not in level):
        pytest.skip(f"this machine's jail reaches only {level}")
    allow = "file,http,tcp,udp,rtp,crypto,data,concat,subfile,pipe,fd,async,cache"
    extra = {"hls": ["-allowed_extensions", "ALL", "-extension_picky", "0"], "concat": ["-safe", "0"]}.get(
        demuxer, []
    )
    for name, data in corpus(canary.port, canary.file).items():
        if not name.startswith(
            ("hls-web", "hls-file", "concat", "dash-web", "dash-file", "session", "dref", "subtitle")
        ):
            continue
        path = bench.root / name
        path.write_bytes(data)
        with path.open("rb") as file:
            outcome = await run_jailed(
                [FFMPEG, "-nostdin", "-protocol_whitelist", allow, *extra, "-f", demuxer,
                 "-fd", "0", "-i", "fd:",
                 "-map", "0", "-c", "copy", "-f", "data", "pipe:1"],
                stdin_fd=file.fileno(),
                limits=Limits(wall_s=10, cpu_s=10, memory_bytes=GIB),
            )  # fmt: skip
        assert SECRET not in outcome.stdout
        assert SECRET.decode() not in outcome.stderr_tail
    assert canary.heard == []


async def test_t13_the_canary_sings_outside_the_jail(canary: Canary, tmp_path: Path) -> None:
    """The corpus is live ammunition: without jail and whitelist the same list does fetch."""
    path = tmp_path / "list.m3u8"
    path.write_bytes(corpus(canary.port, canary.file)["hls-web.mp4"])
    process = await asyncio.create_subprocess_exec(
        str(FFMPEG), "-nostdin", "-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL",
        "-i", str(path),
        "-f", "null", "-",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.wait()
    assert canary.heard
