"""Several processes on one queue: who dies, who is slow, who is cancelled from elsewhere."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keys.problems import Problem
from origin.ingest.convert import Settings
from origin.ingest.jobs import HELD
from origin.ingest.ladder import Wishes
from origin.ingest.presence import Presence
from origin.ingest.worker import Worker
from origin.store.catalogue import Catalogue
from origin.store.claims import POISONED, Claim, Rhythm
from tests.origin.ingest.bench import FFMPEG, X264, Bench, film, make_clip

QUICK = Rhythm(poll_s=0.05, beat_s=0.05, lease_s=30)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of moving picture."""
    return make_clip(tmp_path / "clip.mp4", *film(seconds="1"), *X264)


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A film that takes a while to convert slowly."""
    return make_clip(tmp_path / "long.mp4", *film("640x360", seconds="60"), *X264)


@pytest.fixture
def slow() -> Settings:
    """Settings under which that film takes longer than any of these tests."""
    return Settings(ffmpeg=FFMPEG, wishes=Wishes(preset="veryslow"), require_jail=True)


@contextlib.asynccontextmanager
async def elsewhere(bench: Bench) -> AsyncIterator[Bench]:
    """The same origin as another process has it: connections of its own."""
    catalogue = await Catalogue.open(f"sqlite:///{bench.root / 'catalogue.db'}")
    yield Bench(bench.root, catalogue, bench.blobs, bench.keys, bench.identity, bench.settings)
    await catalogue.close()


async def test_a_process_that_takes_no_uploads_works_on_what_another_took(bench: Bench, clip: Path) -> None:
    taker = bench.jobs(concurrency=0)
    async with elsewhere(bench) as other, taker.running(), other.jobs().running():
        await taker.submit("film", "Film", bench.upload(clip))
        assert (await bench.ended("film")).state == "published"


async def test_cancel_and_retry_from_any_process_reach_the_worker(
    bench: Bench, long_clip: Path, slow: Settings
) -> None:
    asker = bench.jobs(concurrency=0)
    async with elsewhere(bench) as other, other.jobs(slow).running():
        await asker.submit("film", "Film", bench.upload(long_clip))
        await bench.until("film", lambda asset: asset.progress > 0)
        await asker.cancel("film")
        await unheld(bench, "film")
        assert (await bench.catalogue.get("film")).state == "cancelled"
        assert (bench.left_behind(), bench.keys.made) == ([], {})
        await asker.retry("film")
        await bench.until("film", lambda asset: asset.progress > 0)
        (job,) = await bench.catalogue.claims.jobs()
        assert (job.attempts, job.worker.split("/")[0]) == (1, bench.identity.name)
        await asker.delete("film")  # waits until the worker has let go
        assert (bench.left_behind(), bench.keys.made) == ([], {})
    assert not bench.made[0].exists()


async def test_a_worker_that_lost_its_lease_publishes_nothing_and_leaves_its_successors_keys(
    bench: Bench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.rhythm = Rhythm(poll_s=0.05, beat_s=3600, lease_s=30)  # it is frozen: its heart does not beat
    first, frozen, thaw = bench.jobs(), asyncio.Event(), asyncio.Event()
    convert = first._converter.convert

    async def frozen_after(*words: Any, **values: Any) -> Any:
        made = await convert(*words, **values)
        frozen.set()
        await thaw.wait()
        return made

    monkeypatch.setattr(first._converter, "convert", frozen_after)
    async with elsewhere(bench) as other, first.running():
        await first.submit("film", "Film", bench.upload(clip))
        await frozen.wait()
        claim = first._worker.claim_of("film")
        assert claim is not None
        await other.catalogue.claims.lapse(claim.holder)  # as the end of its lease does
        async with other.jobs().running():
            asset = await other.ended("film")
        assert (asset.state, asset.generation) == ("published", 2)
        thaw.set()
        async with asyncio.timeout(60):
            while first._worker.claim_of("film"):  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.01)
    assert (await bench.catalogue.get("film")).generation == 2
    assert bench.keys.published == {"film": 2}
    assert ("film", 2) in bench.keys.made
    assert {name.split("/")[1] for name in bench.left_behind()} == {"2"}


async def test_a_heart_that_beats_ends_the_work_of_a_claim_that_was_lost(tmp_path: Path) -> None:
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(claim: Claim) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await catalogue.create(id="film", source_name="film.mp4", state="queued")
    worker = Worker(catalogue.claims, Presence(tmp_path / "w", "a"), "a", work, rhythm=QUICK)
    async with worker.running():
        await begun.wait()
        claim = worker.claim_of("film")
        assert claim is not None
        await catalogue.set_state("film", "cancelled")
        async with asyncio.timeout(30):
            await ended.wait()
            while worker.claim_of("film"):  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.01)
    assert not await catalogue.claims.held("film")
    await catalogue.close()


async def test_a_file_that_kills_its_worker_three_times_fails_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    catalogue = await Catalogue.open(url)
    for name in ("poison", "film"):
        await catalogue.create(id=name, source_name=f"{name}.mp4", state="queued", node="here")
    command = [sys.executable, "-m", "tests.origin.ingest.dying", url, str(tmp_path / "workers")]
    codes: list[int] = []
    said = ""
    while not codes or codes[-1]:
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)
        codes.append(done.returncode)
        said += done.stdout
        assert len(codes) < 8, done.stderr
    # the first takes the film with it; alone, the poison takes nobody
    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert said.split() == ["film"]
    poison, innocent = await catalogue.get("poison"), await catalogue.get("film")
    assert (poison.state, poison.error) == ("failed", POISONED)
    assert innocent.error == "Done."
    await catalogue.close()


async def test_what_a_dead_worker_of_this_machine_had_is_taken_up_at_once(bench: Bench, clip: Path) -> None:
    await bench.catalogue.create(
        id="film", source_name="film.mp4", state="queued", upload_path=bench.upload(clip)
    )
    node = bench.identity.name
    claims = bench.catalogue.claims
    assert await claims.claim(f"{node}/1-dead", node, idle=True, lease_s=36_000)
    async with bench.jobs().running():
        assert (await bench.ended("film")).state == "published"


def test_a_worker_is_dead_when_its_process_is(tmp_path: Path) -> None:
    mine = Presence(tmp_path, "a")
    script = (
        "import sys, pathlib; from origin.ingest.presence import Presence\n"
        "with Presence(pathlib.Path(sys.argv[1]), 'a') as p: print(p.holder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        holder = other.stdout.readline().strip()
        assert not mine.dead(holder)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert mine.dead(holder)
    assert list(tmp_path.iterdir()) == []
    assert not mine.dead(holder.replace("a/", "b/")), "of another machine its lease tells"
    assert not mine.dead(mine.holder)


async def test_an_upload_that_waits_for_a_document_is_not_cut_by_another_worker(
    bench: Bench, clip: Path
) -> None:
    await bench.jobs().submit("film", "Film", bench.upload(clip), drm="cpix")
    jobs = bench.jobs()
    jobs._receives = False
    async with jobs.running():
        assert (await bench.catalogue.get("film")).state == "uploading"
        with pytest.raises(Problem):
            await jobs.provide("film", b"<CPIX/>")


async def test_what_a_silent_machine_holds_is_deleted_when_its_lease_is_over(
    bench: Bench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.catalogue.create(
        id="film", source_name="film.mp4", state="queued", upload_path=bench.upload(clip)
    )
    monkeypatch.setattr("origin.ingest.jobs.LET_GO_WITHIN_S", 0.1)
    claim = await bench.catalogue.claims.claim("far/1", "far", idle=True, lease_s=36_000)
    assert claim is not None
    with pytest.raises(Problem) as refused:
        await bench.jobs().delete("film")
    assert (refused.value.code, refused.value.message) == ("conflict", HELD)
    assert await bench.catalogue.claims.beat(claim, 0.0) == "cancelled", "if it lives after all, it hears so"
    await bench.jobs().delete("film")
    assert await bench.catalogue.list() == []
    assert not bench.made[0].exists()


async def unheld(bench: Bench, asset: str) -> None:
    """Returns once no worker has it."""
    async with asyncio.timeout(60):
        while await bench.catalogue.claims.held(asset):  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.02)
