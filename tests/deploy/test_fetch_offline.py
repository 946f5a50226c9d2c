"""`sluice fetch --offline`: an encrypted file and its license on the disk, resumed, renewed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from deploy.commands.fetch_offline import kept
from deploy.commands.fetch_state import State, load
from deploy.commands.offline_device import Device, license_path
from deploy.commands.offline_fetch import Held, found
from keys.ece import decoded
from keys.problems import Problem
from origin.media.seal import SLICE
from tests.deploy.test_fetch import left
from tests.edge.parts import GENERATION, World, downloaded, file_bytes, until, world

SIZE = 17 * SLICE + 5  # two pieces
BODY = file_bytes("vault.mp4", SIZE)
FILE = "ece/vault.mp4"
DAY = 86_400


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "web").mkdir()
    async with world(tmp_path / "web") as found:
        film = found.library.assets["film", GENERATION]
        file = replace(downloaded("vault.mp4", SIZE), protection="ece")
        found.library.assets["film", GENERATION] = replace(film, downloads=(file, *film.downloads))
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "got").mkdir()
    return tmp_path / "got"


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "user" / "sluice"


async def here(url: str, target: Path, user: Path, *, force: bool = False) -> Path:
    """What the command does, in this process. Problem as it would say it."""
    return await kept(url, target, (), 4, 30.0, force, user)


def held(file: Path, user: Path) -> Held:
    license = found(Device.load(user, make=False), license_path(file))
    assert license is not None
    return license


def opens(file: Path, user: Path) -> bool:
    """Whether the license beside the file opens it on this user's machine, and it is the film."""
    return decoded(held(file, user).key, file.read_bytes()) == BODY


def sessions(edge: World) -> int:
    return len({session.sid for session in edge.keys.opened.values()})


async def command(url: str, target: Path, user: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "fetch", url, "-o", str(target), "--offline",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "XDG_DATA_HOME": str(user.parent)},
    )  # fmt: skip


async def test_the_file_is_kept_encrypted_beside_its_license(edge: World, folder: Path, user: Path) -> None:
    process = await command(edge.download_link(FILE, offline_s=DAY), folder, user)
    out, told = await process.communicate()
    assert process.returncode == 0, told
    assert left(folder) == ["A vault.mp4.ece", "A vault.mp4.license"]
    file = folder / "A vault.mp4.ece"
    assert out.decode().strip() == str(file) and b"Verified: SHA-256 " in told and b"--play" in told
    assert opens(file, user)
    assert BODY[:1000] not in file.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in user.rglob("*.json")} == {0o600}
    assert (folder / "A vault.mp4.license").stat().st_mode & 0o777 == 0o600
    assert edge.counted["offline_licenses"] == 1


@pytest.mark.parametrize(("file", "code"), [(FILE, "not_offline"), ("film.mp4", "bad_request")])
async def test_without_a_grant_nothing_is_kept(
    edge: World, folder: Path, user: Path, file: str, code: str
) -> None:
    with pytest.raises(Problem) as caught:
        await here(edge.download_link(file), folder / "f.mp4.ece", user)
    assert (caught.value.code, left(folder)) == (code, [])


async def test_a_new_link_renews_the_license_without_fetching_the_file_again(
    edge: World, folder: Path, user: Path
) -> None:
    file = await here(edge.download_link(FILE, offline_s=60), folder / "f.mp4.ece", user)
    first, sent = held(file, user), edge.counted["download_bytes"]
    await here(edge.download_link(FILE, offline_s=DAY), file, user)
    second = held(file, user)
    assert opens(file, user) and sessions(edge) == 2
    assert second.license.expires - first.license.expires >= DAY - 60 and second.key != first.key
    assert edge.counted["download_bytes"] - sent <= 1000  # its header was asked for
    assert left(folder) == ["f.mp4.ece", "f.mp4.license"]


async def test_the_same_session_renews_the_license_alone(edge: World, folder: Path, user: Path) -> None:
    link = edge.download_link(FILE, offline_s=DAY)
    file = await here(link, folder / "f.mp4.ece", user)
    first, made = held(file, user), file.stat().st_ino
    await here(link, file, user)
    assert held(file, user).license.id != first.license.id
    assert (file.stat().st_ino, sessions(edge)) == (made, 1)


async def test_interrupted_it_goes_on_under_a_new_session(edge: World, folder: Path, user: Path) -> None:
    edge.library.gate = asyncio.Event()  # every slice after the first waits
    file, saved = folder / "f.mp4.ece", folder / "f.mp4.ece.part.json"
    process = await command(edge.download_link(FILE, offline_s=DAY), file, user)
    await until(lambda: (load(saved) or State("", 0)).done.size() > 0)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert process.returncode == 130, told
    there = load(saved)
    assert there is not None and 0 < there.done.size() < SIZE and not file.exists()
    assert license_path(file).with_name("f.mp4.license.part").exists()
    edge.library.gate.set()
    await until(lambda: edge.counted.get("downloads_left", 0) == 2)
    sent = edge.counted["download_bytes"]
    await here(edge.download_link(FILE, offline_s=DAY), file, user)
    assert opens(file, user) and sessions(edge) == 2
    assert edge.counted["download_bytes"] - sent < SIZE - there.done.size() + SLICE
    assert left(folder) == ["f.mp4.ece", "f.mp4.license"]


async def test_a_file_of_another_machine_is_not_replaced_unless_it_is_said(
    edge: World, folder: Path, user: Path, tmp_path: Path
) -> None:
    file = await here(edge.download_link(FILE, offline_s=DAY), folder / "f.mp4.ece", user)
    other = tmp_path / "other"
    with pytest.raises(click.UsageError, match="--force"):
        await here(edge.download_link(FILE, offline_s=DAY), file, other)
    assert opens(file, user)
    await here(edge.download_link(FILE, offline_s=DAY), file, other, force=True)
    assert opens(file, other)


async def test_a_file_that_was_changed_meanwhile_is_repaired_by_a_renewal(
    edge: World, folder: Path, user: Path
) -> None:
    """A record that does not open under the old license is fetched, not sealed anew."""
    file = await here(edge.download_link(FILE, offline_s=DAY), folder / "f.mp4.ece", user)
    with file.open("r+b") as changed:
        changed.seek(5 << 20)
        changed.write(b"another")
    await here(edge.download_link(FILE, offline_s=DAY), file, user)
    assert opens(file, user)


async def test_a_wrong_film_is_not_kept(edge: World, folder: Path, user: Path) -> None:
    film = edge.library.assets["film", GENERATION]
    wrong = replace(film.downloads[0], sha256=downloaded("other.mp4", 5).sha256)
    edge.library.assets["film", GENERATION] = replace(film, downloads=(wrong, *film.downloads[1:]))
    with pytest.raises(Problem) as caught:
        await here(edge.download_link(FILE, offline_s=DAY), folder / "f.mp4.ece", user)
    assert (caught.value.code, left(folder)) == ("bad_upstream", [])


async def test_a_file_of_no_bytes(edge: World, folder: Path, user: Path) -> None:
    file = await here(edge.download_link("ece/hollow.mp4", offline_s=DAY), folder / "e.mp4.ece", user)
    assert decoded(held(file, user).key, file.read_bytes()) == b""
