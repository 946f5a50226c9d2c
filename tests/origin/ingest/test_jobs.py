"""The queue: what becomes of assets whatever happens to files, keys, disks and the process."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from keys.cpix_xml import write_cpix
from keys.problems import Problem
from origin.ingest.convert import LOST, Settings
from origin.ingest.jobs import CUT, FULL, GONE, KEYLESS
from origin.ingest.ladder import Wishes
from origin.ingest.transcode import Budget
from origin.media.drm import drm_of
from tests.origin.ingest.bench import FFMPEG, X264, Bench, film, make_clip
from tests.support.drm import document


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


async def test_a_file_that_is_no_video_is_refused_with_a_sentence_and_leaves_nothing(bench: Bench) -> None:
    text = bench.root / "notes.txt"
    text.write_text("Dear diary\n" * 100)
    with pytest.raises(Problem) as refused:
        await bench.jobs().inspect(text)
    assert (refused.value.code, refused.value.message) == (
        "not_media",
        "This file is no video or audio that Sluice can read.",
    )
    assert await bench.catalogue.list() == []
    assert bench.left_behind() == []


async def test_a_file_that_is_video_passes_inspection(bench: Bench, clip: Path) -> None:
    await bench.jobs().inspect(clip)


async def test_one_poisoned_file_fails_alone(bench: Bench, clip: Path) -> None:
    poison = bench.root / "poison.mp4"
    poison.write_bytes(clip.read_bytes()[:48] + b"\xff" * 4000)
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("poison", "Poison", bench.upload(poison))
        await jobs.submit("film", "Film", bench.upload(clip))
        assert (await bench.ended("film")).state == "published"
    poisoned = await bench.catalogue.get("poison")
    assert poisoned.state == "failed"
    assert poisoned.error.endswith(".") and "ffmpeg" not in poisoned.error and "\n" not in poisoned.error
    assert not any(name.startswith("poison/") for name in bench.left_behind())
    assert bench.made[0].exists()  # what was acknowledged stays until somebody deletes it


async def test_a_taken_id_is_a_conflict(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    await jobs.submit("film", "Film", bench.upload(clip))
    with pytest.raises(Problem) as refused:
        await jobs.submit("film", "Film", bench.upload(clip))
    assert refused.value.code == "conflict"


async def test_progress_is_told_and_cancelling_leaves_nothing(
    bench: Bench, long_clip: Path, slow: Settings
) -> None:
    jobs = bench.jobs(slow)
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(long_clip))
        asset = await bench.until("film", lambda asset: asset.progress > 0 and asset.rate > 0)
        assert asset.state == "ingesting" and asset.eta_s is not None and asset.progress < 1
        await jobs.cancel("film")
        assert (await bench.catalogue.get("film")).state == "cancelled"
        assert bench.left_behind() == []
        assert bench.keys.made == {}
        await jobs.delete("film")
    assert not bench.made[0].exists()
    assert await bench.catalogue.list() == []


async def test_a_waiting_asset_can_be_cancelled_and_tried_again(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    await jobs.submit("film", "Film", bench.upload(clip))
    await jobs.cancel("film")
    await jobs.retry("film")
    async with jobs.running():
        assert (await bench.ended("film")).state == "published"
    with pytest.raises(Problem) as refused:
        await jobs.cancel("film")
    assert refused.value.code == "conflict"


async def test_a_stop_in_mid_ingest_is_taken_up_by_the_next_start(
    bench: Bench, clip: Path, long_clip: Path, slow: Settings
) -> None:
    jobs = bench.jobs(slow)
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(long_clip))
        await bench.until("film", lambda asset: asset.progress > 0)
    assert (await bench.catalogue.get("film")).state == "ingesting"
    bench.made[0].write_bytes(clip.read_bytes())  # so that the second try is quick
    async with bench.jobs().running():
        asset = await bench.ended("film")
    assert asset.state == "published"
    assert {name.split("/")[1] for name in bench.left_behind()} == {str(asset.generation)}


async def test_what_a_killed_run_left_is_removed_before_the_next(bench: Bench, clip: Path) -> None:
    await bench.blobs.put("film", 7, "720p", "0.m4s", b"left behind")
    assert (await bench.ingest(clip)).state == "published"
    assert not any("/7/" in name for name in bench.left_behind())


async def test_uploads_that_were_cut_or_are_gone_say_so_after_a_restart(bench: Bench) -> None:
    await bench.catalogue.create(id="cut", source_name="cut.mp4", state="uploading")
    gone = bench.root / "incoming" / "gone"
    await bench.catalogue.create(id="gone", source_name="gone.mp4", state="queued", upload_path=gone)
    async with bench.jobs().running():
        assert (await bench.ended("cut")).error == CUT
        assert (await bench.ended("gone")).error == GONE
        with pytest.raises(Problem) as refused:
            await bench.jobs().retry("gone")
    assert (refused.value.code, refused.value.message) == ("conflict", GONE)


async def test_a_full_disk_is_said_and_leaves_nothing(
    bench: Bench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.catalogue, "record_object", full)
    asset = await bench.ingest(clip)
    assert (asset.state, asset.error) == ("failed", FULL)
    assert bench.left_behind() == []
    assert bench.keys.made == {}


async def test_a_store_that_is_full_is_said(bench: Bench, clip: Path) -> None:
    bench.blobs = type(bench.blobs)(bench.root / "blobs", keep_free_bytes=1 << 60)
    asset = await bench.ingest(clip)
    assert asset.state == "failed"
    assert "full" in asset.error


async def test_keys_that_do_not_answer_for_a_moment_are_asked_again(bench: Bench, clip: Path) -> None:
    bench.keys.refusals.append(Problem("unavailable", "The keys service does not answer."))
    assert (await bench.ingest(clip)).state == "published"


async def test_a_refusal_by_keys_fails_the_asset_and_gives_its_blobs_up(bench: Bench, clip: Path) -> None:
    bench.keys.refusals.append(Problem("unauthenticated", "This node is not enrolled."))
    asset = await bench.ingest(clip)
    assert (asset.state, asset.error) == ("failed", "This node is not enrolled.")
    assert bench.left_behind() == []


async def test_a_film_over_its_budget_is_stopped_and_says_so(bench: Bench, long_clip: Path) -> None:
    tight = Settings(ffmpeg=FFMPEG, wishes=Wishes(preset="veryslow"), budget=Budget(least_s=1, per_media_s=0))
    asset = await bench.ingest(long_clip, settings=tight)
    assert (asset.state, asset.error) == ("failed", "Converting this file took longer than it may.")
    assert bench.left_behind() == []


async def test_a_published_asset_is_deleted_with_all_it_had(bench: Bench, clip: Path) -> None:
    await bench.ingest(clip)
    jobs = bench.jobs()
    await jobs.delete("film")
    assert bench.left_behind() == []
    assert bench.keys.published == {}
    with pytest.raises(Problem) as refused:
        await jobs.delete("film")
    assert refused.value.code == "not_found"


async def test_deleted_in_the_moment_it_is_published_an_asset_leaves_no_upload(
    bench: Bench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, go_on = asyncio.Event(), asyncio.Event()
    publish = bench.catalogue.publish

    async def told_first(*words: Any, **values: Any) -> None:
        await publish(*words, **values)
        told.set()
        await go_on.wait()

    monkeypatch.setattr(bench.catalogue, "publish", told_first)
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(clip))
        await told.wait()
        deleting = asyncio.create_task(jobs.delete("film"))
        await asyncio.wait([deleting], timeout=0.2)
        go_on.set()
        await deleting
    assert not bench.made[0].exists()
    assert bench.left_behind() == []
    assert bench.keys.published == {}


async def test_stopped_in_the_moment_it_is_published_an_asset_keeps_its_media_and_keys(
    bench: Bench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()
    publish = bench.catalogue.publish

    async def told_and_cut_off(*words: Any, **values: Any) -> None:
        await publish(*words, **values)
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(bench.catalogue, "publish", told_and_cut_off)
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(clip))
        await told.wait()
    asset = await bench.catalogue.get("film")
    assert asset.state == "published"
    assert {name.split("/")[1] for name in bench.left_behind()} == {str(asset.generation)}
    assert bench.keys.published == {"film": asset.generation}


async def test_several_jobs_run_side_by_side_when_told_to(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs(concurrency=2)
    async with jobs.running():
        for number in range(3):
            await jobs.submit(f"film-{number}", "Film", bench.upload(clip))
        assets = await asyncio.gather(*(bench.ended(f"film-{number}") for number in range(3)))
    assert [asset.state for asset in assets] == ["published"] * 3


async def test_a_missing_ffmpeg_fails_the_asset_not_the_worker(bench: Bench, clip: Path) -> None:
    asset = await bench.ingest(clip, settings=Settings(ffmpeg=bench.root / "no-ffmpeg"))
    assert asset.state == "failed"
    assert asset.error.startswith("Something went wrong inside Sluice")


async def test_cancelled_and_tried_again_while_it_waits_an_asset_has_one_place_in_the_queue(
    bench: Bench, clip: Path, long_clip: Path, slow: Settings
) -> None:
    jobs = bench.jobs(slow, concurrency=2)
    await jobs.submit("film", "Film", bench.upload(long_clip))
    await jobs.cancel("film")
    await jobs.retry("film")
    async with jobs.running():
        await bench.until("film", lambda asset: asset.state == "ingesting")
        await jobs.delete("film")
        assert bench.left_behind() == []


async def test_an_asset_waits_for_the_document_of_its_drm_provider(bench: Bench, clip: Path) -> None:
    found = document()
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(clip), drm="cpix")
        assert (await bench.catalogue.get("film")).state == "uploading"
        with pytest.raises(Problem) as refused:
            await jobs.provide("film", b"<CPIX/>")
        assert refused.value.code == "bad_request"
        await jobs.provide("film", write_cpix(found))
        asset = await bench.ended("film")
        with pytest.raises(Problem) as refused:
            await jobs.provide("film", write_cpix(found))
    assert (asset.state, refused.value.code) == ("published", "conflict")
    described = await bench.descriptor(asset)
    assert (described.protections, described.drm) == (("drm",), drm_of(found))


async def test_a_document_that_did_not_come_is_said_after_a_restart_and_may_still_come(
    bench: Bench, clip: Path
) -> None:
    await bench.jobs().submit("film", "Film", bench.upload(clip), drm="cpix")
    jobs = bench.jobs()
    async with jobs.running():
        asset = await bench.ended("film")
        assert (asset.state, asset.error) == ("failed", KEYLESS)
        await jobs.retry("film")
        assert (await bench.until("film", lambda each: each.error == LOST)).state == "failed"
        await jobs.provide("film", write_cpix(document()))
        await bench.until("film", lambda each: each.state == "published")


async def test_a_restart_in_the_middle_of_the_ingest_keeps_the_document(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(clip), drm="cpix")
        await jobs.provide("film", write_cpix(document()))
        await bench.until("film", lambda each: each.state == "ingesting" and bool(bench.keys.numbers))
    async with bench.jobs().running():
        await bench.until("film", lambda each: each.state == "published")


async def test_of_two_documents_at_once_the_one_that_was_taken_is_used(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    await jobs.submit("film", "Film", bench.upload(clip), drm="cpix")
    found = [document(), document(seed="other")]
    ends = await asyncio.gather(
        *(jobs.provide("film", write_cpix(each)) for each in found), return_exceptions=True
    )
    assert [isinstance(each, Problem) and each.code for each in ends] == [False, "conflict"]
    async with jobs.running():
        asset = await bench.until("film", lambda each: each.state == "published")
    assert (await bench.descriptor(asset)).drm == drm_of(found[0])


async def test_an_asset_that_wants_no_document_takes_none(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    await jobs.submit("film", "Film", bench.upload(clip))
    with pytest.raises(Problem) as refused:
        await jobs.provide("film", write_cpix(document()))
    assert refused.value.code == "conflict"


async def test_an_origin_without_a_way_to_a_provider_says_so(bench: Bench, clip: Path) -> None:
    jobs = bench.jobs()
    async with jobs.running():
        await jobs.submit("film", "Film", bench.upload(clip), drm="https://provider.example/speke")
        assert "no way to ask a DRM provider" in (await bench.ended("film")).error
