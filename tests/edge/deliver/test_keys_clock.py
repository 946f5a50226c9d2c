"""T23, F24: a clock that jumps on one edge. Nothing crashes, nothing new begins, nobody else is harmed."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from edge.deliver.keys_clock import ALARM_S, MOST_S, KeysClock
from keys.problems import Problem
from tests.edge.parts import World, world

HOUR = 3600.0
TEN_YEARS = 10 * 365 * 24 * HOUR
SEGMENT = "720p/0.m4s"


@dataclass
class Wall:
    """A wall clock that can be set wrong."""

    off_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.off_s


@dataclass
class Clocks:
    """Both clocks of a node, standing still."""

    wall: float = 1_800_000_000.0
    monotonic: float = 500.0

    def made(self) -> KeysClock:
        return KeysClock(lambda: self.wall, lambda: self.monotonic)


async def opens(edge: World, client: httpx.AsyncClient) -> int:
    return (await client.get(edge.link(session_s=int(2 * HOUR)))).status_code


async def health(edge: World, client: httpx.AsyncClient) -> tuple[int, str, bool]:
    """Status of /healthz, what it says of the clock, whether sessions may begin."""
    answer = await client.get(f"{edge.url}/healthz")
    return answer.status_code, answer.json()["checks"]["clock"], answer.json()["new_sessions"]


@pytest.mark.parametrize(
    ("off_s", "plays"),
    [(HOUR, 200), (-HOUR, 403), (TEN_YEARS, 403)],  # token checks follow wall time (F24)
    ids=["an hour ahead", "an hour behind", "ten years ahead"],
)
async def test_t23_a_clock_that_jumps_opens_nothing_and_is_forgiven_when_it_is_right_again(
    web: Path, client: httpx.AsyncClient, off_s: float, plays: int
) -> None:
    wall = Wall()
    async with world(web, now=wall) as edge:
        edge.keys.session_s = int(2 * HOUR)
        base = edge.session()
        assert (await client.get(base + SEGMENT)).status_code == 200
        assert await opens(edge, client) == 302
        assert await health(edge, client) == (200, "ok", True)
        wall.off_s = off_s
        calls = edge.keys.calls.count("open_session")
        answer = await client.get(edge.link())
        assert answer.status_code in (403, 503)
        assert answer.status_code == 403 or int(answer.headers["retry-after"]) > 0
        assert edge.keys.calls.count("open_session") == calls, "keys is not even asked"
        assert (await client.get(base + SEGMENT)).status_code == plays
        status, words, new = await health(edge, client)
        assert (status, new) == (200, False)
        assert words.endswith("ahead of keys" if off_s > 0 else "behind keys")
        wall.off_s = 0.0
        assert (await client.get(base + SEGMENT)).status_code == 200
        assert await opens(edge, client) == 302
        assert await health(edge, client) == (200, "ok", True)


async def test_t23_what_was_revoked_stays_revoked_over_every_jump(
    web: Path, client: httpx.AsyncClient
) -> None:
    wall = Wall()
    async with world(web, now=wall) as edge:
        edge.keys.session_s = int(2 * HOUR)
        url = edge.session() + SEGMENT
        assert (await client.get(url)).status_code == 200
        edge.keys.revoke("sid", "AAAAAAAAAAAAAAAAAAAAAA")
        await edge.app.revocations.poll()
        for off_s in (0.0, HOUR - 60, -HOUR, TEN_YEARS, 0.0):
            wall.off_s = off_s
            await edge.app.revocations.poll()
            assert (await client.get(url)).status_code == 403, off_s


def test_t23_a_jump_is_noticed_between_two_answers_of_keys() -> None:
    clocks = Clocks()
    clock = clocks.made()
    clock.may_open()
    assert clock.time() == clocks.wall, "before keys was heard there is no other time"
    clock.heard(clocks.wall)
    clocks.monotonic += 100
    clocks.wall += 100 + MOST_S + 1
    assert clock.skew_s() == pytest.approx(MOST_S + 1)
    with pytest.raises(Problem) as caught:
        clock.may_open()
    assert (caught.value.code, "31 s ahead of keys" in caught.value.detail) == ("unavailable", True)


@pytest.mark.parametrize(
    ("skew", "alarm", "opens_"), [(4.0, False, True), (6.0, True, True), (-6, True, True), (-31, True, False)]
)
def test_t23_five_seconds_are_an_alarm_and_thirty_stop_new_sessions(
    skew: float, alarm: bool, opens_: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sluice")
    clocks = Clocks()
    clock = clocks.made()
    clock.heard(clocks.wall - skew)
    assert (clock.missing() is not None) == alarm == bool(caplog.records)
    assert (clock.missing_for_new() is None) == opens_
    clock.heard(clocks.wall - skew)
    assert len(caplog.records) == int(alarm), "told once"
    clock.heard(clocks.wall)
    assert clock.missing() is None
    assert len(caplog.records) == 2 * int(alarm), "and that it is over"


@pytest.mark.parametrize("jump", [HOUR, -HOUR, TEN_YEARS])
def test_t23_what_edges_share_goes_by_keys_time_whatever_the_wall_clock_says(jump: float) -> None:
    clocks = Clocks()
    clock = clocks.made()
    clock.heard(clocks.wall + 2)
    before = clock.time()
    clocks.wall += jump
    clocks.monotonic += 7
    assert clock.time() == before + 7
    assert ALARM_S < MOST_S
