"""What the guard costs a small request: `python -m tests.edge.guard.bench`.

Both protocols are driven with the same requests over a transport that takes everything, in turns, in one
process; the application answers 2 KB. Printed are the best turn of each, in µs a request, and their ratio;
then the reading alone, beside httptools with the callbacks a server needs.
"""

import asyncio
import timeit
from functools import partial
from typing import Any, Final

import httptools
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from deploy.http_guard import Guard
from deploy.http_protocol import GuardedProtocol
from edge.guard.head import read

TURNS: Final = 40
REQUESTS: Final = 500
BODY: Final = bytes(2048)
SMALL: Final = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8010\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"
BROWSER: Final = b"".join(
    (
        b"GET /v;URISigningPackage=" + b"a" * 340 + b"/film/aes/720p/7.m4s HTTP/1.1\r\n",
        b"Host: edge.example.org\r\nConnection: keep-alive\r\nAccept: */*\r\n",
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36\r\n",
        b"Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n",
        b"Origin: https://films.example.org\r\nReferer: https://films.example.org/\r\n",
        b"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n\r\n",
    )
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 2 KB."""
    headers = [(b"content-length", b"2048"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


class Taker(asyncio.Transport):
    """A transport whose other side takes everything at once."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def turn(make: Any, raw: bytes) -> float:
    """Seconds a request, one after another on one connection."""
    config = Config(app, log_config=None)
    config.load()
    state = ServerState()
    protocol = make(config=config, server_state=state, app_state={})
    protocol.connection_made(Taker())
    began = timeit.default_timer()
    for _ in range(REQUESTS):
        protocol.data_received(raw)
        while state.tasks:  # noqa: ASYNC110 - that is the answer being made
            await asyncio.sleep(0)
    spent = timeit.default_timer() - began
    protocol.connection_lost(None)
    return spent / REQUESTS


class Callbacks:
    """What a server does in httptools' callbacks, and no more."""

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        httptools.parse_url(self.url)


async def main() -> None:
    """Prints both tables."""
    guarded = partial(GuardedProtocol, Guard())
    parser = httptools.HttpRequestParser(Callbacks())
    for name, raw in (("small", SMALL), ("browser", BROWSER)):
        best = {"uvicorn": 1.0, "guarded": 1.0, "httptools": 1.0, "read": 1.0}
        for _ in range(TURNS):
            best["uvicorn"] = min(best["uvicorn"], await turn(HttpToolsProtocol, raw))
            best["guarded"] = min(best["guarded"], await turn(guarded, raw))
            for which, ask in (("httptools", parser.feed_data), ("read", read)):
                spent = timeit.timeit(partial(ask, raw), number=REQUESTS) / REQUESTS
                best[which] = min(best[which], spent)
        us = {which: f"{1e6 * value:.1f} µs" for which, value in best.items()}
        print(f"{name}, {len(raw)} bytes of head:")
        print(f"  a request   uvicorn {us['uvicorn']}, guarded {us['guarded']}", end="")
        print(f"  ({best['guarded'] / best['uvicorn']:.2f})")
        print(f"  its reading httptools {us['httptools']}, guard {us['read']}", end="")
        print(f"  ({best['read'] / best['httptools']:.2f})")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
