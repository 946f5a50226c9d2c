"""Arriving files: room promised once, nothing left of what was not kept."""

import errno
import os
from pathlib import Path

import pytest

from keys.problems import Problem
from origin.incoming import STEP, Incoming, Usage


def incoming(directory: Path, free: int = 1000, total: int = 1000, max_bytes: int = 10**9) -> Incoming:
    return Incoming(directory / "in", max_bytes=max_bytes, keep_free=0.05, usage=lambda _: Usage(total, free))


async def test_t15_room_is_promised_once(tmp_path: Path) -> None:
    place = incoming(tmp_path)
    async with place.draft(500):
        with pytest.raises(Problem, match="disk_full"):
            place.check(451)
        place.check(450)
        async with place.draft(450):
            pass
    place.check(950)


async def test_t15_five_percent_stay_free(tmp_path: Path) -> None:
    place = incoming(tmp_path)
    with pytest.raises(Problem, match="disk_full"):
        place.check(951)
    with pytest.raises(Problem, match="too_large"):
        incoming(tmp_path, max_bytes=10).check(11)


async def test_what_was_written_is_no_longer_promised(tmp_path: Path) -> None:
    place = incoming(tmp_path)
    async with place.draft(900) as draft:
        await draft.write(b"x" * 400)
        await draft.finish()
        place.check(950)  # the disk itself now says what is taken


async def test_without_a_length_room_is_taken_in_steps(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="disk_full"):
        async with incoming(tmp_path, free=STEP - 1, total=1000).draft(None):
            pass


async def test_only_a_kept_file_stays(tmp_path: Path) -> None:
    place = incoming(tmp_path)
    async with place.draft(3) as dropped:
        await dropped.write(b"abc")
        await dropped.finish()
    async with place.draft(3) as cut:
        await cut.write(b"a")
    async with place.draft(3) as kept:
        await kept.write(b"abc")
        path = await kept.finish()
        kept.keep()
    assert list(place.directory.iterdir()) == [path]
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_t15_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = incoming(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Problem, match="disk_full"):
        async with place.draft(3) as draft:
            await draft.write(b"abc")
            await draft.finish()
    assert list(place.directory.iterdir()) == []


async def test_what_a_killed_server_left_goes_at_the_next_start(tmp_path: Path) -> None:
    place = incoming(tmp_path)
    owned = place.directory / ("a" * 32)
    for path in (owned, place.directory / ("b" * 32), place.directory / ("c" * 32 + ".part")):
        path.write_bytes(b"x")
    assert place.sweep({owned}) == 2
    assert list(place.directory.iterdir()) == [owned]
