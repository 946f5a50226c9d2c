"""Backup and restore, tested by wiping in between; the doctor before and after. On disk and in a bucket."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bucket import LOGIN, new_bucket, s3_server
from tests.support.films import make_film
from tests.support.system import System
from tests.support.viewer import Viewer

PHRASE = "correct horse battery staple"


@pytest.fixture(params=["local", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[list[str], str]]:
    """Options of the system, and where its backup goes."""
    if request.param == "local":
        yield [], str(tmp_path / "backup")
        return
    with s3_server() as endpoint:
        yield ["--blobs", new_bucket(endpoint)], new_bucket(endpoint, "backup")


@pytest.mark.heavy
def test_a_wiped_system_comes_back_and_an_old_link_plays(
    tmp_path: Path, where: tuple[list[str], str]
) -> None:
    options, target = where
    data, phrase = tmp_path / "data", tmp_path / "phrase"
    phrase.write_text(PHRASE)
    words = ["--passphrase-file", str(phrase), *options]
    _login(data)
    system = System(data, *options, workers=1).start()
    try:
        for name in ("film", "other"):
            system.add(make_film(tmp_path / f"{name}.mp4", seconds=8, size="320x180"), name)
        link = system.sign("film")
        before = asyncio.run(_taken(link))
        told = system.sluice("backup", target, "--secrets", *words)
        assert told.returncode == 0, told.stderr
        again = system.sluice("backup", target, "--secrets", *words)
        assert " 0 of " in again.stdout, again.stdout + again.stderr
        told = system.sluice("doctor", "--json", *options)
        assert (told.returncode, json.loads(told.stdout)) == (0, []), told.stdout + told.stderr
    finally:
        assert system.stop() == 0
    shutil.rmtree(data)
    restored = ["--blobs", f"{options[1].replace('/media?', '/again?')}"] if options else []
    _login(data)
    told = system.sluice("restore", target, "--passphrase-file", str(phrase), *restored)
    assert told.returncode == 0, told.stderr
    refused = system.sluice("restore", target, "--passphrase-file", str(phrase), *restored)
    assert refused.returncode == 2 and "not empty" in refused.stderr
    if restored:
        system._argv[system._argv.index(options[1])] = restored[1]
    system.ready = {}
    system.start()
    try:
        told = system.sluice("doctor", "--json", *restored)
        assert (told.returncode, json.loads(told.stdout)) == (0, []), told.stdout + told.stderr
        assert asyncio.run(_taken(link)) == before
    finally:
        assert system.stop() == 0
    if not options:
        _damage_is_found(system, Path(target))


def _damage_is_found(system: System, target: Path) -> None:
    """A missing object is found and mended from the backup, a damaged one is found."""
    lost = sorted((system.data / "origin/blobs/film").glob("*/*/*.m4s"))
    lost[0].unlink()
    os.truncate(lost[1], 100)
    told = system.sluice("doctor", "--json")
    assert told.returncode == 1
    assert [row["said"] for row in json.loads(told.stdout)][:2] == [
        "It is missing.",
        "Its bytes are not those that were published.",
    ]
    lost[1].unlink()
    told = system.sluice("doctor", "--mend", "--from", str(target / "blobs"), "--json")
    done = [row["done"] for row in json.loads(told.stdout)]
    assert (told.returncode, done) == (0, ["Mended."] * 2), told.stdout + told.stderr
    assert system.sluice("doctor").returncode == 0


def _login(data: Path) -> None:
    (data / "secrets").mkdir(mode=0o700, parents=True)
    path = data / "secrets" / "s3-auth"
    path.touch(0o600)
    path.write_text(f"{LOGIN.access_key} {LOGIN.secret_key}\n")


async def _taken(link: str) -> dict[str, bytes]:
    """Every rendition as a player gets and decrypts it."""
    async with Viewer(link) as viewer:
        await viewer.opened()
        return {name: await viewer.whole(name) for name in viewer.renditions()}
