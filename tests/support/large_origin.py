"""An origin of one large file, any number of bytes long, made as they are sent: serves ranges, counts, lies.

Every eight bytes of it say where they are and of which edition they are, so that a mix of two is seen.
"""

import asyncio
import contextlib
import re
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate

_RANGE = re.compile(r"bytes=(\d+)-(\d*)|bytes=-(\d+)")
_PIECE = 1 << 16


def content(start: int, stop: int, edition: int = 1) -> bytes:
    """Bytes [start, stop) of an edition."""
    first = start // 8
    words = array("Q", range(first, -(-stop // 8)))
    for at in range(len(words)):
        words[at] = words[at] << 8 | edition
    return words.tobytes()[start - first * 8 : stop - first * 8]


@dataclass
class Head:
    """What is about to be answered; `changed` of `LargeOrigin` may change it."""

    status: int
    fields: dict[str, str]
    start: int
    stop: int


@dataclass
class LargeOrigin:
    """The file and how it is served."""

    total: int
    edition: int = 1
    ranges: bool = True
    same_tag: bool = False  # of all editions
    fields: dict[str, str] = field(default_factory=lambda: {"cache-control": "max-age=600"})
    lie: Callable[[Head], None] | None = None
    chunk: bytes = b""  # the body of an answer that `lie` gave a transfer-encoding
    before: Callable[[int], Awaitable[None]] | None = None  # told of each piece where it begins
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    @property
    def etag(self) -> str:
        """Of the edition there is now."""
        return f'"{1 if self.same_tag else self.edition}"'

    @property
    def ranges_asked(self) -> list[str | None]:
        """The Range of every request."""
        return [fields.get("range") for fields in self.asked]

    def head(self, fields: dict[str, str]) -> Head:
        """The answer to a GET."""
        own = {"etag": self.etag, "date": formatdate(usegmt=True), **self.fields}
        if fields.get("if-none-match") == self.etag:
            return Head(304, own, 0, 0)
        if self.ranges:
            own["accept-ranges"] = "bytes"
        wanted = _RANGE.fullmatch(fields.get("range", ""))
        if wanted is None or not self.ranges or fields.get("if-range", self.etag) != self.etag:
            return Head(200, {**own, "content-length": str(self.total)}, 0, self.total)
        if wanted[3]:
            start, stop = max(0, self.total - int(wanted[3])), self.total
        else:
            start, stop = int(wanted[1]), min(int(wanted[2] or self.total) + 1, self.total)
        if start >= self.total:
            return Head(416, {**own, "content-range": f"bytes */{self.total}", "content-length": "0"}, 0, 0)
        place = f"bytes {start}-{stop - 1}/{self.total}"
        return Head(206, {**own, "content-range": place, "content-length": str(stop - start)}, start, stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = {
                    name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
                }
                self.asked.append(fields)
                head, edition = self.head(fields), self.edition
                if self.lie is not None:
                    self.lie(head)
                said = "".join(f"{name}: {value}\r\n" for name, value in head.fields.items())
                writer.write(f"HTTP/1.1 {head.status} X\r\n{said}\r\n".encode("latin-1"))
                if lines[0].startswith("HEAD"):
                    continue
                if "transfer-encoding" in head.fields:
                    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.chunk), self.chunk))
                    await writer.drain()
                    continue
                for start in range(head.start, head.stop, _PIECE):
                    if self.before is not None:
                        await self.before(start)
                    piece = content(start, min(start + _PIECE, head.stop), edition)
                    writer.write(piece)
                    self.sent += len(piece)
                    await writer.drain()
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its base URL while entered."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
