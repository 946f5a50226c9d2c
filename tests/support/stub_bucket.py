"""An origin of the operator's own for zones, in a thread: what it has may be kept for a minute."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from starlette.types import Receive, Scope, Send

from tests.support.lifespan import lived
from tests.support.serving import served

BODY = bytes(range(256)) * 4096


@dataclass
class Bucket:
    """What it was asked for: path, and query where there was one."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        query = scope["query_string"].decode()
        self.asked.append(scope["raw_path"].decode() + (f"?{query}" if query else ""))
        fields = [(b"cache-control", b"max-age=60"), (b"content-length", b"%d" % len(BODY))]
        fields.append((b"surrogate-key", b"all key-of-" + scope["raw_path"]))
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": BODY})


@contextlib.contextmanager
def bucket_in_a_thread() -> Iterator[Bucket]:
    """It answers while entered."""
    origin, ready = Bucket(), threading.Event()
    end: list[Callable[[], object]] = []

    async def live() -> None:
        ended = asyncio.Event()
        end.append(partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set))
        async with served(origin) as origin.url:
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    ready.wait()
    try:
        yield origin
    finally:
        end[0]()
        thread.join()
