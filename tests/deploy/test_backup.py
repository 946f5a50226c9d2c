"""What a backup brings back and what it keeps to itself. Whole systems: `tests/journeys/test_backup.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from deploy.backup import MANIFEST, Place, Report, back_up, restore
from deploy.shelf import FolderShelf
from keys.database import Database
from keys.migrations import upgrade as upgrade_keys
from keys.problems import Problem
from origin.control.tables import api_tokens, asset_events, webhooks
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue

SECRET = "correct horse"
TOKEN = {"id": "t1", "name": "cms", "hash": b"#" * 32, "scopes": ["links"], "created": 1.0}
HOOK = {"id": "w1", "url": "https://a.example/", "events": [], "secret": b"s", "created": 1.0, "reason": ""}


def place(data: Path) -> Place:
    for name in ("origin", "keys", "secrets"):
        (data / name).mkdir(parents=True, exist_ok=True)
    urls = [f"sqlite:///{data / name}" for name in ("origin/catalogue.db", "keys/keys.db")]
    return Place(data, urls[0], urls[1], LocalBlobs(data / "origin" / "blobs"))


async def installed(data: Path) -> Place:
    """An installation with an asset, a token and a webhook."""
    found = place(data)
    catalogue = await Catalogue.open(found.catalogue)
    await catalogue.create(id="film", source_name="film.mp4", state="queued")
    async with catalogue.database.write() as connection:
        await connection.execute(insert(api_tokens).values(TOKEN))
        await connection.execute(insert(webhooks).values(HOOK))
    await catalogue.close()
    keys = Database(found.keys)
    await upgrade_keys(keys)
    await keys.close()
    (data / "secrets" / "root.key").write_bytes(b"root")
    (data / "sluice.toml").write_text("edges = 2\n")
    return found


async def copied(source: Place, backup: Path, passphrase: str | None = SECRET) -> Report:
    return await back_up(
        source, FolderShelf(backup), LocalBlobs(backup / "blobs"), passphrase, lambda _: None
    )


async def brought_back(backup: Path, target: Place, passphrase: str | None = SECRET) -> Report:
    return await restore(
        target, FolderShelf(backup), LocalBlobs(backup / "blobs"), passphrase, lambda _: None
    )


async def test_tokens_and_webhooks_come_back_and_no_webhook_hears_of_it(tmp_path: Path) -> None:
    await copied(await installed(tmp_path / "a"), tmp_path / "backup")
    target = place(tmp_path / "b")
    report = await brought_back(tmp_path / "backup", target)
    assert report.secrets
    assert (target.data / "secrets" / "root.key").read_bytes() == b"root"
    assert (target.data / "secrets" / "root.key").stat().st_mode & 0o777 == 0o600
    catalogue = await Catalogue.open(target.catalogue)
    try:
        assert (await catalogue.get("film")).state == "queued"
        async with catalogue.database.read() as connection:
            assert await connection.scalar(select(api_tokens.c.hash)) == TOKEN["hash"]
            assert await connection.scalar(select(webhooks.c.url)) == HOOK["url"]
            assert await connection.scalar(select(func.count()).select_from(asset_events)) == 0
    finally:
        await catalogue.close()


@pytest.mark.parametrize(
    ("settings", "aside"),
    [
        ("edges = 2\n", False),
        ('catalogue-database = "postgresql://db/live"\n', True),
        ('blobs = "s3://b/m"\n', True),
    ],
)
async def test_settings_that_name_other_places_are_not_in_force(
    tmp_path: Path, settings: str, aside: bool
) -> None:
    source = await installed(tmp_path / "a")
    (source.data / "sluice.toml").write_text(settings)
    await copied(source, tmp_path / "backup")
    target = place(tmp_path / "b")
    assert (await brought_back(tmp_path / "backup", target)).settings_aside is aside
    found = target.data / ("sluice.toml.restored" if aside else "sluice.toml")
    assert found.read_text() == settings
    assert (target.data / "sluice.toml").exists() is not aside


async def test_another_passphrase_brings_nothing_back(tmp_path: Path) -> None:
    await copied(await installed(tmp_path / "a"), tmp_path / "backup")
    target = place(tmp_path / "b")
    with pytest.raises(Problem, match="passphrase"):
        await brought_back(tmp_path / "backup", target, "wrong")
    assert not list((target.data / "secrets").iterdir())
    assert not (target.data / "origin" / "catalogue.db").exists()


async def test_a_backup_without_its_manifest_is_none(tmp_path: Path) -> None:
    report = await copied(await installed(tmp_path / "a"), tmp_path / "backup")
    (tmp_path / "backup" / "snapshots" / report.snapshot / MANIFEST).unlink()
    with pytest.raises(Problem, match="no whole backup"):
        await brought_back(tmp_path / "backup", place(tmp_path / "b"))


async def test_a_file_that_was_changed_is_not_restored(tmp_path: Path) -> None:
    report = await copied(await installed(tmp_path / "a"), tmp_path / "backup")
    with (tmp_path / "backup" / "snapshots" / report.snapshot / "keys.db").open("r+b") as file:
        file.seek(100)
        file.write(b"?")
    target = place(tmp_path / "b")
    with pytest.raises(Problem, match="changed"):
        await brought_back(tmp_path / "backup", target)
    assert not (target.data / "keys" / "keys.db").exists()


def doctor(data: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deploy.cli", "doctor", "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_garbage_goes_by_no_catalogue_that_is_absent_or_empty(tmp_path: Path) -> None:
    """A lost catalogue, or an address that is not given: all media would be what nothing refers to."""
    data = tmp_path / "data"
    blobs = place(data).blobs
    await blobs.put("film", 1, "720p", "init.mp4", b"media")
    for path in sorted((data / "origin" / "blobs").rglob("*"), reverse=True):
        _years_old(path)
    for options in (("--gc",), ("--quick",)):
        absent = doctor(data, *options)
        assert (absent.returncode, "no catalogue" in absent.stderr) == (2, True), absent.stderr
    assert not (data / "origin" / "catalogue.db").exists()
    catalogue = await Catalogue.open(place(data).catalogue)
    empty = doctor(data, "--gc")
    assert (empty.returncode, "no published film" in empty.stderr) == (2, True), empty.stderr
    assert await blobs.size("film", 1, "720p", "init.mp4") == 5
    await catalogue.create(id="other", source_name="other.mp4", state="queued")
    await catalogue.set_state("other", "ingesting")
    await catalogue.publish(
        "other",
        generation=1,
        duration=1.0,
        width=2,
        height=2,
        size_bytes=1,
        renditions=["720p"],
        downloads=[],
    )
    await catalogue.close()
    assert doctor(data, "--gc").returncode == 0
    with pytest.raises(Problem):
        await blobs.size("film", 1, "720p", "init.mp4")


def _years_old(path: Path) -> None:
    os.utime(path, (1e9, 1e9))
