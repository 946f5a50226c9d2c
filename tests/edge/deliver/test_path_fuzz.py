"""F33 for URLs: 100,000 targets gone wrong, read by the parser; some of them, with odd tokens, by an edge."""

import asyncio
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from edge.deliver import path
from edge.deliver.path import Kind, is_media
from keys.problems import Problem
from tests.edge.parts import world
from tests.support.hang import at_most
from tests.support.mutants import forged_token, mutated_target, odd_token

CASES = 100_000
SERVED = 2_000
TOKEN = b"AA.BB.CC"
CANONICAL = re.compile(
    r"/v/[a-z0-9_-]+(/main\.m3u8|/(aes|cbcs|cenc)/(main\.m3u8|[a-z0-9-]+/(index\.m3u8|init\.mp4|\d+\.m4s|key/\d+)))"
    r"|/v/[a-z0-9_-]+/(cbcs|cenc)/license"
    r"|/d/[a-z0-9_-]+/[A-Za-z0-9._-]+"
)


@pytest.mark.heavy
def test_f33_t5_a_hundred_thousand_odd_targets_are_the_canonical_path_or_refused() -> None:
    source = random.Random(7230)
    seen: Counter[str] = Counter()
    with at_most(1) as step:
        for _ in range(CASES):
            raw, _, query = mutated_target(source, TOKEN).partition(b"?")
            step()
            seen[_read(raw, query)] += 1
    assert min(seen[name] for name in ("read", "other", "bad_request", "forbidden")) > 1000, seen


def _read(raw: bytes, query: bytes) -> str:
    """What the parser makes of a target: what it reads, it reads as what stands there."""
    try:
        if not is_media(raw):
            path.check_target(raw)
            return "other"
        route = path.parse(raw, query)
    except Problem as problem:
        assert problem.status in (400, 403), raw
        return problem.code
    assert CANONICAL.fullmatch(route.path), raw
    assert re.sub(rb";URISigningPackage=[^/]*", b"", raw) == route.path.encode(), raw
    assert route.token.encode() in raw + query, raw
    assert route.kind in (Kind.LINK, Kind.DOWNLOAD) or not route.in_query, raw
    return "read"


@pytest.mark.heavy
async def test_f33_an_edge_answers_odd_tokens_and_targets_without_a_failure(web: Path) -> None:
    source, statuses = random.Random(9112), Counter[int]()
    async with world(web) as edge:
        host, port = edge.url.removeprefix("http://").split(":")
        good = edge.keys.session_token(bytes(16)).encode()
        for case in range(SERVED):
            odd = (forged_token, odd_token)[case // 2 % 2](source).encode("utf-8", "replace")
            token = odd if case % 2 else good
            target = mutated_target(source, token) if case % 8 < 4 else _as_it_is(source, token)
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(60):
                writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
            writer.close()
            status = int(answer.split(b" ", 2)[1])
            assert status < 500 or status == 505, (case, target)  # 505: what follows a space is a version
            if token == odd and is_media(target):
                assert status >= 400, (case, target)  # under other keys than this edge's
            statuses[status] += 1
        assert statuses[403] > SERVED / 4 and statuses[400] and statuses[200], statuses
        assert edge.counted.get("failed", 0) == 0


def _as_it_is(source: random.Random, token: bytes) -> bytes:
    first, rest = source.choice(
        ((b"v", b"film/aes/720p/0.m4s"), (b"v", b"film/main.m3u8"), (b"d", b"film/clip.mp4"))
    )
    return b"/" + first + b";URISigningPackage=" + token + b"/" + rest
