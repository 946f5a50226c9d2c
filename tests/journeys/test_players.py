"""Stock players play a printed link, and what they decode is the packaged film, frame for frame."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.films import frame_hashes, make_film
from tests.support.packaged import Packaged, packaged
from tests.support.system import System
from tests.support.viewer import Viewer

FFMPEG_HLS = ("-allowed_extensions", "ALL", "-extension_picky", "0")


@pytest.fixture(scope="module")
def short_film(system: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """13 s in one rung: several key periods, and no choice for a player to make."""
    path: Path = tmp_path_factory.mktemp("films") / "short.mp4"
    return system.add(make_film(path, seconds=13, size="320x240", noise=5), "short")


@pytest.fixture(scope="module")
def true_frames(system: System, short_film: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """MD5 of each decoded frame of the packaged film."""
    return packaged_frames(packaged(system.data, short_film), tmp_path_factory.mktemp("packaged"))


def packaged_frames(stored: Packaged, folder: Path) -> list[str]:
    rendition = next(name for name in stored.renditions() if name != "audio")
    path = folder / "packaged.mp4"
    path.write_bytes(stored.whole(rendition))
    return frame_hashes(str(path))


def test_ffmpeg_decodes_every_packaged_frame(system: System, short_film: str, true_frames: list[str]) -> None:
    link = system.link(short_film)
    assert len(true_frames) == 13 * 25
    assert frame_hashes(link, options=FFMPEG_HLS) == true_frames
    assert len(frame_hashes(link, stream="a:0", options=FFMPEG_HLS)) > 13 * 46  # AAC frames of 1024 samples


def test_ffmpeg_at_reading_pace_loses_no_frame(
    system: System, short_film: str, true_frames: list[str]
) -> None:
    assert frame_hashes(system.link(short_film), options=("-re", *FFMPEG_HLS)) == true_frames


@pytest.mark.skipif(
    shutil.which("cvlc") is None, reason="VLC is not installed (Debian: vlc-bin, vlc-plugin-base)"
)
def test_vlc_plays_every_packaged_frame(
    system: System, short_film: str, true_frames: list[str], tmp_path: Path
) -> None:
    """VLC writes what it demuxed to a file as it plays, unchanged; ffmpeg decodes that."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    segments = -(-13 // 4) * 2  # of picture and of sound
    while True:  # VLC 3 short of processor time ends early by itself, having asked for less: it plays again
        before = system.counts()
        done, hashes = vlc_demuxed(system.link(short_film), tmp_path)
        after = system.counts()
        answered = {name: after[name] - before.get(name, 0) for name in ("segments", "failed", "refused")}
        assert not answered["failed"] and not answered["refused"], system.logs()
        if answered["segments"] >= segments or hashes == true_frames:
            break
    assert hashes == true_frames, done.stderr[-2000:]


def vlc_demuxed(link: str, folder: Path) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    """How VLC ended, and the hashes of the frames it took out of the stream."""
    out = folder / "vlc.mkv"
    out.unlink(missing_ok=True)
    sink = f"#std{{access=file,mux=avformat{{mux=matroska}},dst={out}}}"
    command = [
        "cvlc",
        "-I",
        "dummy",
        "--no-sout-all",
        "--sout",
        sink,
        link,
        "--play-and-exit",
    ]
    if os.geteuid() == 0:  # VLC refuses to run as root
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, env=environment, cwd=folder
    )
    assert out.exists(), done.stderr[-2000:]
    return done, frame_hashes(str(out))


async def test_a_link_opened_twice_within_a_minute_is_one_session(system: System, short_film: str) -> None:
    """mpv and reloads open a link twice."""
    link = system.link(short_film)
    async with await Viewer(link).opened() as one, await Viewer(link).opened() as two:
        rendition = one.renditions()[0]
        assert await one.cipher(rendition, 0) == await two.cipher(rendition, 0)


def test_head_opens_no_session(system: System, short_film: str) -> None:
    link = system.link(short_film, "--once")
    with urllib.request.urlopen(urllib.request.Request(link, method="HEAD")) as answer:
        assert answer.status == 200
    assert len(frame_hashes(link, options=FFMPEG_HLS)) == 13 * 25, "the single use was not burnt"


def test_every_segment_of_the_packaged_film_is_distinct(system: System, short_film: str) -> None:
    """Guards the comparisons above: a film of equal frames would prove nothing."""
    stored = packaged(system.data, short_film)
    rendition = next(name for name in stored.renditions() if name != "audio")
    assert len(set(stored.digests(rendition))) == stored.segments(rendition) >= 3
    assert hashlib.sha256(stored.whole(rendition)).digest()
