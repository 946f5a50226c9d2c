"""A sender of resumable uploads (tus 1.0.0), as exact as a test wants it."""

import asyncio
import base64
from urllib.parse import urlsplit

import httpx

TYPE = "application/offset+octet-stream"


def metadata(**pairs: str | bytes) -> str:
    """The pairs as Upload-Metadata."""
    raw = {key: value.encode() if isinstance(value, str) else value for key, value in pairs.items()}
    return ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in raw.items())


class Sender:
    """Sends by a client that has the operator's token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def create(
        self,
        length: int | None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        **pairs: str,
    ) -> httpx.Response:
        """Creates an upload; with `data`, brings bytes at once. `length` None: none is said."""
        found = {"tus-resumable": "1.0.0"} | (headers or {})
        if length is not None:
            found["upload-length"] = str(length)
        if pairs:
            found["upload-metadata"] = metadata(**pairs)
        if data is not None:
            found["content-type"] = TYPE
        return await self.http.post("/v1/tus", content=data, headers=found)

    async def patch(self, url: str, offset: int, data: bytes = b"", **headers: str) -> httpx.Response:
        """Sends bytes."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"tus-resumable": "1.0.0", "content-type": TYPE, "upload-offset": str(offset)} | more
        return await self.http.patch(url, content=data, headers=fields)

    async def head(self, url: str) -> httpx.Response:
        """Asks how far it is."""
        return await self.http.head(url, headers={"tus-resumable": "1.0.0"})

    async def delete(self, url: str) -> httpx.Response:
        """Ends it."""
        return await self.http.delete(url, headers={"tus-resumable": "1.0.0"})

    async def begin(
        self,
        url: str,
        offset: int,
        announced: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        method: str = "PATCH",
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A request of `announced` bytes of which `data` were sent: the open connection."""
        at = urlsplit(str(self.http.base_url))
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        head = {
            "host": at.netloc,
            "authorization": self.http.headers["authorization"],
            "tus-resumable": "1.0.0",
            "content-type": TYPE,
            "upload-offset": str(offset),
            "content-length": str(announced),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"{method} {url} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        return reader, writer

    async def cut(self, url: str, offset: int, announced: int, data: bytes) -> None:
        """Sends some bytes of a request and breaks the connection."""
        _, writer = await self.begin(url, offset, announced, data)
        writer.close()  # what was written arrives; an abort could throw it away
        await writer.wait_closed()
