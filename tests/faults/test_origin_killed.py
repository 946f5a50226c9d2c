"""F1: the origin dies or stands still. What is cached plays on."""

import asyncio
import os
import signal

from tests.support.load import kill, load_on, replaced
from tests.support.system import System
from tests.support.viewer import Viewer


async def warm(system: System, asset: str) -> None:
    """Every object of the asset is cached."""
    async with await Viewer(system.sign(asset)).opened() as viewer:
        for rendition in viewer.renditions():
            await viewer.whole(rendition)


async def test_f1_what_is_cached_plays_while_the_origin_is_stopped(breakable: System, published: str) -> None:
    await warm(breakable, published)
    origin = breakable.children()["origin"]
    os.kill(origin, signal.SIGSTOP)
    try:
        load = await load_on(breakable, published)  # new sessions too
        running = asyncio.create_task(load.run())
        await load.more(30)
        load.stopping.set()
        await running
        assert (load.wrong, load.refused, load.broken) == ([], [], 0), breakable.logs()
    finally:
        os.kill(origin, signal.SIGCONT)


async def test_f1_a_killed_origin_is_replaced_and_playback_does_not_notice(
    breakable: System, published: str
) -> None:
    await warm(breakable, published)
    load = await load_on(breakable, published)
    running = asyncio.create_task(load.run())
    await load.more(10)
    origin = breakable.children()["origin"]
    kill(origin)
    await load.more(20)
    await replaced(breakable, "origin", origin)
    load.stopping.set()
    await running
    assert (load.wrong, load.refused, load.broken) == ([], [], 0), breakable.logs()
