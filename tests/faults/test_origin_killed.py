"""F1, F2: the origin dies or stands still. What is cached plays on; what is not is refused quickly."""

import asyncio
import os
import signal

from tests.support.eventually import eventually
from tests.support.load import kill, load_on, replaced
from tests.support.system import System
from tests.support.viewer import Viewer


async def warm(system: System, asset: str) -> None:
    """Every object of the asset is cached."""
    async with await Viewer(system.link(asset)).opened() as viewer:
        for rendition in viewer.renditions():
            await viewer.whole(rendition)


async def test_f1_what_is_cached_plays_while_the_origin_is_stopped(breakable: System, published: str) -> None:
    await warm(breakable, published)
    origin = breakable.children()["origin"]
    os.kill(origin, signal.SIGSTOP)
    try:
        load = await load_on(breakable, published)  # new sessions too
        running = asyncio.create_task(load.run())
        await load.more(60)
        load.stopping.set()
        await running
        assert (load.wrong, load.refused, load.broken) == ([], [], 0)
    finally:
        os.kill(origin, signal.SIGCONT)


async def test_f1_a_killed_origin_is_replaced_and_playback_does_not_notice(
    breakable: System, published: str
) -> None:
    await warm(breakable, published)
    load = await load_on(breakable, published)
    running = asyncio.create_task(load.run())
    await load.more(20)
    origin = breakable.children()["origin"]
    kill(origin)
    await load.more(40)
    await replaced(breakable, "origin", origin)
    load.stopping.set()
    await running
    assert (load.wrong, load.refused, load.broken) == ([], [], 0)


async def test_f2_what_is_not_cached_is_refused_plainly_and_comes_back(
    breakable: System, published: str
) -> None:
    async with await Viewer(breakable.link(published)).opened() as viewer:
        rendition = viewer.renditions()[0]
        await viewer.playlist(rendition)
        origin = breakable.children()["origin"]
        os.kill(origin, signal.SIGSTOP)
        try:
            answer = await viewer.client.get(viewer.segment_url(rendition, 3))
            assert answer.status_code in (502, 503)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["code"] in ("bad_upstream", "unavailable")
        finally:
            os.kill(origin, signal.SIGCONT)

        async def back() -> bool:
            return (await viewer.client.get(viewer.segment_url(rendition, 3))).status_code == 200

        await eventually(back, within_s=20)
