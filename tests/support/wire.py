"""HTTP/1.1 as bytes on a raw socket: what is said, and every answer that comes back, told apart exactly."""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

WITHIN_S = 20


@dataclass(frozen=True)
class Answer:
    """One answer. Names of headers are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def answers(data: bytes, heads: tuple[int, ...] = ()) -> list[Answer]:
    """The answers these bytes are, interim ones left out. `heads`: which of them answer HEAD."""
    found: list[Answer] = []
    while data:
        head, ended, data = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [^\r\n]*", line)
        assert ended and status, f"no answer begins here: {head[:200]!r}"
        headers = {}
        for field in fields:
            name, colon, value = field.partition(b": ")
            assert colon and name == name.lower() and name not in headers, field
            headers[name] = value
        code = int(status[1])
        if code < 200:
            continue
        if len(found) in heads or code in (204, 304):
            body = b""
        elif b"transfer-encoding" in headers:
            body, data = _unchunked(data)
        else:
            size = int(headers[b"content-length"])
            assert len(data) >= size, f"{len(data)} bytes of a body of {size}"
            body, data = data[:size], data[size:]
        found.append(Answer(code, headers, body))
    return found


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]
        if length == 0:
            return body, data


async def connected(
    url: str, *, local: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the server of this URL, from the address `local`."""
    parts = urlsplit(url)
    source = (local, 0) if local else None
    return await asyncio.open_connection(parts.hostname, parts.port, local_addr=source, limit=1 << 20)


async def said(url: str, *parts: bytes, local: str | None = None) -> bytes:
    """Everything the server sends until it closes, after these parts were sent one by one."""
    reader, writer = await connected(url, local=local)
    got = bytearray()
    try:
        async with asyncio.timeout(WITHIN_S):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            while chunk := await reader.read(1 << 16):
                got += chunk
    except ConnectionResetError:
        pass
    finally:
        await closed(writer)
    return bytes(got)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Closes it, whatever its state."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
