"""A TCP proxy that breaks connections on purpose: delay, rate, cut, fin, corrupt, blackhole, refuse, drop.

It stands between two parts of a running system, in a thread of its own with its own event loop, and is
driven by plain calls from the test. Faults that hit one byte count what the server sends on one connection
from the call on: the first connection that gets so far is hit. Self-tests are in tests/faults/test_rig.py.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

PIECE: Final = 1 << 16
WAITING: Final = 16  # pieces on their way in a connection, that is 1 MiB
LOOK_S: Final = 0.01
ALIVE_S: Final = 1.0
_REQUEST: Final = re.compile(rb"(?:^|\n)(GET|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass
class _Fault:
    kind: str  # cut, fin, corrupt, hold
    after: int  # bytes of the server
    seen: dict[int, int] = field(default_factory=dict)  # by connection


class Proxy:
    """Listens on a free port of loopback and passes on to `target`, (host, port), as it is told."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.target = target
        self.delay_s = 0.0  # each way
        self.rate: float | None = None  # bytes a second of each connection, from the server
        self.blackhole = False  # bytes are taken and go nowhere until it is over
        self.holding = False  # whether `hold_after` has come to hold
        self.fired = 0  # faults at a byte that hit a connection
        self.connections = 0  # taken so far
        self.asked: list[str] = []  # targets of the requests that passed
        self.bytes_down = 0
        self._alive = False  # while it holds
        self._faults: deque[_Fault] = deque()
        self._open: set[asyncio.StreamWriter] = set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._thread.start()
        self.port = 0
        self.accept()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self, after: int, times: int = 1) -> None:
        """RST to the client after so many bytes of the server, `times` times."""
        self._faults += [_Fault("cut", after) for _ in range(times)]

    def fin(self, after: int, times: int = 1) -> None:
        """A clean end (FIN) after so many bytes of the server."""
        self._faults += [_Fault("fin", after) for _ in range(times)]

    def corrupt(self, at: int, times: int = 1) -> None:
        """Flips a bit of byte `at` of what the server sends."""
        self._faults += [_Fault("corrupt", at) for _ in range(times)]

    def hold_after(self, after: int, *, alive: bool = False) -> None:
        """From so many bytes of the server on one connection on, everything waits until it is healed.

        `alive`: but for a byte each ALIVE_S, so that nobody gives the server up meanwhile.
        """
        self._alive = alive
        self._faults.append(_Fault("hold", after))

    def heal(self) -> None:
        """Nothing is broken from now on; connections that were cut stay so."""
        self._faults.clear()
        self.delay_s, self.rate, self.blackhole, self.holding = 0.0, None, False, False
        self.accept()

    def refuse(self) -> None:
        """Connections are refused and those there are reset, as by a server that died."""
        self._call(self._refuse())
        self.drop()

    def accept(self) -> None:
        """Takes connections (again), on the same port."""
        self._call(self._accept())

    def drop(self) -> None:
        """Resets every connection there is."""
        self._call(self._drop())

    def close(self) -> None:
        """The end of it."""
        self.refuse()
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _call(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._take, "127.0.0.1", self.port, backlog=1024, limit=PIECE
            )
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _drop(self) -> None:
        for each in list(self._open):
            _reset(each)

    async def _end(self) -> None:
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _take(self, *client: Any) -> None:
        self.connections += 1
        pipe = asyncio.create_task(self._pipe(client, self.connections))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)

    async def _pipe(self, client: Streams, number: int) -> None:
        assert self.target is not None
        self._open.add(client[1])
        try:
            server = await asyncio.open_connection(*self.target, limit=PIECE)
        except OSError:
            _reset(client[1])
            self._open.discard(client[1])
            return
        self._open.add(server[1])
        try:
            await asyncio.gather(
                self._pump(client[0], server[1], number, down=False),
                self._pump(server[0], client[1], number, down=True),
            )
        except* OSError:
            _reset(client[1])
        except* _Finished:
            pass
        finally:
            for writer in (client[1], server[1]):
                self._open.discard(writer)
                writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, number: int, *, down: bool
    ) -> None:
        """One way of a connection, until its end. OSError when it is, or is to be, reset."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(pieces, sink, number, down=down))
            while not sending.done():
                size = PIECE if self.rate is None else max(1, min(PIECE, int(self.rate / 20)))
                data = await source.read(size)
                await pieces.put((self._loop.time() + self.delay_s, data))
                if not data:
                    break

    async def _send(
        self,
        pieces: "asyncio.Queue[tuple[float, bytes]]",
        sink: asyncio.StreamWriter,
        number: int,
        *,
        down: bool,
    ) -> None:
        while True:
            due, data = await pieces.get()
            if due > self._loop.time():
                await asyncio.sleep(due - self._loop.time())
            since = self._loop.time()
            while self.blackhole:  # the test sets it from its own thread
                await asyncio.sleep(LOOK_S)
                if down and self.holding and self._alive and self._loop.time() - since >= ALIVE_S:
                    data, since = self._one_of(data, sink), self._loop.time()
            if not data:
                sink.write_eof()
                return
            ends = ""
            if down:
                data, ends = self._hit(number, data)
                self.bytes_down += len(data)
            else:
                self.asked += [found[1].decode() for found in _REQUEST.findall(data)]
            sink.write(data)
            await sink.drain()
            if ends == "cut":
                raise ConnectionResetError("cut on purpose")
            if ends == "fin":
                sink.write_eof()
                raise _Finished
            if down and self.rate is not None:
                await asyncio.sleep(len(data) / self.rate)

    def _one_of(self, data: bytes, sink: asyncio.StreamWriter) -> bytes:
        """Passes one byte on; the others."""
        if len(data) > 1:
            self.bytes_down += 1
            sink.write(data[:1])
        return data[1:] or data

    def _hit(self, number: int, data: bytes) -> tuple[bytes, str]:
        """What of these bytes passes, and how the connection ends then."""
        if not self._faults:
            return data, ""
        fault = self._faults[0]
        seen = fault.seen.get(number, 0)
        fault.seen[number] = seen + len(data)
        at = fault.after - seen
        if at >= len(data):
            return data, ""
        self._faults.popleft()
        self.fired += 1
        if fault.kind == "hold":
            self.blackhole = self.holding = True
            return data, ""
        if fault.kind == "corrupt":
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], ""
        return data[:at], fault.kind


class _Finished(Exception):
    """The connection was ended in order, on purpose."""


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
