"""F27: keys answers no more. Who watches, watches on, whichever worker he comes to; who comes new waits."""

import os
import signal

import httpx

from tests.support.eventually import eventually
from tests.support.packaged import Packaged
from tests.support.system import System
from tests.support.viewer import Viewer, decrypt

CONNECTIONS = 12  # new ones, so that each worker gets some


async def test_f27_running_sessions_play_on_with_every_worker(breakable: System, published: str) -> None:
    stored = await Packaged.of(breakable.data, published)
    keys = breakable.children()["keys"]
    async with await Viewer(breakable.sign(published)).opened() as viewer:
        rendition = viewer.renditions()[0]
        assert (await viewer.get(viewer.segment_url(rendition, 0))).status_code == 200
        late = breakable.sign(published)
        os.kill(keys, signal.SIGSTOP)
        try:
            for _ in range(CONNECTIONS):
                async with httpx.AsyncClient(timeout=30) as client:
                    key = await client.get(f"{viewer.url.rsplit('/', 1)[0]}/{rendition}/key/0")
                    body = await client.get(viewer.segment_url(rendition, 1))
                assert (key.status_code, body.status_code) == (200, 200), breakable.logs()
                assert decrypt(key.content, 1, body.content) == stored.segment(rendition, 1)
            async with Viewer(late) as newcomer:
                refused = await newcomer.open()
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                assert int(refused.headers["retry-after"]) > 0
        finally:
            os.kill(keys, signal.SIGCONT)

        async def opens() -> bool:
            async with Viewer(late) as newcomer:
                return (await newcomer.open()).status_code == 200

        await eventually(opens, within_s=10)
