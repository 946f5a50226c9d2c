"""A viewer over real sockets: opens a link as a player does, fetches playlists, keys, segments; decrypts."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.support.playlists import MediaPlaylist, Variant, read_media, read_multivariant

TRIES_AGAIN = 10


def decrypt(key: bytes, number: int, body: bytes) -> bytes:
    """The plain segment: AES-128-CBC, IV = media sequence number, PKCS#7 (RFC 8216 §4.3.2.4, §5.2)."""
    opener = Cipher(algorithms.AES(key), modes.CBC(number.to_bytes(16, "big"))).decryptor()
    padded = opener.update(body) + opener.finalize()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


@dataclass
class Viewer:
    """One playback session. `link` is what `sluice link` printed."""

    link: str
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=60))
    url: str = ""  # of the multivariant playlist, under the session token
    multivariant: bytes = b""
    media_bytes: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def get(self, url: str) -> httpx.Response:
        """One GET; its status is remembered."""
        answer = await self.client.get(url)
        self.statuses.append(answer.status_code)
        return answer

    async def open(self) -> httpx.Response:
        """Opens the link, follows the redirect. The answer that ended it, whatever its status."""
        answer = await self.get(self.link)
        if answer.status_code == 302:
            self.url = urljoin(self.link, answer.headers["location"])
            answer = await self.get(self.url)
            self.multivariant = answer.content
        return answer

    async def opened(self) -> Self:
        """Opens the link and expects it to play. Told to come again later, it does so, a few times."""
        answer = await self.open()
        for _ in range(TRIES_AGAIN):
            if answer.status_code != 503:
                break
            await asyncio.sleep(int(answer.headers["retry-after"]))
            answer = await self.open()
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return self

    def variants(self) -> list[Variant]:
        """What the multivariant playlist offers."""
        return read_multivariant(self.multivariant.decode())[0]

    def renditions(self) -> list[str]:
        """Rendition IDs, video first, then audio."""
        variants, media = read_multivariant(self.multivariant.decode())
        uris = [v.uri for v in variants] + [m["URI"] for m in media if "URI" in m]
        return list(dict.fromkeys(uri.split("/")[0] for uri in uris))

    async def playlist(self, rendition: str) -> MediaPlaylist:
        """The media playlist of a rendition."""
        answer = await self.get(urljoin(self.url, f"{rendition}/index.m3u8"))
        assert answer.status_code == 200, answer.text
        self.media_bytes[rendition] = answer.content
        return read_media(answer.text)

    async def init(self, rendition: str) -> bytes:
        """The init segment, which is clear."""
        answer = await self.get(urljoin(self.url, f"{rendition}/init.mp4"))
        assert answer.status_code == 200, answer.text
        return answer.content

    async def key(self, rendition: str, key_uri: str) -> bytes:
        """A content key, asked for once as players do."""
        url = urljoin(self.url, f"{rendition}/{key_uri}")
        if url not in self.keys:
            answer = await self.get(url)
            assert answer.status_code == 200, answer.text
            assert len(answer.content) == 16
            self.keys[url] = answer.content
        return self.keys[url]

    def segment_url(self, rendition: str, number: int) -> str:
        """Where segment `number` is, for this session."""
        return urljoin(self.url, f"{rendition}/{number}.m4s")

    async def cipher(self, rendition: str, number: int) -> bytes:
        """A segment as it travels."""
        answer = await self.get(self.segment_url(rendition, number))
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == int(answer.headers["content-length"])
        return answer.content

    async def whole(self, rendition: str) -> bytes:
        """Init segment and every decrypted segment of a rendition, one after another."""
        playlist = await self.playlist(rendition)
        parts = [await self.init(rendition)]
        for entry in playlist.entries:
            assert entry.key_uri is not None
            key = await self.key(rendition, entry.key_uri)
            parts.append(decrypt(key, entry.number, await self.cipher(rendition, entry.number)))
        return b"".join(parts)
