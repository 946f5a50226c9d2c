"""Resumable uploads over cuts, restarts and deaths of the service: offsets never go back, one film each."""

import asyncio
import errno
import hashlib
import json
import os
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from keys.problems import Problem
from origin.incoming import STEP, Incoming, Usage
from origin.ingest.jobs import Jobs
from origin.tus import protocol
from origin.tus.folder import Folder
from origin.tus.protocol import Checksum, Chunk, Creation
from origin.tus.receiving import Live
from origin.tus.uploads import STAYS_S, Resumables
from tests.support.serving import eventually

BODY = hashlib.shake_128(b"body").digest(2_500_000)  # more than one write
DAY = STAYS_S


class NoIntake:
    """Ingest for parts, which never come to it."""

    async def inspect(self, path: Path) -> None:
        raise AssertionError(path)

    async def submit(self, asset: str, title: str, path: Path, download: str = "", drm: str = "") -> None:
        raise AssertionError(path)

    async def taken(self, asset: str) -> bool:
        return False

    async def owner(self, path: Path) -> str | None:
        return None


class Place:
    """A folder and what services over it see, one after the other."""

    def __init__(self, directory: Path, intake: Any = None, free: int = 10**12) -> None:
        self.intake = intake or NoIntake()
        self.directory = directory
        self.now = 1_000_000.0
        self.counts: Counter[str] = Counter()
        self.free = free
        self.restart()

    def restart(self, owned: frozenset[Path] = frozenset()) -> Resumables:
        """Another service: all the last one knew is gone, but what is on disk."""
        self.incoming = Incoming(
            self.directory, max_bytes=10**9, usage=lambda _: Usage(10**12, self.free), keep_free=0.0
        )
        self.uploads = Resumables(
            self.incoming,
            self.intake,
            now=lambda: self.now,
            count=lambda name: self.counts.update([name]),
        )
        self.uploads.open(owned)
        return self.uploads

    async def part(self, length: int | None) -> Live:
        """A new upload that will be no film."""
        return await self.uploads.create(Creation(protocol.PART, length, "", ()))

    async def send(self, live: Live, offset: int, data: bytes, *, cut: bool = False, **more: Any) -> None:
        """One request."""
        await self.uploads.append(live, Chunk(offset, **more), body(data, cut), None if cut else len(data))

    def files(self) -> set[str]:
        """The names of what is on disk."""
        folder = self.directory / "resumable"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def body(data: bytes, cut: bool) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]
    if cut:
        raise ClientDisconnect


def proof(data: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(data).digest())


STEPS = st.lists(st.tuples(st.integers(0, 250_000), st.booleans(), st.booleans()), min_size=20, max_size=20)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_f25_any_cuts_and_restarts_give_the_same_digest(steps: list[tuple[int, bool, bool]]) -> None:
    async def sent(place: Place) -> bytes:
        live = await place.part(len(BODY))
        for size, restart, proven in steps:
            start = live.record.offset
            data = BODY[start : start + size]
            with pytest.raises(ClientDisconnect):
                await place.send(live, start, data, cut=True, checksum=proof(data) if proven else None)
            assert live.record.offset == start + (0 if proven else len(data))
            if restart:
                told = live.record.offset
                live = place.restart().find(live.record.id)
                assert live.record.offset == told
        start = live.record.offset
        await place.send(live, start, BODY[start:], checksum=proof(BODY[start:]))
        assert live.record.complete
        return (place.directory / "resumable" / f"{live.record.id}.data").read_bytes()

    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(sent(Place(Path(directory))))
    assert hashlib.sha256(found).digest() == hashlib.sha256(BODY).digest()


async def test_f25_what_had_to_be_proven_goes_if_the_service_dies_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def dies(data: bytes) -> AsyncIterator[bytes]:
        yield data
        raise Killed

    place = Place(tmp_path)
    live = await place.part(len(BODY))
    await place.send(live, 0, BODY[:1000])
    with monkeypatch.context() as stopped:  # a killed process clears nothing up
        stopped.setattr("origin.tus.folder.Appending.settle", _killed(Killed))
        with pytest.raises(Killed):
            await place.uploads.append(live, Chunk(1000, None, proof(b"")), dies(BODY[1000:]), None)
    data = tmp_path / "resumable" / f"{live.record.id}.data"
    assert data.stat().st_size > 1000
    live = place.restart().find(live.record.id)
    assert live.record.offset == data.stat().st_size == 1000
    await place.send(live, 1000, BODY[1000:], checksum=proof(BODY[1000:]))
    assert data.read_bytes() == BODY


def _killed(kind: type[BaseException]) -> Callable[..., None]:
    def die(*_: object) -> None:
        raise kind

    return die


async def test_f23_a_full_disk_keeps_what_was_whole_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    live = await place.part(len(BODY))
    write = os.pwrite
    written: list[int] = []

    def full(fd: int, data: bytes, offset: int) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(write(fd, data, offset))
        return written[0]

    with monkeypatch.context() as small:
        small.setattr(os, "pwrite", full)
        with pytest.raises(Problem, match="disk_full"):
            await place.send(live, 0, BODY)
    assert live.record.offset == written[0] > 0
    await place.send(live, live.record.offset, BODY[live.record.offset :])
    assert (tmp_path / "resumable" / f"{live.record.id}.data").read_bytes() == BODY


async def test_t15_promised_room_is_exact_over_all_that_can_happen(tmp_path: Path) -> None:
    place = Place(tmp_path, free=3_000_000)
    live = await place.part(2_500_000)
    place.incoming.check(500_000)
    with pytest.raises(Problem, match="disk_full"):
        place.incoming.check(500_001)
    with pytest.raises(Problem, match="bad_checksum"):
        await place.send(live, 0, BODY, checksum=proof(b""))
    with pytest.raises(Problem, match="disk_full"):
        place.incoming.check(500_001)
    await place.send(live, 0, BODY[:1_500_000])
    place.incoming.check(2_000_000)  # what is on disk is no longer promised
    place.restart()
    with pytest.raises(Problem, match="disk_full"):
        place.incoming.check(2_000_001)
    await place.uploads.remove(place.uploads.find(live.record.id))
    place.incoming.check(3_000_000)
    place.free = STEP
    late = await place.part(None)
    with pytest.raises(Problem, match="disk_full"):
        place.incoming.check(1)
    await place.send(late, 0, BODY[:10])
    await place.send(late, 10, b"", length=2_000_010)
    place.incoming.check(STEP - 2_000_000)
    with pytest.raises(Problem, match="disk_full"):
        place.incoming.check(STEP - 1_999_999)


async def test_t15_unfinished_uploads_expire_a_day_after_their_last_bytes(tmp_path: Path) -> None:
    place = Place(tmp_path)
    live, idle = await place.part(100), await place.part(100)
    place.now += DAY - 1
    await place.send(live, 0, b"x" * 10)
    place.now += 2
    with pytest.raises(Problem, match="gone"):
        place.uploads.find(idle.record.id)
    await place.uploads.sweep()
    with pytest.raises(Problem, match="not_found"):
        place.uploads.find(idle.record.id)
    live = place.restart().find(live.record.id)  # it knows of the last bytes still
    assert place.uploads.expires(live.record) == place.now - 2 + DAY
    assert place.files() == {f"{live.record.id}.json", f"{live.record.id}.data"}
    place.now += DAY
    await place.uploads.sweep()
    assert place.files() == set()


async def test_what_belongs_to_no_upload_goes_at_the_next_start(tmp_path: Path) -> None:
    place = Place(tmp_path)
    live = await place.part(100)
    folder = tmp_path / "resumable"
    odd = "a" * 32
    for name in (f"{odd}.data", f"{odd}.new", "b.json", "c"):
        (folder / name).write_bytes(b"x")
    owned = folder / ("d" * 32 + ".data")
    owned.write_bytes(b"film")
    place.restart(frozenset({owned}))
    assert place.files() == {f"{live.record.id}.json", f"{live.record.id}.data", owned.name}
    assert place.files() == {path.name for path in folder.iterdir() if path.stat().st_size >= 0}
    assert (folder / f"{live.record.id}.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((folder / f"{live.record.id}.json").read_text())["length"] == 100


async def test_parts_go_though_the_service_dies_before_they_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    parts = [await place.part(5), await place.part(5)]
    for part in parts:
        await place.send(part, 0, b"12345")
    wanted = Creation(protocol.JOINED, None, "", tuple(part.record.id for part in parts))
    with monkeypatch.context() as stopped:
        stopped.setattr(Resumables, "_forget", _killed(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            await place.uploads.create(wanted)
    assert len(place.files()) == 6
    place.restart()
    assert len(place.files()) == 2
    for part in parts:
        with pytest.raises(Problem, match="not_found"):
            place.uploads.find(part.record.id)


class Death(BaseException):
    """The service is killed here."""


@pytest.mark.parametrize("at", ["inspect", "submit", "submitted", "noted", "published", "deleted"])
async def test_f25_a_whole_film_becomes_one_asset_wherever_the_service_dies(
    origin: Any, film: bytes, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    place = Place(origin.incoming, origin.jobs)
    named = protocol.write_metadata({"filename": b"film.mp4"})
    live = await place.uploads.create(Creation(protocol.WHOLE, len(film), named, ()))
    submit = Jobs.submit

    async def submitted(*how: Any) -> None:
        await submit(*how)
        raise Death

    with monkeypatch.context() as stopped:
        if at in ("inspect", "submit"):
            stopped.setattr(Jobs, at, _killed(Death))
        elif at == "noted":
            save = Folder.save
            stopped.setattr(Folder, "save", lambda folder, record: (save(folder, record), _killed(Death)()))
        else:
            stopped.setattr(Jobs, "submit", submitted)
        await place.send(live, 0, film)  # the bytes are on disk, whatever happens then
    path = origin.incoming / "resumable" / f"{live.record.id}.data"
    assert path.read_bytes() == film
    if at in ("published", "deleted"):  # what was handed over is used up before the service starts again
        await origin.catalogue.set_upload("film", None, 0)
        path.unlink()
    if at == "deleted":
        await origin.catalogue.delete("film")
    uploads = place.restart(await origin.catalogue.upload_paths())
    async with uploads.running():
        await eventually(lambda: uploads.find(live.record.id).record.ended is not None)
    found = [asset.id for asset in await origin.catalogue.list()]
    assert found == ([] if at == "deleted" else ["film"])
    assert uploads.find(live.record.id).record.offset == len(film)
    if at not in ("published", "deleted"):
        assert uploads.find(live.record.id).record.asset == "film"
        assert (await origin.catalogue.get("film")).upload_path == path
    await place.uploads.remove(uploads.find(live.record.id))
    assert path.exists() == (at not in ("published", "deleted"))


async def test_a_film_that_could_not_be_handed_over_is_tried_again_and_stays(
    origin: Any, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Problem("unavailable")

    place = Place(origin.incoming, origin.jobs)
    live = await place.uploads.create(Creation(protocol.WHOLE, len(film), "", ()))
    with monkeypatch.context() as stopped:
        stopped.setattr(Jobs, "submit", away)
        await place.send(live, 0, film)
    place.now += 3 * DAY
    assert place.uploads.find(live.record.id).record.asset == ""
    await place.uploads.sweep()
    await eventually(lambda: live.record.asset == "untitled")
    assert place.counts == {"uploads": 1}
    place.now += DAY
    await place.uploads.sweep()  # only what was known of it goes: the file is the asset's
    assert (await origin.catalogue.get("untitled")).upload_path.read_bytes() == film
    place.restart(await origin.catalogue.upload_paths())
    assert (await origin.catalogue.get("untitled")).upload_path.read_bytes() == film


class SlowIntake(NoIntake):
    """Looks at a film until it is told to go on."""

    def __init__(self) -> None:
        self.looking, self.go_on = asyncio.Event(), asyncio.Event()
        self.taken_in: list[str] = []

    async def inspect(self, path: Path) -> None:
        self.looking.set()
        await self.go_on.wait()

    async def submit(self, asset: str, title: str, path: Path, download: str = "", drm: str = "") -> None:
        self.taken_in.append(asset)


async def test_an_upload_that_is_removed_while_it_is_looked_at_becomes_no_asset(tmp_path: Path) -> None:
    intake = SlowIntake()
    place = Place(tmp_path, intake)
    live = await place.uploads.create(Creation(protocol.WHOLE, 10, "", ()))
    sending = asyncio.create_task(place.send(live, 0, b"x" * 10))
    await intake.looking.wait()
    await place.uploads.remove(live)
    intake.go_on.set()
    await sending
    await place.uploads.sweep()
    assert (intake.taken_in, place.files()) == ([], set())
    assert place.incoming._reserved == 0


async def test_an_upload_that_is_removed_as_its_last_bytes_come_becomes_no_asset(tmp_path: Path) -> None:
    intake, rest, here = SlowIntake(), asyncio.Event(), asyncio.Event()
    place = Place(tmp_path, intake)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 5
        here.set()
        await rest.wait()
        yield b"x" * 5

    live = await place.uploads.create(Creation(protocol.WHOLE, 10, "", ()))
    sending = asyncio.create_task(place.uploads.append(live, Chunk(0), slowly(), 10))
    await here.wait()
    removing = asyncio.create_task(place.uploads.remove(live))
    await asyncio.sleep(0)
    rest.set()
    intake.go_on.set()
    await asyncio.wait([sending, removing])
    assert removing.exception() is None
    assert (intake.taken_in, place.files()) == ([], set())


async def test_memory_stays_flat(tmp_path: Path) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(65_536)

    place = Place(tmp_path)
    live = await place.part(65_536_000)
    tracemalloc.start()
    try:
        await place.uploads.append(live, Chunk(0), much(), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert live.record.complete
    assert peak < 8_000_000
