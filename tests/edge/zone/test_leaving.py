"""Who goes before the end: a client while the origin is asked, an origin while its body comes."""

import asyncio
from collections.abc import Iterable

import httpx
import pytest

from tests.edge.zone.raw import FRESH, HELLO, raw
from tests.edge.zone.test_serving import Clock
from tests.support.serving import eventually


def _logged(caplog: pytest.LogCaptureFixture, words: str) -> Iterable[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_body_that_breaks_off_is_one_line_in_the_log(
    kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    short = (FRESH if kept else HELLO).replace(b" 5", b" 50")
    async with raw(lambda *_: short) as (client, origin):
        getting = asyncio.create_task(client.get("/a"))
        await eventually(lambda: bool(origin.heads))
        origin.writers[0].close()
        with pytest.raises(httpx.RemoteProtocolError):
            await getting
    assert len(list(_logged(caplog, "broke off"))) == 1
    assert not [record for record in caplog.records if record.exc_info]
    assert not list(_logged(caplog, "ASGI"))


async def test_a_client_that_goes_ends_the_request_that_only_it_waits_for() -> None:
    async with raw(lambda *_: b"") as (client, origin):
        getting = asyncio.create_task(client.get("/a"))
        await eventually(lambda: bool(origin.heads))
        getting.cancel()
        async with asyncio.timeout(10):
            await origin.gone.wait()


async def test_a_client_that_goes_leaves_the_request_to_those_who_wait_with_it() -> None:
    async with raw(lambda *_: b"") as (client, origin):
        first = asyncio.create_task(client.get("/a"))
        await eventually(lambda: bool(origin.heads))
        second = asyncio.create_task(client.get("/a", headers={"x-second": "1"}))
        third = asyncio.create_task(client.get("/b"))  # sent after the second: when it is there, so is that
        await eventually(lambda: len(origin.heads) == 2)
        first.cancel()
        await asyncio.wait((first,))
        third.cancel()
        async with asyncio.timeout(10):
            await origin.gone.wait()  # the one for /b: by now the edge knows that the first client went
        origin.writers[0].write(FRESH)
        got = await second
    assert got.text == "hello" and "collapsed" in got.headers["cache-status"]
    assert [path for _, path in origin.paths] == ["/a", "/b"]


async def test_who_waits_for_another_is_told_why_it_would_have_asked() -> None:
    clock = Clock()
    stale = FRESH.replace(b"=60", b"=5")
    answers = iter([stale, b""])
    async with raw(lambda *_: next(answers), clock) as (client, origin):
        await client.get("/a")
        clock.ahead = 60
        asking = [asyncio.create_task(client.get("/a"))]
        await eventually(lambda: len(origin.heads) == 2)
        asking.append(asyncio.create_task(client.get("/a")))
        marker = asyncio.create_task(client.get("/b", headers={"cache-control": "only-if-cached"}))
        assert (await marker).status_code == 504
        origin.writers[0].write(FRESH)
        got = await asyncio.gather(*asking)
    assert "fwd=stale" in got[0].headers["cache-status"] and "stored" in got[0].headers["cache-status"]
    assert "fwd=stale; ttl=" in got[1].headers["cache-status"]
    assert got[1].headers["cache-status"].endswith("; collapsed")
