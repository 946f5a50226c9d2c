"""T4, F9, F27: what was taken back stays so when both Redis servers, keys and every worker are killed."""

import os
import signal

import httpx

from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.viewer import Viewer


async def test_t4_a_revocation_survives_the_loss_of_redis_and_a_restart_of_everything(
    world: Fleet, published: str
) -> None:
    system = world.system
    late = system.sign(published, viewer="gone")
    async with (
        await Viewer(system.sign(published, viewer="gone")).opened() as viewer,
        await Viewer(system.sign(published, viewer="stays")).opened() as other,
    ):
        urls = [world.at(viewer.segment_url("720p", 0), edge) for edge in range(2)]
        fine = [world.at(other.segment_url("720p", 0), edge) for edge in range(2)]

        async def answers(wanted: list[str]) -> list[int]:
            found = []
            for url in wanted:
                try:
                    async with httpx.AsyncClient(timeout=30) as client:
                        found.append((await client.get(url)).status_code)
                except httpx.HTTPError:
                    found.append(0)
            return found

        assert await answers(urls + fine) == [200] * 4
        told = system.sluice("revoke", "viewer:gone")
        assert told.returncode == 0, told.stderr

        async def ended() -> bool:
            return await answers(urls) == [403, 403]

        await eventually(ended, within_s=30)
        for name, pid in system.children().items():
            if name != "admin" and name != "origin":
                os.kill(pid, signal.SIGKILL)

        async def back() -> bool:
            assert 200 not in await answers(urls), "never un-revoked, not even while everything starts"
            return await answers(fine) == [200, 200]

        await eventually(back, within_s=60)
        assert await answers(urls) == [403, 403], system.logs()
        async with Viewer(late) as newcomer:
            refused = await newcomer.open()
        assert (refused.status_code, refused.json()["code"]) == (403, "revoked")
