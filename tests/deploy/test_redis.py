"""Which Redis runs: configured, on the PATH, or embedded; private, and started as it must be."""

import asyncio
import stat
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy import redis as redis_plan
from deploy.layers import load
from deploy.supervise import Supervisor


def test_configured_addresses_start_nothing(tmp_path: Path) -> None:
    given = {"data": str(tmp_path), "redis": "redis://a:6379", "redis_control": "none"}
    plan = redis_plan.plan(load(given, {}))
    assert (plan.cache_url, plan.control_url, plan.children) == ("redis://a:6379", None, ())


def test_no_cache_still_has_control_state(tmp_path: Path) -> None:
    plan = redis_plan.plan(load({"data": str(tmp_path), "redis": "none"}, {}))
    assert plan.cache_url is None and [child.name for child in plan.children] == ["redis-control"]


def test_a_server_on_the_path_wins_over_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = redis_plan.program(load({"data": str(tmp_path), "redis_server": ""}, {}))
    (tmp_path / "bin").mkdir()
    own = tmp_path / "bin" / "valkey-server"
    own.symlink_to(embedded)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert redis_plan.program(load({}, {})) == str(own)


async def test_both_servers_start_on_private_sockets_with_their_own_policies(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 30)  # too long a path for a unix socket
    plan = redis_plan.plan(load({"data": str(data), "redis_memory": "64M"}, {}))
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.add(plan.children)
    try:
        for url, policy, append in (
            (plan.cache_url, "allkeys-lfu", "no"),
            (plan.control_url, "noeviction", "yes"),
        ):
            assert url is not None
            async with asyncio.timeout(20):
                while not await redis_plan.answers(url):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            socket = Path(url.removeprefix("unix://"))
            assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
            client = Redis.from_url(url, decode_responses=True)
            found = await client.config_get("maxmemory-policy", "appendonly", "port")
            assert found == {"maxmemory-policy": policy, "appendonly": append, "port": "0"}
            await client.aclose()
    finally:
        await supervisor.stop()
