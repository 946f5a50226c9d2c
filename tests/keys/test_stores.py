"""The keys database, the same on SQLite and PostgreSQL: one contract, both run it."""

import asyncio
import sys
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text

from keys.database import Database, database_url, lock_number
from keys.migrations import VERSION_TABLE, upgrade
from keys.revocation import Feed, RevocationSet
from keys.ripper import Course, Verdict
from keys.root_keys import Wrapped
from keys.sessions import Activity, Again, New, Refuse, Request, Rules, Session
from keys.store_keys import SUPERSEDED_KEPT_S, GenerationRow, TenantKey, WrappedKeys
from keys.store_sessions import KEPT_AFTER_END_S
from keys.stores import ENTRIES_KEPT_S, Stores
from keys.tables import generations, metadata, sessions, used_links

NOW = 1_800_000_000.0
REQUEST = Request(
    iss="site",
    kid="k1",
    link_id="link-1",
    single_use=False,
    tenant="default",
    asset="film",
    generation=1,
    viewer="anna",
    network="198.51.100.0/24",
    client_ip="198.51.100.7",
    edge="edge-1",
    pace={"rate": 3.0},
)
KEYS = WrappedKeys(b"wrapped ak", b"wrapped sk")
TENANT_KEY = TenantKey(1, Wrapped("1", b"wrapped tk"))
UNTIL = NOW + 7200


async def opened(stores: Stores, sid: str, request: Request = REQUEST, now: float = NOW) -> Session:
    decision, session = await stores.sessions.open(request, Rules(), (sid, b"s" * 32), UNTIL, now)
    assert isinstance(decision, New)
    assert session is not None
    return session


# ---- the schema


async def test_the_migrations_make_exactly_the_tables_of_the_code(any_stores: Stores) -> None:
    async with any_stores.database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"version_table": VERSION_TABLE}), metadata
            )
        )
    assert differences == []


async def test_upgrading_again_changes_nothing(any_stores: Stores) -> None:
    await opened(any_stores, "sid-1")
    await upgrade(any_stores.database)
    assert await any_stores.sessions.get("sid-1") is not None


async def test_processes_that_start_together_all_find_the_schema(url: str) -> None:
    program = (
        "import asyncio, sys; from keys.stores import Stores\n"
        "async def main():\n"
        "    stores = await Stores.open(sys.argv[1]); await stores.nodes.all(); await stores.close()\n"
        "asyncio.run(main())"
    )
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    errors = [(await process.communicate())[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors


async def test_sqlite_keeps_a_write_ahead_log_and_foreign_keys(stores: Stores) -> None:
    async with stores.database.read() as connection:
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA busy_timeout")) == 10_000


def test_other_databases_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="not mysql"):
        database_url("mysql://localhost/keys")
    assert database_url("postgresql://u@h/d").drivername == "postgresql+asyncpg"


def test_lock_numbers_fit_a_signed_64_bit_integer_and_do_not_run_together() -> None:
    assert -(2**63) <= lock_number("link", "a", "b") < 2**63
    assert lock_number("a", "bc") != lock_number("ab", "c")


# ---- sessions


async def test_a_session_is_kept_whole(any_stores: Stores) -> None:
    session = await opened(any_stores, "sid-1")
    assert await any_stores.sessions.get("sid-1") == session
    assert session.pace == {"rate": 3.0}
    assert await any_stores.sessions.get("sid-2") is None


async def test_opening_again_from_the_same_network_gives_the_session_of_before(any_stores: Stores) -> None:
    session = await opened(any_stores, "sid-1")
    again = await any_stores.sessions.open(REQUEST, Rules(), ("sid-2", b"t" * 32), UNTIL, NOW + 59)
    assert again == (Again(session), session)


async def test_of_many_who_race_for_a_single_use_link_exactly_one_wins(any_stores: Stores) -> None:
    def wish(n: int) -> Request:
        return replace(REQUEST, single_use=True, client_ip=f"10.0.{n}.1", network=None)

    answers = await asyncio.gather(
        *(any_stores.sessions.open(wish(n), Rules(), (f"sid-{n}", b"s" * 32), UNTIL, NOW) for n in range(12))
    )
    decisions = [decision for decision, _ in answers]
    assert sum(isinstance(decision, New) for decision in decisions) == 1
    assert decisions.count(Refuse("limit", "single-use link was used", "once")) == 11


async def test_the_same_race_from_one_network_gives_everybody_the_one_session(any_stores: Stores) -> None:
    once = replace(REQUEST, single_use=True)
    answers = await asyncio.gather(
        *(any_stores.sessions.open(once, Rules(), (f"sid-{n}", b"s" * 32), UNTIL, NOW) for n in range(8))
    )
    assert len({session.sid for _, session in answers if session}) == 1
    assert all(session for _, session in answers)


async def test_a_used_link_is_remembered_when_its_session_is_long_gone(any_stores: Stores) -> None:
    once, until = replace(REQUEST, single_use=True), NOW + 40 * 24 * 3600
    await any_stores.sessions.open(once, Rules(), ("sid-1", b"s" * 32), until, NOW)
    later = NOW + 30 * 24 * 3600
    await any_stores.forget(later)
    assert await any_stores.sessions.get("sid-1") is None
    decision, _ = await any_stores.sessions.open(once, Rules(), ("sid-2", b"s" * 32), until, later)
    assert isinstance(decision, Refuse)


async def test_links_of_two_issuers_with_one_id_are_two_links(any_stores: Stores) -> None:
    await opened(any_stores, "sid-1")
    await opened(any_stores, "sid-2", replace(REQUEST, iss="partner"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("sid", "sid-1"), ("lid", "link-1"), ("viewer", "anna"), ("asset", "film"), ("kid", "site/k1")],
)
async def test_revoking_marks_the_sessions_concerned_and_no_other(
    any_stores: Stores, kind: str, value: str
) -> None:
    await opened(any_stores, "sid-1")
    other = Request("b", "k2", "link-2", False, "default", "b", 1, "bob", None, "10.0.0.1", "edge-1")
    await opened(any_stores, "sid-2", other)
    assert await any_stores.sessions.revoke(kind, value) == 1
    states = [(await any_stores.sessions.get(sid)) for sid in ("sid-1", "sid-2")]
    assert [session.state for session in states if session] == ["revoked", "live"]


async def test_activity_adds_up_over_nodes_and_the_latest_time_stays(any_stores: Stores) -> None:
    await opened(any_stores, "sid-1")
    await any_stores.sessions.add_activity("edge-1", {"sid-1": Activity(NOW + 20, 2, 1000, 4.0)})
    told = {"sid-1": Activity(NOW + 10, 3, 2**40, 8.5), "gone": Activity(NOW, 1, 1, 1.0)}
    await any_stores.sessions.add_activity("edge-2", told)
    await any_stores.sessions.add_activity("edge-2", {})
    (seen,) = await any_stores.sessions.seen_since(NOW + 20)
    assert (seen.last_seen, seen.requests, seen.bytes, seen.media_s) == (NOW + 20, 5, 1000 + 2**40, 12.5)
    assert seen.session.edge == "edge-2"
    assert await any_stores.sessions.seen_since(NOW + 21) == []
    counted = [await any_stores.sessions.count_since(NOW + since) for since in (20, 21)]
    assert counted == [1, 0]


async def test_what_the_ripper_score_is_made_of_adds_up_too_and_the_last_position_stays(
    any_stores: Stores,
) -> None:
    await opened(any_stores, "sid-1")
    for told in (
        Activity(NOW + 1, 1, 10, 4.0, 1.0, 2.0, 3.0, 40.0),
        Activity(NOW + 2, 1, 10, 4.0, 0.5, 0.5, 0.5, 80.0),
        Activity(NOW + 3, 1, 10, 0.0),
    ):
        await any_stores.sessions.add_activity("edge-1", {"sid-1": told})
    ((who, (known,)),) = (await any_stores.rippers.seen_since(NOW, NOW)).items()
    assert who.name == REQUEST.viewer
    assert known.course == Course("sid-1", REQUEST.asset, NOW, NOW + 3, 8.0, 1.5, 2.5, 3.5, 80.0)
    assert await any_stores.rippers.seen_since(NOW + 4, NOW) == {}, "not seen since"
    verdict = Verdict(70, {"sessions": 40, "renditions": 30})
    await any_stores.rippers.rate({"sid-1": verdict, "gone": verdict})
    assert [await any_stores.rippers.claim(["sid-1"], "log") for _ in range(2)] == [True, False]
    assert await any_stores.rippers.claim(["sid-1"], "slow"), "another setting, another action"
    (seen,) = await any_stores.sessions.seen_since(NOW)
    assert (seen.score, seen.signals, seen.acted) == (70, verdict.signals, "slow")
    await any_stores.sessions.revoke("sid", "sid-1")
    assert await any_stores.rippers.seen_since(NOW, NOW) == {}, "revoked"


async def test_nodes_telling_at_once_lose_nothing(any_stores: Stores) -> None:
    for n in range(5):
        await opened(any_stores, f"sid-{n}", replace(REQUEST, link_id=f"l{n}"))
    told = {f"sid-{n}": Activity(NOW + 1, 1, 10, 4.0) for n in range(5)}
    backwards = dict(reversed(told.items()))
    await asyncio.gather(
        *(any_stores.sessions.add_activity("e", backwards if n % 2 else told) for n in range(10))
    )
    assert [seen.requests for seen in await any_stores.sessions.seen_since(NOW)] == [10] * 5


async def test_t21_a_viewers_address_is_shortened_to_his_network_after_a_day(any_stores: Stores) -> None:
    await opened(any_stores, "sid-1")
    await any_stores.forget(NOW + 24 * 3600 + 1)
    session = await any_stores.sessions.get("sid-1")
    assert session is not None
    assert session.client_ip == session.client_network == "198.51.100.0/24"


async def test_records_long_over_are_forgotten(any_stores: Stores) -> None:
    session = await opened(any_stores, "sid-1", replace(REQUEST, single_use=True))
    await any_stores.forget(session.expires + KEPT_AFTER_END_S + 1)
    async with any_stores.database.read() as connection:
        for table in (sessions, used_links):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0


# ---- generations


async def add(stores: Stores, generation: int, now: float = NOW) -> None:
    """A generation of the film, under the first key of its tenant."""
    await stores.keys.add_tenant_key("default", TENANT_KEY, NOW)
    assert await stores.keys.add_generation("default", GenerationRow("film", generation, 1, KEYS), now)


async def kept(stores: Stores, generation: int) -> WrappedKeys | None:
    """The wrapped keys there are of a generation of the film."""
    found = await stores.keys.generation("default", "film", generation)
    return found[0].keys if found else None


async def test_generation_numbers_grow_and_are_never_given_twice(any_stores: Stores) -> None:
    keys = any_stores.keys
    numbers = await asyncio.gather(*(keys.next_generation("default", "film") for _ in range(8)))
    assert sorted(numbers) == list(range(1, 9))
    await keys.delete_asset("default", "film")
    assert await keys.next_generation("default", "film") == 9
    assert await keys.next_generation("default", "other") == 1


async def test_new_sessions_pin_what_is_published_and_an_older_one_cannot_replace_it(
    any_stores: Stores,
) -> None:
    keys = any_stores.keys
    for _ in range(2):
        generation = await keys.next_generation("default", "film")
        await add(any_stores, generation)
    assert await keys.published("default", "film") is None
    assert await keys.publish("default", "film", 3, None, NOW) is None
    assert await keys.publish("default", "film", 2, {"rate": 4.0}, NOW) == 2
    assert await keys.publish("default", "film", 1, None, NOW) == 2
    published = await keys.published("default", "film")
    assert published is not None
    assert (published.generation, published.pace) == (2, {"rate": 4.0})


async def test_k2_a_replaced_generation_keeps_its_keys_for_a_day(any_stores: Stores) -> None:
    keys = any_stores.keys
    for at in (NOW, NOW + 10):
        generation = await keys.next_generation("default", "film")
        await add(any_stores, generation, at)
        await keys.publish("default", "film", generation, None, at)
    replaced = NOW + 10
    assert await keys.delete_superseded(replaced + SUPERSEDED_KEPT_S) == 0
    assert await kept(any_stores, 1) == KEYS
    assert await keys.delete_superseded(replaced + SUPERSEDED_KEPT_S + 1) == 1
    assert await kept(any_stores, 1) is None
    assert await kept(any_stores, 2) == KEYS


async def test_deleting_an_asset_deletes_every_wrapped_key(any_stores: Stores) -> None:
    keys = any_stores.keys
    generation = await keys.next_generation("default", "film")
    await add(any_stores, generation)
    await keys.publish("default", "film", generation, None, NOW)
    await opened(any_stores, "sid-1")
    await keys.delete_asset("default", "film")
    assert await keys.generation("default", "film", generation) is None
    assert await keys.published("default", "film") is None
    async with any_stores.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(generations)) == 0
    ended = await any_stores.sessions.revoke_asset("default", "film", NOW)
    assert [session.sid for session in ended] == ["sid-1"]


# ---- nodes and revocations


async def test_a_node_enrols_once_and_its_name_is_its_own(any_stores: Stores) -> None:
    jwk = {"kty": "OKP", "x": "a"}
    assert await any_stores.nodes.enrol("edge-1", "edge", jwk, NOW)
    assert await any_stores.nodes.enrol("edge-1", "edge", dict(reversed(jwk.items())), NOW + 1)
    assert not await any_stores.nodes.enrol("edge-1", "edge", {"kty": "OKP", "x": "b"}, NOW)
    assert not await any_stores.nodes.enrol("edge-1", "origin", jwk, NOW)
    assert await any_stores.nodes.all() == [("edge-1", "edge", jwk)]


async def test_revocations_made_at_once_get_versions_without_holes(any_stores: Stores) -> None:
    log = any_stores.revocations
    await asyncio.gather(*(log.add([("sid", f"s{n}"), ("lid", f"l{n}")], UNTIL, NOW) for n in range(6)))
    version, entries = await log.after(0, NOW)
    assert version == 12
    assert [entry.version for entry in entries] == list(range(1, 13))
    assert await log.add([], UNTIL, NOW) == []
    assert await log.version() == 12


async def test_a_reader_from_the_start_is_spared_what_counts_no_more_others_get_all(
    any_stores: Stores,
) -> None:
    log = any_stores.revocations
    await log.add([("sid", "a")], NOW + 5, NOW)
    await log.add([("sid", "b")], NOW + 500, NOW)
    await log.add([("sid", "c")], NOW + 5, NOW)
    later = NOW + 6
    assert [entry.value for entry in (await log.after(0, later))[1]] == ["b"]
    assert [entry.value for entry in (await log.after(1, later))[1]] == ["b", "c"]
    assert (await log.after(0, later))[0] == 3


async def test_versions_go_on_after_old_entries_were_dropped_and_a_late_reader_notices(
    any_stores: Stores,
) -> None:
    log = any_stores.revocations
    for value in "abc":
        await log.add([("sid", value)], NOW + 5, NOW)
    reader = RevocationSet()
    reader.version = 1
    later = NOW + 5 + ENTRIES_KEPT_S + 1
    await any_stores.forget(later)
    (entry,) = await log.add([("sid", "d")], later + 5, later)
    assert entry.version == 4
    version, entries = await log.after(1, later)
    assert (version, [entry.version for entry in entries]) == (4, [3, 4])
    assert not reader.apply(Feed(version, tuple(entries), later)), "2 is missing: it starts again"


async def test_reading_waits_for_nobody_who_writes(stores: Stores) -> None:
    second = Database(str(stores.database.url))
    async with stores.database.write() as connection:
        await connection.execute(text("DELETE FROM nodes"))
        async with second.read() as reader:
            assert await reader.scalar(text("SELECT count(*) FROM nodes")) == 0
    await second.close()


def test_the_tls_mode_of_a_database_has_the_name_providers_give_it() -> None:
    url = database_url("postgresql://u:p@db.example/keys?sslmode=require")
    assert dict(url.query) == {"ssl": "require"}
