"""T2: a session used from many networks in a minute is counted and logged, and plays on."""

import logging

import httpx
import pytest

from edge.deliver.clients import networks
from edge.deliver.networks import MANY, MOST, Networks
from tests.edge.parts import World

SID = "A" * 22


class Watch:
    """A worker's networks, a clock to turn, and what was counted."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counted = 0
        self.networks = Networks(lambda: self.now, self._count)

    def _count(self, name: str, by: int) -> None:
        assert name == "sessions_scattered"
        self.counted += by

    def used(self, *clients: str, sid: str = SID, every_s: float = 1.0) -> int:
        for client in clients:
            self.networks.note(sid, client)
            self.now += every_s
        return self.counted


def test_t2_a_session_handed_round_is_counted_once_a_minute_and_named_without_an_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    clients = [f"198.51.{n}.7" for n in range(MANY)]
    assert watch.used(*clients, *clients) == 0
    assert watch.used("2001:db8::1") == 1
    (line,) = caplog.messages
    assert SID in line and "198.51" not in line and "2001" not in line
    assert watch.used(*clients, "203.0.113.1", *clients) == 1, "in the same minute it is counted once"
    assert watch.used(*(clients * 30), "203.0.113.1") > 1


def test_a_viewer_who_moves_is_not_counted() -> None:
    watch = Watch()
    assert watch.used(*(f"198.51.100.{n}" for n in range(1, 200))) == 0, "addresses of one network"
    assert watch.used(*(f"2001:db8::{n:x}" for n in range(1, 200)), sid="B" * 22) == 0
    assert watch.used(*(f"10.0.{n}.1" for n in range(100)), sid="C" * 22, every_s=31) == 0, "one at a time"
    for n in range(20):
        assert watch.used(f"10.1.{n}.1", sid=f"{n}") == 0, "sessions of their own"


def test_who_has_no_address_is_in_no_network() -> None:
    assert Watch().used(*(f"nowhere-{n}" for n in range(20)), "") == 0


def test_what_a_worker_remembers_is_bounded() -> None:
    watch = Watch()
    for n in range(MOST + 100):
        watch.used("192.0.2.1", "198.51.100.1", sid=str(n))
    kept = watch.networks
    assert max(len(kept._last), len(kept._seen), len(kept._told)) <= MOST


async def test_t2_over_a_proxy_the_viewers_own_networks_count_and_nothing_is_refused(
    edge: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sluice.edge.networks")
    monkeypatch.setattr(edge.app.media, "_trusted", networks(["127.0.0.0/8"]))
    base = edge.session()
    for n in range(MANY + 2):
        answer = await client.get(base + "720p/0.m4s", headers={"x-forwarded-for": f"198.51.{n}.7"})
        assert answer.status_code == 200
    assert edge.counted["sessions_scattered"] == 1
    assert len(caplog.messages) == 1
