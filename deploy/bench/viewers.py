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

from deploy.bench.ffmpeg import packets
from deploy.bench.film import FILES, PERIOD_SEGMENTS, PROTECTED, RENDITION, Film
from deploy.bench.load import Line, Reply
from deploy.commands.links import make_link
from keys.container import ATTRIBUTE
from keys.ece import decoded
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

    def target(self, number: int) -> str:
        """Where a segment is, whatever protects it."""
        return f"{self.base}{RENDITION}/{number}.m4s"

    def segment(self, number: int) -> Wanted:
        """An encrypted segment: PKCS#7 adds 1 to 16 bytes."""
        return self.target(number), (self.film.sizes[number] // 16 + 1) * 16

    def segments(self) -> list[Wanted]:
        """All of them, as they play."""
        return [self.segment(number) for number in range(self.film.segments)]

    def key(self, number: int) -> Wanted:
        """The key of a segment."""
        return f"{self.base}{RENDITION}/key/{number // PERIOD_SEGMENTS}", 16

    def init(self) -> str:
        """The rendition's init segment."""
        return f"{self.base}{RENDITION}/init.mp4"

    def playlist(self) -> str:
        """The rendition's playlist."""
        return f"{self.base}{RENDITION}/index.m3u8"


async def open_sessions(
    data: Path, edges: Sequence[str], film: Film, count: int, protection: str = "aes"
) -> list[Session]:
    """Sessions of viewers never seen before, each with a link of its own, opened at the first edge.

    Each has its lease there: it took a key, as a player does before its first segment.
    """
    left = iter(range(count))
    opened: list[Session] = []

    async def some() -> None:
        async with await Line.to(edges[0]) as line:
            for _ in left:
                link = make_link(data, film.asset, list(edges), viewer=f"bench-{next(_names)}")
                opened.append(await _open(line, f"{link}?protection={protection}", film))

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


async def open_protected(data: Path, edges: Sequence[str], film: Film) -> list[Wanted]:
    """Every protected download of the film, likewise; each was opened with its session's key and compared."""
    found: list[Wanted] = []
    async with await Line.to(edges[0]) as line:
        for number in range(min(FILES, film.segments)):
            place, viewer = f"ece/{PROTECTED}{number}.mp4", f"bench-{next(_names)}"
            link = make_link(data, film.asset, list(edges), download=place, viewer=viewer)
            target = await _redirected(line, link)
            told = await line.get(f"{target}/key", keep=True)
            taken = await line.get(target, keep=True)
            if (told.status, taken.status) != (200, 200):
                raise WrongAnswer(f"protected download {number} was answered {told.status}, {taken.status}")
            key = b64url_decode(json.loads(told.body)["key"])
            if not film.is_segment(number, decoded(key, bytes(taken.body))):
                raise WrongAnswer(f"protected download {number} has other bytes")
            found.append((target, taken.length))
    return found


async def _open(line: Line, link: str, film: Film) -> Session:
    session = Session(film, (await _redirected(line, link)).removesuffix("main.m3u8"))
    key = await _patiently(line, session.key(0)[0])
    if (key.status, key.length) != (200, 16):
        raise WrongAnswer(f"a new session's key was answered {key.status}")
    return session


async def _redirected(line: Line, link: str) -> str:
    """Where a link leads."""
    parts = urlsplit(link)
    answer = await _patiently(line, f"{parts.path}?{parts.query}" if parts.query else parts.path)
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


async def verify_protected(program: Path, url: str, session: Session, *, gulp_s: float = 0.0) -> list[int]:
    """Takes every segment under Common Encryption, has ffmpeg decrypt all, and compares every picture.

    How long each is, as sent. WrongAnswer.
    """
    media = bytearray()
    lengths: list[int] = []
    async with await Line.to(url, gulp_s=gulp_s) as line:
        key = await line.get(session.key(0)[0], keep=True)
        for target in (session.init(), *map(session.target, range(session.film.segments))):
            taken = await line.get(target, keep=True)
            if taken.status != 200:
                raise WrongAnswer(f"{taken.status} for {target.removeprefix(session.base)}")
            if lengths and session.film.is_segment(len(lengths) - 1, bytes(taken.body)):
                raise WrongAnswer("what was to be protected is in the clear")
            media += taken.body
            lengths.append(taken.length)
    if await packets(program, bytes(media), bytes(key.body)) != session.film.packets:
        raise WrongAnswer("protected segments do not decrypt to the packaged ones")
    return lengths[1:]


def _decrypted(key: bytes, number: int, body: bytearray) -> bytes:
    """HLS AES-128 (RFC 8216 §4.3.2.4, §5.2); b"" for what was never padded."""
    opener = Cipher(AES(key), CBC(number.to_bytes(16, "big"))).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        return unpadder.update(opener.update(bytes(body)) + opener.finalize()) + unpadder.finalize()
    except ValueError:
        return b""
