"""Viewers of the benchmark: sessions opened as players open them, and bodies looked at as players do."""

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from deploy.bench.film import FILES, PERIOD_SEGMENTS, RENDITION, Film
from deploy.bench.load import Line, Reply
from deploy.commands.links import make_link
from keys.container import ATTRIBUTE
from keys.names import b64url_decode

Wanted = tuple[str, int]  # a target, and how long its body is
_OPENING: Final = 8  # connections that open sessions
_OPENED_AGAIN: Final = 5  # times, when an edge is too busy for new sessions
_names: Final = itertools.count()


class WrongAnswer(Exception):
    """An answer that is not what was asked for. The benchmark fails: figures of wrong bodies say nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """One playback session, on any edge."""

    film: Film
    base: str  # target of what belongs to it, with a slash at the end

    @property
    def sid(self) -> str:
        """Its ID, as its token says."""
        token = self.base.split(f"{ATTRIBUTE}=")[1].split("/")[0]
        return str(json.loads(b64url_decode(token.split(".")[1]))["sid"])

    def segment(self, number: int) -> Wanted:
        """An encrypted segment: PKCS#7 adds 1 to 16 bytes."""
        return f"{self.base}{RENDITION}/{number}.m4s", (self.film.sizes[number] // 16 + 1) * 16

    def segments(self) -> list[Wanted]:
        """All of them, as they play."""
        return [self.segment(number) for number in range(self.film.segments)]

    def key(self, number: int) -> Wanted:
        """The key of a segment."""
        return f"{self.base}{RENDITION}/key/{number // PERIOD_SEGMENTS}", 16

    def playlist(self) -> str:
        """The rendition's playlist."""
        return f"{self.base}{RENDITION}/index.m3u8"


async def open_sessions(data: Path, edges: Sequence[str], film: Film, count: int) -> list[Session]:
    """Sessions of viewers never seen before, each with a link of its own, opened at the first edge.

    Each has its lease there: it took a key, as a player does before its first segment.
    """
    left = iter(range(count))
    opened: list[Session] = []

    async def some() -> None:
        async with await Line.to(edges[0]) as line:
            for _ in left:
                link = make_link(data, film.asset, list(edges), viewer=f"bench-{next(_names)}")
                opened.append(await _open(line, link, film))

    await asyncio.gather(*(some() for _ in range(min(_OPENING, count))))
    return opened


async def open_downloads(data: Path, edges: Sequence[str], film: Film) -> list[Wanted]:
    """Every download of the film, each under a session of its own; each was taken once, byte by byte."""
    found: list[Wanted] = []
    async with await Line.to(edges[0]) as line:
        for number, length in enumerate(film.sizes[:FILES]):
            viewer = f"bench-{next(_names)}"
            link = make_link(data, film.asset, list(edges), download=f"{number}.mp4", viewer=viewer)
            target = await _redirected(line, link)
            taken = await line.get(target, keep=True)
            if taken.status != 200 or not film.is_segment(number, bytes(taken.body)):
                raise WrongAnswer(f"download {number} was answered {taken.status}, or with other bytes")
            found.append((target, length))
    return found


async def _open(line: Line, link: str, film: Film) -> Session:
    session = Session(film, (await _redirected(line, link)).removesuffix("main.m3u8"))
    key = await _patiently(line, session.key(0)[0])
    if (key.status, key.length) != (200, 16):
        raise WrongAnswer(f"a new session's key was answered {key.status}")
    return session


async def _redirected(line: Line, link: str) -> str:
    """Where a link leads."""
    answer = await _patiently(line, urlsplit(link).path)
    if answer.status != 302:
        raise WrongAnswer(f"a link was answered {answer.status}")
    return answer.header("location")


async def _patiently(line: Line, target: str) -> Reply:
    """The answer; an edge that is too busy to open sessions is asked again when it says."""
    answer = await line.get(target)
    for _ in range(_OPENED_AGAIN):
        if answer.status != 503:
            break
        wait_s = answer.header("retry-after")
        await asyncio.sleep(int(wait_s) if wait_s.isdecimal() else 1)
        answer = await line.get(target)
    return answer


async def take(lines: Sequence[Line], wanted: Iterable[Wanted]) -> list[Reply]:
    """Everything wanted, over these connections, each asking for the next when it has one. WrongAnswer."""
    left = iter(wanted)
    replies: list[Reply] = []
    await asyncio.gather(*(_take(line, left, replies) for line in lines))
    return replies


async def _take(line: Line, left: Iterator[Wanted], replies: list[Reply]) -> None:
    for target, length in left:
        reply = await line.get(target)
        if (reply.status, reply.length) != (200, length):
            raise WrongAnswer(f"{reply.status} with {reply.length} bytes, not 200 with {length}")
        replies.append(reply)


async def verify(url: str, session: Session, numbers: Iterable[int], *, gulp_s: float = 0.0) -> int:
    """Takes, decrypts and compares segments; how many. WrongAnswer for a byte that was not packaged."""
    checked = 0
    async with await Line.to(url) as player, await Line.to(url, gulp_s=gulp_s) as reader:
        for number in numbers:
            key = await player.get(session.key(number)[0], keep=True)
            body = await reader.get(session.segment(number)[0], keep=True)
            if not session.film.is_segment(number, _decrypted(bytes(key.body), number, body.body)):
                raise WrongAnswer(f"segment {number} is not the packaged one")
            checked += 1
    return checked


def _decrypted(key: bytes, number: int, body: bytearray) -> bytes:
    """HLS AES-128 (RFC 8216 §4.3.2.4, §5.2); b"" for what was never padded."""
    opener = Cipher(AES(key), CBC(number.to_bytes(16, "big"))).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        return unpadder.update(opener.update(bytes(body)) + opener.finalize()) + unpadder.finalize()
    except ValueError:
        return b""
