"""What a busy moment opened is not kept for ever by the traffic after it."""

import asyncio
from collections import Counter

import httpx

from keys.connections import pooled

TOGETHER = 5


class Server:
    """Answers everything, the first ones only when all of them are there; counts by connection."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.asked = 0
        self._together = asyncio.Event()

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.seen.append(writer)
                self.asked += 1
                if self.asked == TOGETHER:
                    self._together.set()
                await self._together.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def test_the_connection_used_last_is_used_next_and_the_others_come_to_their_end() -> None:
    server = Server()
    listening = await asyncio.start_server(server.speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with listening, httpx.AsyncClient(transport=pooled(connections=TOGETHER, kept_s=60)) as client:
        busy = await asyncio.gather(*(client.get(url) for _ in range(TOGETHER)))
        assert {answer.status_code for answer in busy} == {200}
        assert len(set(server.seen)) == TOGETHER
        server.seen.clear()
        for _ in range(4 * TOGETHER):
            assert (await client.get(url)).text == "ok"
        assert len(Counter(map(id, server.seen))) == 1
