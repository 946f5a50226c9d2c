"""F16: a worker dies in the middle of everything. It is replaced, and nobody ever gets a wrong byte."""

import asyncio

from tests.support.load import kill, load_on, replaced
from tests.support.system import System

KILLS = 3


async def test_f16_a_killed_worker_is_replaced_and_no_client_gets_a_wrong_byte(
    breakable: System, published: str
) -> None:
    load = await load_on(breakable, published)
    running = asyncio.create_task(load.run())
    for turn in range(KILLS):
        await load.more(20)
        name = f"edge-0-{turn % 2}"
        worker = breakable.children()[name]
        kill(worker)
        await replaced(breakable, name, worker)
    await load.more(40)
    load.stopping.set()
    await running
    assert load.wrong == []
    assert load.refused == [], breakable.logs()
    assert load.broken <= KILLS * len(load.viewers), "only what was under way at the moment of a kill"


async def test_f16_a_cold_fill_survives_the_worker_that_began_it(breakable: System, published: str) -> None:
    """Everybody asks for cold segments while one worker dies: the other takes the fill over."""
    load = await load_on(breakable, published, viewers=6)
    running = asyncio.create_task(load.run())
    worker = breakable.children()["edge-0-0"]
    kill(worker)
    await load.more(40)
    await replaced(breakable, "edge-0-0", worker)
    load.stopping.set()
    await running
    assert load.wrong == [] and load.refused == []
