"""The catalogue's promises, on SQLite and on PostgreSQL alike."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from keys.problems import Problem
from origin.migrations import VERSION_TABLE, upgrade
from origin.store.catalogue import TRANSITIONS, Catalogue

SHA = bytes(range(32))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def catalogue(database_url: str, clock: Clock) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(database_url, clock)
    yield opened
    await opened.close()


async def ingesting(catalogue: Catalogue, id: str = "film") -> None:
    await catalogue.create(id=id, source_name="Film.mp4", state="queued", upload_path=Path("/in/film"))
    await catalogue.set_state(id, "ingesting")


async def publish(catalogue: Catalogue, id: str = "film", generation: int = 1) -> None:
    await catalogue.publish(
        id,
        generation=generation,
        duration=12.5,
        width=1280,
        height=720,
        size_bytes=99,
        renditions=("720p", "audio"),
    )


async def test_a_new_asset_is_uploading_and_has_a_title_and_an_id_from_its_name(catalogue: Catalogue) -> None:
    made = await catalogue.create(source_name="Été à Nice.mp4", upload_bytes=7)
    assert (made.id, made.title, made.state) == ("ete-a-nice", "Été à Nice", "uploading")
    assert (made.created, made.progress, made.generation, made.upload_path) == (1000.0, 0.0, 0, None)
    assert await catalogue.get("ete-a-nice") == made


async def test_an_id_that_was_asked_for_is_given_once(catalogue: Catalogue) -> None:
    await catalogue.create(id="film", source_name="a.mp4", title="One")
    with pytest.raises(Problem, match="already") as refused:
        await catalogue.create(id="film", source_name="b.mp4")
    assert refused.value.status == 409
    assert (await catalogue.get("film")).title == "One"


async def test_names_that_are_taken_get_a_number(catalogue: Catalogue) -> None:
    made = [(await catalogue.create(source_name="film.mp4")).id for _ in range(3)]
    assert made == ["film", "film-2", "film-3"]
    assert await catalogue.unique_id("film.mkv") == "film-4"


async def test_f26_many_at_once_with_one_name_all_get_ids_of_their_own(catalogue: Catalogue) -> None:
    made = await asyncio.gather(*(catalogue.create(source_name="film.mp4") for _ in range(8)))
    assert len({asset.id for asset in made}) == 8


async def test_f26_of_many_at_once_with_one_id_exactly_one_wins(catalogue: Catalogue) -> None:
    tries = (catalogue.create(id="film", source_name=f"{n}.mp4") for n in range(8))
    results = await asyncio.gather(*tries, return_exceptions=True)
    refused = [r for r in results if isinstance(r, Problem)]
    assert len(refused) == 7
    assert {r.code for r in refused} == {"conflict"}


@pytest.mark.parametrize("id", ["", "../x", "A", "a/b", "a" * 65])
async def test_an_id_that_is_no_name_is_refused(catalogue: Catalogue, id: str) -> None:
    with pytest.raises(Problem) as refused:
        await catalogue.create(id=id, source_name="a.mp4")
    assert refused.value.code == "bad_request"


async def test_an_asset_goes_from_upload_to_publication(catalogue: Catalogue, clock: Clock) -> None:
    await catalogue.create(id="film", source_name="Film.mp4")
    await catalogue.set_upload("film", Path("/in/1"), 5000)
    await catalogue.set_state("film", "queued")
    await catalogue.set_state("film", "ingesting")
    clock.time = 1010.0
    assert await catalogue.update_progress("film", 0.25, 3.5, 20.0)
    half = await catalogue.get("film")
    assert (half.progress, half.rate, half.eta_s, half.updated) == (0.25, 3.5, 20.0, 1010.0)
    assert (half.upload_path, half.upload_bytes) == (Path("/in/1"), 5000)
    await publish(catalogue)
    done = await catalogue.get("film")
    assert (done.state, done.progress, done.eta_s, done.generation) == ("published", 1.0, None, 1)
    assert (done.duration, done.width, done.height, done.bytes) == (12.5, 1280, 720, 99)
    assert (done.renditions, done.upload_path) == (("720p", "audio"), None)


@pytest.mark.parametrize("source", TRANSITIONS)
async def test_only_the_changes_in_the_table_are_made(catalogue: Catalogue, source: str) -> None:
    for target in TRANSITIONS:
        asset = await catalogue.create(source_name="film.mp4", state=source)
        if target in TRANSITIONS[source]:
            await catalogue.set_state(asset.id, target)
        else:
            with pytest.raises(Problem, match=f"This is {source}; it cannot become {target}"):
                await catalogue.set_state(asset.id, target)
        now = (await catalogue.get(asset.id)).state
        assert now == (target if target in TRANSITIONS[source] else source)


async def test_of_two_that_take_up_one_asset_one_wins(catalogue: Catalogue) -> None:
    await catalogue.create(id="film", source_name="a.mp4", state="queued")
    tries = (catalogue.set_state("film", "ingesting") for _ in range(4))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(None) == 1


async def test_progress_of_a_cancelled_asset_says_so_and_changes_nothing(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    await catalogue.set_state("film", "cancelled")
    assert not await catalogue.update_progress("film", 0.5, 1.0, 1.0)
    assert (await catalogue.get("film")).progress == 0.0
    with pytest.raises(Problem, match="cancelled"):
        await publish(catalogue)


async def test_a_failure_keeps_its_sentence_until_it_is_tried_again(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    await catalogue.set_state("film", "failed", error="This file has no picture and no sound.")
    assert (await catalogue.get("film")).error == "This file has no picture and no sound."
    await catalogue.set_state("film", "queued")
    again = await catalogue.get("film")
    assert (again.error, again.state, again.progress) == ("", "queued", 0.0)


async def test_work_left_undone_is_found_after_a_restart(
    database_url: str, catalogue: Catalogue, clock: Clock
) -> None:
    for state in TRANSITIONS:
        clock.time += 1
        await catalogue.create(id=state, source_name="a.mp4", state=state, upload_path=Path("/in") / state)
    again = await Catalogue.open(database_url, clock)
    assert [asset.id for asset in await again.unfinished()] == ["uploading", "queued", "ingesting"]
    assert [asset.id for asset in await again.list()] == list(TRANSITIONS)[::-1]
    assert await again.upload_paths() == {Path("/in") / state for state in TRANSITIONS}
    await again.close()


async def test_a_deleted_asset_leaves_nothing_and_its_id_is_free(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    await catalogue.set_poster("film", b"jpeg")
    await catalogue.record_object("film", 1, "720p", "0.m4s", SHA)
    await catalogue.delete("film")
    assert list(await catalogue.list()) == []
    assert await catalogue.poster("film") is None
    await ingesting(catalogue)
    await catalogue.record_object("film", 1, "720p", "0.m4s", bytes(32))


async def test_k1_an_object_is_recorded_once_and_never_as_other_bytes(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    await catalogue.record_object("film", 1, "720p", "0.m4s", SHA)
    await catalogue.record_object("film", 1, "720p", "0.m4s", SHA)
    with pytest.raises(Problem) as refused:
        await catalogue.record_object("film", 1, "720p", "0.m4s", bytes(32))
    assert refused.value.code == "conflict"
    await catalogue.record_object("film", 2, "720p", "0.m4s", bytes(32))
    await catalogue.record_object("film", 1, "audio", "0.m4s", bytes(32))


async def test_k1_of_two_different_records_at_once_one_is_refused(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    tries = (catalogue.record_object("film", 1, "720p", "0.m4s", bytes([n]) * 32) for n in range(4))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(None) == 1
    assert [r.code for r in results if isinstance(r, Problem)] == ["conflict"] * 3


async def test_a_digest_of_another_length_is_a_mistake(catalogue: Catalogue) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        await catalogue.record_object("film", 1, "720p", "0.m4s", b"short")


async def test_the_newest_poster_is_kept(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    assert await catalogue.poster("film") is None
    await catalogue.set_poster("film", b"first")
    await catalogue.set_poster("film", b"second")
    assert await catalogue.poster("film") == b"second"


async def test_what_is_asked_of_an_unknown_asset_is_not_found(catalogue: Catalogue) -> None:
    asked = [
        catalogue.get("gone"),
        catalogue.set_state("gone", "queued"),
        catalogue.set_upload("gone", None, 0),
        catalogue.delete("gone"),
        catalogue.set_poster("gone", b""),
        catalogue.record_object("gone", 1, "720p", "0.m4s", SHA),
        publish(catalogue, "gone"),
    ]
    for question in asked:
        with pytest.raises(Problem) as refused:
            await question
        assert refused.value.code == "not_found"
    assert not await catalogue.update_progress("gone", 0.5, 1.0, None)


async def test_operators_see_no_path_of_the_machine(catalogue: Catalogue) -> None:
    await ingesting(catalogue)
    shown = (await catalogue.get("film")).public()
    assert shown["state"] == "ingesting"
    assert shown["renditions"] == []
    assert "/in/film" not in repr(shown)


async def test_starters_at_the_same_time_make_the_schema_once(database_url: str) -> None:
    await asyncio.gather(*(upgrade(database_url) for _ in range(4)))
    again = await Catalogue.open(database_url)
    await again.create(source_name="film.mp4")
    assert len(await again.list()) == 1
    await again.close()


async def test_downloads_are_kept_with_what_was_wished(catalogue: Catalogue) -> None:
    await catalogue.create(id="film", source_name="Film.mp4", state="queued", download="both")
    await catalogue.set_state("film", "ingesting")
    files = [{"name": "film.mp4", "size": 5 << 32, "type": "video/mp4"}]
    await catalogue.publish(
        "film",
        generation=1,
        duration=1,
        width=2,
        height=2,
        size_bytes=9,
        renditions=["720p"],
        downloads=files,
    )
    found = await catalogue.get("film")
    assert (found.download, list(found.downloads)) == ("both", files)
    assert found.public()["downloads"] == files and found.public()["download"] == "both"


async def test_an_asset_of_before_offers_no_download(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    opened = await Catalogue.open(f"sqlite:///{path}")
    await opened.create(id="film", source_name="Film.mp4")
    await opened.close()
    with sqlite3.connect(path) as old:  # as the first schema left it
        for trigger in ("insert", "update", "delete"):
            old.execute(f"DROP TRIGGER assets_told_{trigger}")
        for table in ("api_tokens", "api_repeats", "asset_events", "webhook_deliveries", "webhooks"):
            old.execute(f"DROP TABLE {table}")
        old.execute("ALTER TABLE assets DROP COLUMN download")
        old.execute("ALTER TABLE assets DROP COLUMN downloads")
        old.execute("ALTER TABLE assets DROP COLUMN drm")
        old.execute("DROP INDEX assets_by_state")
        for name in ("node", "holder", "fence", "attempts", "queued", "heartbeat", "lease_until"):
            old.execute(f"ALTER TABLE assets DROP COLUMN {name}")
        old.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
    old.close()
    opened = await Catalogue.open(f"sqlite:///{path}")
    film = await opened.get("film")
    assert (film.download, film.downloads, film.drm, film.node) == ("", (), "", "")
    (job,) = await opened.claims.jobs()
    assert (job.asset, job.attempts, job.worker) == ("film", 0, "")
    await opened.close()
