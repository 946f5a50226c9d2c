"""A viewer as any HTTP client is one: opens a link, reads playlists, takes keys and segments, decrypts.

Written from RFC 8216 and on purpose without the product's own code for it.
"""

import asyncio
import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from deploy.demo.check.report import NotShown

ANSWER_S: Final = 30.0  # a segment may be held for the pace
TRIES_AGAIN: Final = 3
_VARIANT: Final = re.compile(r"#EXT-X-STREAM-INF:[^\n]*\n([^/\n]+)/[^\n]*")
_AUDIO: Final = re.compile(r'#EXT-X-MEDIA:TYPE=AUDIO[^\n]*URI="([^/"]+)/')


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a media playlist."""

    number: int
    seconds: float
    key_uri: str


@dataclass
class Viewer:
    """One client with a link. `network` is the loopback address it comes from, where that matters."""

    link: str
    network: str | None = None
    url: str = ""  # of the multivariant playlist, under the session's token, once opened
    videos: tuple[str, ...] = ()  # renditions in the order of the playlist, which is ffmpeg's too
    audios: tuple[str, ...] = ()
    _keys: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        transport = httpx.AsyncHTTPTransport(local_address=self.network) if self.network else None
        self.client = httpx.AsyncClient(timeout=ANSWER_S, trust_env=False, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def opened(self) -> Self:
        """Opens the link as a player does, again where it is asked to. NotShown when it does not play."""
        answer = await self.client.get(self.link)
        for _ in range(TRIES_AGAIN):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
            answer = await self.client.get(self.link)
        if answer.status_code == httpx.codes.FOUND:
            self.url = urljoin(self.link, answer.headers["location"])
            answer = await self.client.get(self.url)
        if answer.status_code != httpx.codes.OK:
            raise NotShown(f"A good link was answered with {answer.status_code}: {answer.text[:200]}")
        self.videos = tuple(dict.fromkeys(_VARIANT.findall(answer.text)))
        self.audios = tuple(dict.fromkeys(_AUDIO.findall(answer.text)))
        return self

    def at(self, edge: str) -> str:
        """The session's playlist at another edge: the same path, the same token."""
        return edge + urlsplit(self.url).path

    async def segments(self, rendition: str) -> list[Segment]:
        """The media playlist of a rendition."""
        text = (await self._get(f"{rendition}/index.m3u8")).decode()
        found: list[Segment] = []
        seconds, key_uri = 0.0, ""
        for line in text.splitlines():
            if line.startswith("#EXTINF:"):
                seconds = float(line.removeprefix("#EXTINF:").split(",")[0])
            elif line.startswith("#EXT-X-KEY:"):
                key_uri = line.split('URI="')[1].split('"')[0]
            elif line and not line.startswith("#"):
                found.append(Segment(len(found), seconds, key_uri))
        return found

    def segment_url(self, rendition: str, number: int) -> str:
        """Where this session gets segment `number`."""
        return urljoin(self.url, f"{rendition}/{number}.m4s")

    async def cipher(self, rendition: str, number: int) -> bytes:
        """A segment as it travels."""
        return await self._get(f"{rendition}/{number}.m4s")

    async def init(self, rendition: str) -> bytes:
        """The init segment."""
        return await self._get(f"{rendition}/init.mp4")

    async def plain(self, rendition: str, segment: Segment, body: bytes) -> bytes:
        """A segment's body decrypted with the session's key (RFC 8216 §4.3.2.4: AES-128-CBC, IV = number)."""
        name = f"{rendition}/{segment.key_uri}"
        if name not in self._keys:
            self._keys[name] = await self._get(name)
        iv = segment.number.to_bytes(16, "big")
        opener = Cipher(algorithms.AES(self._keys[name]), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(128).unpadder()
        padded = opener.update(body) + opener.finalize()
        return unpadder.update(padded) + unpadder.finalize()

    async def _get(self, name: str) -> bytes:
        answer = await self.client.get(urljoin(self.url, name))
        if answer.status_code != httpx.codes.OK:
            raise NotShown(f"{name} was answered with {answer.status_code}: {answer.text[:200]}")
        return answer.content
