"""F9: Redis dies. That costs speed; nothing else."""

import asyncio

import pytest

from tests.support.load import kill, load_on, replaced
from tests.support.system import System
from tests.support.viewer import Viewer


@pytest.mark.parametrize("which", ["redis-cache", "redis-control"])
async def test_f9_killing_redis_fails_no_request(breakable: System, published: str, which: str) -> None:
    load = await load_on(breakable, published)
    running = asyncio.create_task(load.run())
    await load.more(20)
    server = breakable.children()[which]
    kill(server)
    await load.more(40)
    await replaced(breakable, which, server)
    await load.more(20)
    load.stopping.set()
    await running
    assert (load.wrong, load.refused, load.broken) == ([], [], 0)


async def test_f9_a_new_viewer_starts_while_redis_is_dying_again_and_again(
    breakable: System, published: str
) -> None:
    for _ in range(3):
        for name in ("redis-cache", "redis-control"):
            if name in (children := breakable.children()):
                kill(children[name])
        async with await Viewer(breakable.link(published)).opened() as viewer:
            rendition = viewer.renditions()[0]
            assert (await viewer.get(viewer.segment_url(rendition, 0))).status_code == 200
