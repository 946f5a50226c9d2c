"""100,000 mangled heads: each is read as everybody else reads it, or refused; none breaks anything (F33)."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import Any, Final

import h11
import httptools

from edge.guard.body import Body, Chunked, Counted
from edge.guard.head import CHUNKED, Head, read, still_good
from edge.guard.refused import Refused
from keys.problems import STATUS
from tests.edge.guard.odd import REFUSED
from tests.edge.parts import World
from tests.support.wire import WITHIN_S, Answer, answers, closed, connected

HEADS: Final = 100_000
OVER_SOCKETS: Final = 3_000
WHOLE: Final = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /watch/?a=b&c HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\nRange: bytes=0-1\r\n\r\n",
    b"HEAD /healthz HTTP/1.1\r\nHost: [::1]:8010\r\nConnection: keep-alive\r\nX-Forwarded-For: 1\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS /v;URISigningPackage=a.b.c/film/main.m3u8 HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    b"GET /a%2fb HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nUpgrade: h2c\r\n\r\n",
]
PARTS: Final = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"/",
    b"?",
    b"#",
    b"%00",
    b"%2f",
    b"..",
    b";",
    b",",
    b"\xff",
    b"\x7f",
    b"Host: b\r\n",
    b"Host:\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 03\r\n",
    b"content-length:3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\tchunked \r\n",
    b"Transfer-Encoding: identity\r\n",
    b" folded\r\n",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"GET ",
    b"X: y\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"1",
    b"http://a",
    b"@",
    b"\xc0\xaf",
]


def mangled(rng: random.Random) -> bytes:
    """A request with one to four changes: parts put in, taken out, doubled, bytes and cases changed."""
    odd = [raw for raw, _ in REFUSED.values()]
    data = bytearray(rng.choice(WHOLE if rng.random() < 0.8 else odd))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 5, 20)))
        match rng.randrange(6):
            case 0:
                data[at:at] = rng.choice(PARTS)
            case 1:
                line = data.find(b"\r\n", at)
                data[line + 2 : line + 2] = rng.choice(PARTS)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end]
            case 4:
                data[at:end] = bytes([rng.randrange(256)])
            case 5:
                data[at:end] = data[at:end].swapcase()
    return bytes(data)


def split(data: bytes) -> tuple[bytes, bytes] | None:
    """(head, rest) where the guard would split; None while there is no whole head."""
    end = data.find(b"\r\n\r\n")
    return (data[: end + 4], data[end + 4 :]) if end >= 0 else None


@dataclass
class Llhttp:
    """What httptools reads."""

    url: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    done: bool = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))  # it leaves white space at the end

    def on_message_complete(self) -> None:
        self.done = True


def agrees(raw: bytes, head: Head) -> None:
    """Two other readers read this head as the guard did, and see its body begin and end there."""
    raw = raw.removeprefix(b"\r\n")
    target = raw.split(b" ")[1]
    theirs: Any = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    theirs.receive_data(raw)
    event = theirs.next_event()
    assert (event.method, event.target) == (head.method.encode(), target)
    length = [(n, v) for n, v in event.headers if n == b"content-length"]
    assert [f for f in event.headers if f not in length] == [
        (n, v.lower() if n == b"transfer-encoding" else v)
        for n, v in head.fields
        if n != b"content-length"
    ]  # fmt: skip
    assert [int(v) for _, v in length] == [int(v) for n, v in head.fields if n == b"content-length"]
    bodiless = isinstance(theirs.next_event(), h11.EndOfMessage)
    assert bodiless == (head.length == 0)

    seen = Llhttp()
    parser = httptools.HttpRequestParser(seen)
    with contextlib.suppress(httptools.HttpParserUpgrade):  # which the guard ignores, as it may
        parser.feed_data(raw)
    assert parser.get_method() == head.method.encode()
    assert (seen.url, parser.get_http_version()) == (target, head.version)
    assert seen.fields == head.fields
    if not parser.should_upgrade():
        assert seen.done == (head.length == 0)
    path = httptools.parse_url(seen.url)
    assert (path.path, path.query or b"") == (head.path, head.query)


def test_f33_what_the_guard_accepts_everybody_reads_the_same() -> None:
    rng = random.Random(9112)
    taken = refused = 0
    for _ in range(HEADS):
        data = mangled(rng)
        found = split(data)
        try:
            if found is None:
                still_good(data)
                continue
            head = read(found[0])
        except Refused as refusal:
            assert STATUS[refusal.code] < 500 or refusal.code in ("not_implemented", "version_not_supported")
            refused += 1
        else:
            taken += 1
            agrees(found[0], head)
    assert taken > HEADS / 10 and refused > HEADS / 10


def expected(data: bytes) -> tuple[list[str], bool]:
    """(the answers there must be: a method or a refusal's code for each, whether the connection must end)."""
    told: list[str] = []
    while data:
        found = split(data)
        try:
            if found is None:
                still_good(data)
                return told, False
            head = read(found[0])
            told.append(head.method)
            body: Body = Chunked() if head.length == CHUNKED else Counted(head.length)
            rest = body.feed(found[1])[1] if head.length else found[1]
        except Refused as refusal:
            return [*told[: -1 if found and _is_head(found[0]) else None], refusal.code], True
        if rest is None or not head.keep_alive:
            return told, True  # an early answer, or the last one
        data = rest
    return told, False


def _is_head(raw: bytes) -> bool:
    try:
        read(raw)
    except Refused:
        return False
    return True


async def test_f33_over_sockets_each_request_gets_one_answer_and_none_is_a_failure(edge: World) -> None:
    rng = random.Random(9110)
    gate = asyncio.Semaphore(32)

    async def probe(data: bytes) -> None:
        told, ends = expected(data)
        async with gate, asyncio.timeout(WITHIN_S):
            reader, writer = await connected(edge.url)
            writer.write(data)
            got = await (reader.read() if ends else _so_many(reader, told))
            await closed(writer)
        heads = tuple(i for i, each in enumerate(told) if each == "HEAD")
        found = answers(got, heads)
        assert len(found) == len(told), data
        for each, answer in zip(told, found, strict=True):
            _fits(each, answer, data)

    await asyncio.gather(*(probe(mangled(rng)) for _ in range(OVER_SOCKETS)))


async def _so_many(reader: asyncio.StreamReader, told: list[str]) -> bytes:
    """What comes until there are so many answers, and no more after a moment."""
    got = b""
    heads = tuple(i for i, each in enumerate(told) if each == "HEAD")
    while True:
        try:
            if len(answers(got, heads)) >= len(told):
                break
        except (AssertionError, KeyError, ValueError):
            pass  # not whole yet
        chunk = await reader.read(1 << 16)
        assert chunk, "it ended too early"
        got += chunk
    return got


def _fits(each: str, answer: Answer, data: bytes) -> None:
    if each in STATUS:
        assert answer.status == STATUS[each], data
        assert answer.headers[b"connection"] == b"close"
    else:
        assert answer.status < 500, data
