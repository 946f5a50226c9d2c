"""The log of purges: who may write it, how fast, what a name may be, and what a reader is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import purge, store_purges
from keys.client import KeysClient, node_credential
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.purge import NEW, Purge, Purges, Rate, named
from keys.purging import A_SECOND, AT_ONCE
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from keys.zone_names import HEARD_S, ZoneNames

if TYPE_CHECKING:
    from tests.keys.conftest import Clock, Serve

ANY = st.text(max_size=60)


async def code(doing: object) -> str | None:
    try:
        await doing  # type: ignore[misc]
    except Problem as problem:
        return problem.code
    return None


async def edge(
    service: KeysService,
    url: str,
    folder: Path,
    clock: Clock,
    role: str = "edge",
    zones: tuple[str, ...] = (),
) -> KeysClient:
    node = NodeIdentity.load_or_create(folder / f"{role}.json", f"{role}-1", role)
    await service.roster.enrol(node.name, role, node.public_jwk())
    return KeysClient(url, node_credential(node, clock), zones=zones)


async def test_t22_only_an_operator_purges_and_only_edges_read_the_log(
    service: KeysService, serve: Serve, secrets: Secrets, clock: Clock, tmp_path: Path
) -> None:
    url = await serve(service)
    async with (
        KeysClient(url, lambda: secrets.admin_token) as operator,
        KeysClient(url) as stranger,
        await edge(service, url, tmp_path, clock) as node,
        await edge(service, url, tmp_path, clock, "origin") as origin,
    ):
        for other in (stranger, node, origin):
            assert await code(other.purge("press", "zone")) == "unauthenticated"
        for other in (stranger, operator, origin):
            assert await code(other.purges(0)) == "unauthenticated"
        assert await node.purges(0) == Purges(0), "nothing was purged by any of them"
        made = await operator.purge("press", "url", "/a.jpg", soft=True)
        assert made == Purge(1, "press", "url", "/a.jpg", soft=True)
        assert await node.purges(0) == Purges(1, (made,))
    async with httpx.AsyncClient(base_url=url) as http:
        refused = await http.post("/v1/purges", json={"zone": "press", "kind": "zone"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_purge_of_a_zone_that_no_edge_has_is_made_and_says_so(
    service: KeysService, serve: Serve, secrets: Secrets, clock: Clock, tmp_path: Path
) -> None:
    url = await serve(service)
    async with (
        KeysClient(url, lambda: secrets.admin_token) as operator,
        await edge(service, url, tmp_path, clock, "edge", ("press", "courses")) as one,
        await edge(service, url, tmp_path, clock, "shield", ("press",)) as other,
    ):
        assert (await operator.purge_and_warning("pres", "zone"))[1] == "", "nobody has said which there are"
        await asyncio.gather(one.purges(0), other.purges(0))
        made, warning = await operator.purge_and_warning("pres", "zone")
        assert made == Purge(2, "pres", "zone", "", soft=False), "an edge to come may have it"
        assert warning == "No edge has a zone of that name; there are courses, press."
        assert (await operator.purge_and_warning("courses", "zone"))[1] == ""
    async with httpx.AsyncClient(base_url=url) as http:
        proof = {"authorization": f"Bearer {secrets.admin_token}"}
        for zone, more in (("press", set()), ("pres", {"warning"})):
            told = (await http.post("/v1/purges", json={"zone": zone, "kind": "zone"}, headers=proof)).json()
            assert set(told) == {"version", "zone", "kind", "value", "soft"} | more


def test_only_what_all_have_said_lately_is_taken_for_all_there_is() -> None:
    names = ZoneNames()
    assert names.warning("a", 0) == ""
    names.said("one", "a,b", 0)
    assert names.warning("a", 0) == "" and "there are a, b." in names.warning("c", HEARD_S)
    names.said("two", None, 10)  # one of before
    assert names.warning("c", 10) == ""
    for odd in ("", "a,,b", "a b", "<b>", ",".join(f"zone-{number}" for number in range(1000))):
        names.said("two", odd, 20)
        assert names.warning("c", 20) == "", odd
    names.said("one", "a,b", 70)
    assert names.warning("c", 20 + HEARD_S + 1) != "", "the other is gone"
    assert names.warning("c", 71 + HEARD_S) == ""
    names.said("one", ",".join(f"z{number:02}" for number in range(50)), 200)
    assert names.warning("c", 200).endswith("z18, z19 and 30 more.")


async def test_t22_a_purge_names_one_zone_and_something_in_it(service: KeysService) -> None:
    for zone, kind, value in (
        ("", "zone", ""),
        ("*", "zone", ""),
        ("a.b", "zone", ""),
        ("Press", "zone", ""),
        ("press", "zone", "/"),
        ("press", "everything", ""),
        ("press", "url", ""),
        ("press", "url", "a.jpg"),
        ("press", "url", "https://other/a.jpg"),
        ("press", "url", "/a b"),
        ("press", "url", "/a#b"),
        ("press", "url", "/a\n"),
        ("press", "url", "/%2"),
        ("press", "prefix", "/ä"),
        ("press", "prefix", "/" + "a" * 2048),
        ("press", "key", ""),
        ("press", "key", "a,b"),
        ("press", "key", "a\tb"),
        ("press", "key", "a" * 257),
    ):
        assert await code(service.purger.purge(zone, kind, value, soft=False)) == "bad_request", value


async def test_t22_purges_are_limited_in_number(service: KeysService, clock: Clock) -> None:
    for _ in range(AT_ONCE):
        await service.purger.purge("press", "zone", "", soft=True)
    with pytest.raises(Problem) as refused:
        await service.purger.purge("press", "zone", "", soft=True)
    assert refused.value.status == 429 and refused.value.retry_after_s is not None
    clock.advance(2 / A_SECOND)
    assert await code(service.purger.purge("press", "zone", "", soft=True)) is None


@given(st.lists(st.floats(-5, 30), min_size=1, max_size=80))
def test_no_more_are_let_through_than_the_rate_gives(pauses: list[float]) -> None:
    rate, now, longest, done = Rate(2, 5), 100.0, 100.0, 0
    gone_by = 0.0
    for pause in pauses:
        now += pause
        gone_by += max(0.0, pause)
        done += rate.take(now)
        longest = max(longest, now)
    assert done <= 5 + 2 * gone_by + 1e-6


@given(ANY, ANY, ANY)
def test_of_any_names_a_purge_is_refused_or_has_one_spelling(zone: str, kind: str, value: str) -> None:
    for each in (kind, *purge.KINDS):
        for name in (zone, "press"):
            try:
                found = named(name, each, value)
            except Problem as problem:
                assert problem.code == "bad_request"
                continue
            assert named(*found) == found
            assert found[2].isascii() and len(found[2]) <= purge.MOST_VALUE


def test_a_path_is_spelled_as_edges_keep_it() -> None:
    assert named("z", "url", "/%7ea/%c3%a4?x=%7e")[2] == "/~a/%C3%A4?x=%7e"


def test_answers_say_whether_they_join() -> None:
    entries = tuple(Purge(version, "z", "zone", "", soft=False) for version in (4, 5))
    assert Purges(5, entries).joins(3)
    assert Purges(5).joins(5) and Purges(0).joins(0)
    for known in (NEW, 0, 2, 4, 6):
        assert not Purges(5, entries).joins(known)
    assert not Purges(5).joins(4)
    assert not Purges(3).joins(5), "the log was put back"
    assert not Purges(0).joins(NEW), "who knows nothing yet may have missed all"
    assert Purges.from_json(Purges(5, entries).to_json()) == Purges(5, entries)


@pytest.mark.parametrize("spoilt", [{"kind": "all"}, {"soft": "no"}, {"version": "x"}])
def test_what_is_no_purge_is_not_read(spoilt: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Purge.from_json(Purge(1, "z", "zone", "", soft=True).to_json() | spoilt)


async def test_purges_made_at_once_get_versions_without_holes(any_stores: Stores) -> None:
    store = any_stores.purges
    made = await asyncio.gather(
        *(store.add("press", "url", f"/{n}", soft=n % 2 == 0, now=1.0) for n in range(20))
    )
    assert sorted(each.version for each in made) == list(range(1, 21))
    assert await store.version() == 20
    found = await store.after(15)
    assert found.joins(15) and set(found.entries) == {each for each in made if each.version > 15}
    assert await store.after(NEW) == Purges(20)


async def test_old_purges_are_forgotten_and_a_late_reader_notices(
    any_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, day = any_stores.purges, store_purges.KEPT_S
    for n in range(6):
        await store.add("press", "url", f"/{n}", soft=False, now=1000.0 + n)
    await any_stores.forget(1003.5 + day)
    assert (await store.after(4)).joins(4)
    assert not (await store.after(3)).joins(3), "4 is gone"
    monkeypatch.setattr(store_purges, "KEPT_MOST", 1)
    await store.forget(1003.5 + day)
    assert not (await store.after(4)).joins(4)
    await store.forget(9000.0 + day)
    assert (await store.after(6)) == Purges(6), "the newest stays: versions go on"
    assert (await store.add("press", "zone", "", soft=False, now=9000.0 + day)).version == 7


async def test_more_than_one_answer_holds_is_a_hole(
    any_stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_purges, "ANSWERED_MOST", 3)
    for n in range(5):
        await any_stores.purges.add("press", "url", f"/{n}", soft=False, now=1.0)
    assert (await any_stores.purges.after(2)).joins(2)
    assert not (await any_stores.purges.after(1)).joins(1)


async def test_a_poll_is_held_until_there_is_a_purge(service: KeysService) -> None:
    waiting = asyncio.create_task(service.purger.after(0, 20))
    await asyncio.sleep(0)
    assert not waiting.done()
    made = await service.purger.purge("press", "prefix", "/a/", soft=False)
    assert await waiting == Purges(1, (made,))


async def test_a_poll_hears_of_a_purge_of_another_process(
    stores: Stores, secrets: Secrets, clock: Clock, service: KeysService
) -> None:
    other = await KeysService.start(stores, secrets, hosts=["http://edge.test"], now=clock)
    running = asyncio.create_task(service.purger.run())
    try:
        waiting = asyncio.create_task(service.purger.after(0, 20))
        made = await other.purger.purge("press", "zone", "", soft=True)
        assert await waiting == Purges(1, (made,))
    finally:
        running.cancel()


async def test_a_service_that_goes_away_answers_its_polls(service: KeysService) -> None:
    waiting = asyncio.create_task(service.purger.after(0, 20))
    await asyncio.sleep(0)
    await service.hush()
    assert await waiting == Purges(0)
