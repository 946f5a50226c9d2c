"""Over the real system: who takes everything is known and stopped, and who watches meanwhile watches on."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.ripping import Rip, rip_client
from tests.support.system import System, running
from tests.support.viewer import Viewer

pytestmark = pytest.mark.heavy

BURST_S, RATE = 20, 2
FILM_S, SEGMENT_S = 400, 4
THRESHOLD = 60
KNOWN_WITHIN_S = 240.0  # keys looks every 30 s, a minute of waiting is a signal, and the machine may be busy


@pytest.fixture(scope="module", params=["slow", "revoke"])
def acting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[System, str]]:
    """One that holds back soon, and a site that acts."""
    data = tmp_path_factory.mktemp("ripper") / "data"
    options = ("--pace-burst", f"{BURST_S}s", "--key-period", "12s", "--ripper-action", request.param)
    with running(data, *options, workers=2) as found:
        path = tmp_path_factory.mktemp("films") / "long.mp4"
        found.add(make_film(path, seconds=FILM_S, size="160x90", rate=10), "long")
        yield found, request.param


def listed(system: System, viewer: str) -> list[dict[str, Any]]:
    told = system.sluice("sessions", "--viewer", viewer, "--all", "--json")
    found = json.loads(told.stdout)
    assert isinstance(found, list)
    return found


async def watched(viewer: Viewer, until: asyncio.Event) -> None:
    """Watches at real time with half the burst ahead, on and on."""
    began, rendition, number = time.monotonic(), viewer.renditions()[0], 0
    while not until.is_set():
        await viewer.cipher(rendition, number)
        await viewer.cipher("audio", number)
        number = (number + 1) % (FILM_S // SEGMENT_S)
        due = began + (number + 1) * SEGMENT_S - BURST_S / 2
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), max(0.01, due - time.monotonic()))


async def test_a_ripper_is_known_and_acted_on_while_who_watches_is_left_alone(
    acting: tuple[System, str],
) -> None:
    system, action = acting
    link = system.link("long", "--viewer", "rita")
    done = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        clients = [rip_client(170 + n) for n in range(4)]
        rippers = [await stack.enter_async_context(Viewer(link, client)) for client in clients]
        honest = await stack.enter_async_context(Viewer(system.link("long", "--viewer", "anna")))
        for viewer in (*rippers, honest):
            await viewer.opened()
        watching = asyncio.create_task(watched(honest, done))
        ripping = asyncio.create_task(Rip(rippers, FILM_S // SEGMENT_S).run(KNOWN_WITHIN_S + 60))

        async def acted() -> bool:
            found = await asyncio.to_thread(listed, system, "rita")
            return any(one["ripper"]["acted"] == action for one in found)

        await eventually(acted, within_s=KNOWN_WITHIN_S)
        found = listed(system, "rita")
        assert max(one["ripper"]["score"] for one in found) >= THRESHOLD, found
        assert "ripper" in system.sluice("sessions", "--viewer", "rita").stdout
        if action == "revoke":
            await eventually(lambda: stopped(rippers), within_s=15)
            assert {one["state"] for one in found} == {"revoked"}
            async with Viewer(link) as again:
                await again.opened()
        else:
            assert {one["state"] for one in found} == {"live"}
            undone = system.sluice("revoke", "--undo", "slow:rita")
            assert (undone.returncode, undone.stderr.split(":")[0]) == (0, "lifted slow rita")
            assert system.sluice("revoke", "--undo", "slow:rita").returncode == 1
        done.set()
        await watching
        ripping.cancel()
        await asyncio.gather(ripping, return_exceptions=True)
        (anna,) = listed(system, "anna")
        assert anna["ripper"] == {"score": 0, "signals": {}, "acted": ""}
        assert set(honest.statuses) <= {200, 302}
    assert await asyncio.to_thread(counted, system) == {
        "keys_rippers": 1,
        "keys_rippers_slowed": float(action == "slow"),
        "keys_rippers_revoked": float(action == "revoke"),
    }


async def test_an_operator_slows_a_viewer_by_hand(acting: tuple[System, str]) -> None:
    """His first segment comes at once, the second when the first was watched; others wait for nothing yet."""
    system, _ = acting
    told = system.sluice("revoke", "slow:sam")
    assert (told.returncode, told.stderr.startswith("slow sam until ")) == (0, True), told.stderr
    async with (
        Viewer(system.link("long", "--viewer", "other")) as other,
        Viewer(system.link("long", "--viewer", "sam")) as sam,
    ):
        await other.opened()
        await sam.opened()
        waits = system.counts().get("pace_waits", 0.0)
        for number in range(2):
            await other.cipher(other.renditions()[0], number)
        assert system.counts().get("pace_waits", 0.0) == waits
        system.sluice("revoke", "--sessions-of", "other")
        await eventually(lambda: stopped([other] * 8), within_s=15)  # it came later, and so that is known too
        for number in range(2):
            await sam.cipher(sam.renditions()[0], number)
        assert system.counts()["pace_waits"] == waits + 1
        assert set(sam.statuses) <= {200, 302}


def counted(system: System) -> dict[str, float]:
    """What keys counted of rippers."""
    text = httpx.get(f"{system.url('keys')}/metrics", timeout=10).text
    found = re.findall(r"^sluice_(keys_rippers\w*)_total ([0-9.]+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def stopped(viewers: list[Viewer]) -> bool:
    """Whether every session of these is refused."""
    statuses = []
    for viewer in viewers:
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(viewer.segment_url(viewer.renditions()[0], 0))
            statuses.append(answer.status_code)
    return statuses == [403] * len(viewers)
