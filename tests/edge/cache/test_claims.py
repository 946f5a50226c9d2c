"""Who fills: one of a node, one of a region, and never nobody."""

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.cache.claims import PATIENCE_S, Claims, NodeClaims
from edge.cache.redis import RedisSlices
from edge.cache.slices import ObjectId
from keys.problems import Problem

OBJECT = ObjectId("default", "film", 1, "720p", "7.m4s")
OTHER = OBJECT._replace(name="8.m4s")


def test_one_worker_of_a_node_has_the_claim(tmp_path: Path) -> None:
    one, other = NodeClaims(tmp_path), NodeClaims(tmp_path)
    held = one.take(OBJECT)
    assert held is not None
    assert other.take(OBJECT) is None
    assert one.take(OBJECT) is None
    free = other.take(OTHER)
    assert free is not None
    held.close()
    again = other.take(OBJECT)
    assert again is not None
    again.close()
    free.close()
    assert list(tmp_path.iterdir()) == []


def test_f16_a_claim_dies_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys,time,pathlib; from edge.cache.claims import NodeClaims;"
        "from edge.cache.slices import ObjectId;"
        "c=NodeClaims(pathlib.Path(sys.argv[1])).take(ObjectId('default','film',1,'720p','7.m4s'));"
        "print('held',flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        claims = NodeClaims(tmp_path)
        assert claims.take(OBJECT) is None
        holder.kill()
    taken = claims.take(OBJECT)
    assert taken is not None
    taken.close()


def test_who_waited_while_another_failed_is_told_and_who_came_later_may_try(
    tmp_path: Path, clock: Any
) -> None:
    one, other = Claims(tmp_path, None, now=clock), Claims(tmp_path, None, now=clock)
    began = clock.time
    with pytest.raises(Problem, match="bad_upstream"), one.node_turn(OBJECT, began) as ours:
        assert ours
        with other.node_turn(OBJECT, began) as theirs:
            assert not theirs
        clock.time += 1
        raise Problem("bad_upstream")
    clock.time += 1
    for _ in range(2):
        with pytest.raises(Problem, match="another worker"), other.node_turn(OBJECT, began):
            pytest.fail("it was told")
    with other.node_turn(OBJECT, clock.time) as ours:
        assert ours
    assert list(tmp_path.iterdir()) == []


def test_what_failed_fills_left_is_tidied_at_start(tmp_path: Path, clock: Any) -> None:
    claims = Claims(tmp_path, None, now=clock)
    with pytest.raises(Problem), claims.node_turn(OBJECT, 0):
        raise Problem("unavailable")
    with claims.node_turn(OTHER, 0):
        Claims(tmp_path, None).tidy()
        assert [path.name for path in tmp_path.iterdir()] == [OTHER.file_name()]


def test_a_claim_is_freed_though_its_word_finds_no_room(tmp_path: Path, clock: Any) -> None:
    """As on a full tmpfs: the file may not grow."""
    program = (
        "import sys,pathlib,resource,signal; from edge.cache.claims import NodeClaims;"
        "from edge.cache.slices import ObjectId;"
        "claims=NodeClaims(pathlib.Path(sys.argv[1])); object=ObjectId('default','film',1,'720p','7.m4s');"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "claims.take(object).close(failed_at=1.0);"
        "claims.take(object).close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert "freed without a word" in done.stderr


def test_where_there_can_be_no_claim_the_turn_is_ours(tmp_path: Path, clock: Any) -> None:
    claims = Claims(tmp_path / "claims", None, now=clock)
    (tmp_path / "claims").rmdir()
    with claims.node_turn(OBJECT, clock.time) as ours:
        assert ours
        with claims.node_turn(OBJECT, clock.time) as again:
            assert again


async def test_alone_every_turn_is_ours(tmp_path: Path) -> None:
    claims = Claims(tmp_path, None)
    async with claims.fleet_turn(OBJECT, claims.now()) as ours:
        assert ours
        async with claims.fleet_turn(OBJECT, claims.now()) as again:
            assert again


async def test_one_node_of_a_region_has_the_claim_and_keeps_it_alive(
    tmp_path: Path, redis_server: Any
) -> None:
    store = RedisSlices(redis_server.url)
    one = Claims(tmp_path / "1", store, ttl_ms=300, heartbeat_s=0.05)
    other = Claims(tmp_path / "2", store, ttl_ms=300)
    async with one.fleet_turn(OBJECT, one.now()) as ours:
        assert ours
        await asyncio.sleep(0.5)
        async with other.fleet_turn(OBJECT, other.now()) as theirs:
            assert not theirs
        async with other.fleet_turn(OTHER, other.now()) as theirs:
            assert theirs
    async with other.fleet_turn(OBJECT, other.now()) as theirs:
        assert theirs
    await store.close()


async def test_a_node_that_lives_but_brings_nothing_is_not_waited_for_without_end(
    tmp_path: Path, redis_server: Any, clock: Any
) -> None:
    store = RedisSlices(redis_server.url)
    one, other = Claims(tmp_path / "1", store), Claims(tmp_path / "2", store, now=clock)
    began = clock.time
    async with one.fleet_turn(OBJECT, one.now()) as ours:
        assert ours
        clock.time = began + PATIENCE_S - 1
        async with other.fleet_turn(OBJECT, began) as theirs:
            assert not theirs
        clock.time = began + PATIENCE_S
        async with other.fleet_turn(OBJECT, began) as theirs:
            assert theirs
        async with other.fleet_turn(OBJECT, began + 1) as theirs:
            assert not theirs, "it saw the object get on since"
    await store.close()


async def test_a_claim_taken_by_somebody_else_is_counted_and_left_alone(
    tmp_path: Path, redis_server: Any
) -> None:
    lost = asyncio.Event()
    counts: Counter[str] = Counter()

    def count(name: str, by: int) -> None:
        counts[name] += by
        lost.set()

    store = RedisSlices(redis_server.url)
    claims = Claims(tmp_path, store, heartbeat_s=0.01, count=count)
    async with claims.fleet_turn(OBJECT, claims.now()):
        await store.drop("c:default/film/1/720p/7.m4s")
        assert await store.claim("c:default/film/1/720p/7.m4s", b"somebody", 5000)
        await lost.wait()
    assert counts == {"claims_lost": 1}
    assert await store.release("c:default/film/1/720p/7.m4s", b"somebody") is True
    await store.close()


async def test_f9_without_redis_the_turn_is_ours(tmp_path: Path, redis_server: Any) -> None:
    store = RedisSlices(redis_server.url)
    claims = Claims(tmp_path, store, heartbeat_s=0.01)
    async with claims.fleet_turn(OBJECT, claims.now()) as ours:
        assert ours
        redis_server.kill()
        await asyncio.sleep(0.05)
        async with claims.fleet_turn(OBJECT, claims.now()) as again:
            assert again
    await store.close()
