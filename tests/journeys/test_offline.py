"""A film taken away for a time: an encrypted file and its license, played until its end and no longer."""

import asyncio
import json
import os
import re
import shlex
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import imageio_ffmpeg
import pytest

from deploy.commands.offline_device import Device, license_path
from deploy.commands.offline_play import NOT_GOOD, play
from keys.ece import decoded
from keys.offline import TOLERANCE_S
from keys.problems import Problem
from tests.support.eventually import eventually
from tests.support.films import frame_hashes, make_film
from tests.support.system import System, running, sluice_command


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("offline") / "data", edges=1, workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def film(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of some MB, published as `vault`: what may be taken away leaves encrypted only."""
    path = make_film(tmp_path_factory.mktemp("films") / "vault.mp4", seconds=3, size="160x90")
    with path.open("ab") as file:
        file.write(((3 << 20) + 8).to_bytes(4, "big") + b"free" + os.urandom(3 << 20))
    system.add(path, "vault", "--download", "original", "--protect-downloads", "--title", "A vault")
    return path


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of this machine who has nothing yet; the folder of what is his."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "sluice"


def fetched(system: System, link: str, target: Path) -> Path:
    """The encrypted file a link leads to, with its license beside it."""
    told = system.sluice("fetch", link, "--offline", "-o", str(target))
    assert told.returncode == 0, told.stderr
    return Path(told.stdout.strip())


def granted(system: System, length: str = "48h", *more: str) -> str:
    return system.link("vault", "--download", "--offline", length, *more)


def plays(system: System, file: Path) -> tuple[int, str]:
    """Exit code of a player that does nothing, and what was said."""
    told = system.sluice("fetch", "--play", str(file), "--player", "true")
    return told.returncode, told.stderr


@asynccontextmanager
async def playing(file: Path) -> AsyncIterator[str]:
    """The address at which the film plays meanwhile, for whatever player."""
    process = await asyncio.create_subprocess_exec(
        *(*sluice_command(), "fetch", "--play", str(file), "--player", "none"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.send_signal(2)
        assert await process.wait() == 0


async def test_a_film_plays_from_the_encrypted_file_to_the_last_frame(
    system: System, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "got").mkdir()
    file = await asyncio.to_thread(fetched, system, granted(system), tmp_path / "got")
    assert sorted(path.name for path in file.parent.iterdir()) == ["A vault.mp4.ece", "A vault.mp4.license"]
    body = film.read_bytes()
    async with playing(file) as url, httpx.AsyncClient() as client:
        assert url.startswith("http://127.0.0.1:")
        frames = await asyncio.to_thread(frame_hashes, url)
        assert frames == frame_hashes(str(film)) and len(frames) == 75
        for start, stop in ((0, 0), (65_535, 65_536), (100_000, 300_000), (len(body) - 5, len(body) - 1)):
            answer = await client.get(url, headers={"range": f"bytes={start}-{stop}"})
            assert (answer.status_code, answer.content) == (206, body[start : stop + 1])
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)  # it ended with the player
    (listed,) = [s for s in json.loads(system.sluice("sessions", "--json").stdout) if s["offline_until"]]
    assert re.search("live, offline", system.sluice("sessions").stdout)
    assert listed["asset"] == "vault"
    logs = b"".join(path.read_bytes() for path in (system.data / "logs").iterdir() if path.is_file())
    given = json.loads(license_path(file).read_text())["license"]
    assert logs and given.encode() not in logs


@pytest.mark.parametrize("player", ["ffmpeg", "mpv"])
def test_a_player_that_is_named_plays_it(system: System, film: Path, tmp_path: Path, player: str) -> None:
    command = {
        "ffmpeg": f"{shlex.quote(imageio_ffmpeg.get_ffmpeg_exe())} -v error -f null - -i",
        "mpv": "mpv --no-config --vo=null --ao=null --untimed --no-terminal",
    }[player]
    if shutil.which(shlex.split(command)[0]) is None:
        pytest.skip(f"{player} is not installed")
    file = fetched(system, granted(system), tmp_path / "f.mp4.ece")
    told = system.sluice("fetch", "--play", str(file), "--player", command)
    assert told.returncode == 0, told.stderr


async def test_when_its_time_is_over_it_plays_no_more_until_it_is_renewed(
    system: System, film: Path, user: Path, tmp_path: Path
) -> None:
    file = await asyncio.to_thread(fetched, system, granted(system, "1s"), tmp_path / "f.mp4.ece")

    async def over() -> bool:
        code, said = await asyncio.to_thread(plays, system, file)
        return code == 5 and "The license is over" in said

    await eventually(over, within_s=60)
    await asyncio.to_thread(fetched, system, granted(system), file)
    assert plays(system, file) == (0, "")
    device = Device.load(user, make=False)
    _, key, _ = device.open(license_path(file).read_bytes())
    assert decoded(key, file.read_bytes()) == film.read_bytes()


def test_a_clock_turned_back_plays_nothing(system: System, film: Path, user: Path, tmp_path: Path) -> None:
    file = fetched(system, granted(system), tmp_path / "f.mp4.ece")
    _, _, noted = Device.load(user, make=False).open(license_path(file).read_bytes())
    said: list[str] = []
    assert play(file, "true", user, said.append, lambda: noted.seen + 7200.0) == 0
    assert play(file, "true", user, said.append, lambda: noted.seen + 7199.0 - TOLERANCE_S) == NOT_GOOD
    assert plays(system, file)[0] == NOT_GOOD  # the true clock is behind what was seen, for two hours


def test_file_and_license_alone_play_nowhere_else(
    system: System, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fetched(system, granted(system), tmp_path / "f.mp4.ece")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    code, said = plays(system, file)
    assert code == 4 and "no license was ever given to this machine" in said
    fetched(system, granted(system), tmp_path / "other.mp4.ece")  # it has a key of its own now
    code, said = plays(system, file)
    assert code == 4 and "another machine" in said


def test_a_link_without_the_grant_and_a_revoked_one_get_no_license(
    system: System, film: Path, tmp_path: Path
) -> None:
    target = tmp_path / "f.mp4.ece"
    told = system.sluice("fetch", system.link("vault", "--download"), "--offline", "-o", str(target))
    assert told.returncode == 4 and Problem("not_offline").message in told.stderr
    link = granted(system)
    assert system.sluice("revoke", link).returncode == 0
    told = system.sluice("fetch", link, "--offline", "-o", str(target))
    assert told.returncode == 6 and Problem("revoked").message in told.stderr
    assert not target.exists() and not license_path(target).exists()


def test_one_opening_is_one_machine(
    system: System, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = granted(system, "48h", "--once")
    fetched(system, link, tmp_path / "f.mp4.ece")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    told = system.sluice("fetch", link, "--offline", "-o", str(tmp_path / "g.mp4.ece"))
    assert told.returncode == 7 and Problem("limit", limit="offline").message in told.stderr


@pytest.mark.parametrize(
    "words", [["--offline", "48h"], ["--download", "--offline", "31d"], ["--download", "--offline", "soon"]]
)
def test_link_grants_nothing_that_nobody_would_honour(system: System, film: Path, words: list[str]) -> None:
    told = system.sluice("link", "vault", *words)
    assert told.returncode in (1, 2) and told.stderr.count("\n") <= 4 and "Traceback" not in told.stderr
