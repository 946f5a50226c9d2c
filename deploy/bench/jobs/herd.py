"""A crowd that comes at once to a film no cache has: viewers over two edges ask for its first segment.

Counted is what the origin was asked for meanwhile, documents included; timed is the first byte, beside the
origin's own for the same stored object.
"""

import asyncio
import re
import time
from typing import Final

from deploy.bench import film as films
from deploy.bench.figures import percentile
from deploy.bench.film import Film
from deploy.bench.load import Line, Reply
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Wanted, WrongAnswer, take
from keys.nodes import NodeIdentity
from origin.media.seal import slice_count

ROUNDS: Final = 3
SLACK_MS: Final = 1000.0
ASKS: Final = 20  # of the origin alone, for its own first byte


async def run(rig: Rig) -> list[Row]:
    """Two rows: requests against slices, and the first byte."""
    requests: list[float] = []
    slices = 0
    first: list[float] = []
    own: list[float] = []
    for turn in range(min(ROUNDS, rig.size.rounds)):
        film = await films.make(rig.system.settings, f"cold-{turn}", rig.size.segments[-1][1], 2)
        wanted = await _wanted(rig, film)
        slices = slice_count(film.sizes[0])
        before = await _origin_requests(rig)
        replies = await _at_once(wanted)
        requests.append(await _origin_requests(rig) - before)
        first.append(1000 * percentile([reply.first_byte_s for reply in replies], 0.99))
        own.append(1000 * await _origin_first_byte(rig, film.asset))
    over = f"{rig.size.herd} clients over two edges"
    bar = Bar(at_most=max(own) + SLACK_MS)
    return [
        Row("herd", f"origin requests for {slices} slices, {over}", "requests", tuple(requests),
            bar=Bar(at_most=slices)),
        Row("herd", f"first byte p99, {over}", "ms", tuple(first), tuple(own), bar,
            remark="beside it the origin's own first byte"),
    ]  # fmt: skip


async def _wanted(rig: Rig, film: Film) -> list[tuple[str, Wanted]]:
    """The first segment for each viewer, and the edge he asks: the one where he opened his session."""
    found: list[tuple[str, Wanted]] = []
    for edge, url in enumerate(rig.edges):
        share = rig.size.herd // len(rig.edges)
        found += [(url, each.segment(0)) for each in await rig.sessions(film, share, edge=edge)]
    return found


async def _at_once(wanted: list[tuple[str, Wanted]]) -> list[Reply]:
    lines = [await Line.to(url) for url, _ in wanted]
    try:
        asked = zip(lines, (each for _, each in wanted), strict=True)
        return [reply for [reply] in await asyncio.gather(*(take([line], [each]) for line, each in asked))]
    finally:
        for line in lines:
            line.close()


async def _origin_requests(rig: Rig) -> float:
    async with await Line.to(rig.system.settings.origin) as line:
        text = bytes((await line.get("/metrics", keep=True)).body).decode()
    found = re.findall(r"^sluice_origin_blob_requests_total(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


async def _origin_first_byte(rig: Rig, asset: str) -> float:
    """The origin's p99 for the same object, asked as an edge asks, with nobody else there; seconds."""
    node = NodeIdentity.load_or_create(
        rig.system.layout.edge(0) / "node.json", f"{rig.system.settings.node_name}-edge-1", "edge"
    )
    target = f"/v1/blobs/{asset}/1/{films.RENDITION}/0.m4s"
    bearer = f"Authorization: Bearer {node.bearer('origin', time.time())}\r\n"
    async with await Line.to(rig.system.settings.origin) as line:
        replies = [await line.get(target, headers=bearer) for _ in range(ASKS)]
    if any(reply.status != 200 for reply in replies):
        raise WrongAnswer("the origin does not give its object")
    return percentile([reply.first_byte_s for reply in replies], 0.99)
