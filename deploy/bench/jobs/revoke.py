"""How long a revocation takes to be on every edge: from the operator's request to the first refusal there.

Sessions that play on both edges are taken back one after the other; meanwhile each edge is asked for a key of
the session as fast as it answers, so what is measured is no shorter than what a viewer would notice.
"""

import asyncio
import time
from typing import Final

from deploy.bench.figures import percentile
from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Session, WrongAnswer
from keys import secrets as secret_files
from keys.client import KeysClient
from keys.revocation import SID

BAR: Final = Bar(at_most=10_000)
GIVE_UP_S: Final = 60.0


async def run(rig: Rig) -> list[Row]:
    """Two rows: the median and the 99th percentile over all sessions and both edges, in milliseconds."""
    film = await rig.film(rig.size.segments[0][0])
    sessions = await rig.sessions(film, rig.size.revoked)
    admin = secret_files.read_token(rig.system.layout.secrets / secret_files.ADMIN_TOKEN)
    took: list[float] = []
    async with KeysClient(rig.system.settings.keys, lambda: admin) as keys:
        lines = [await Line.to(url) for url in rig.edges]
        try:
            for session in sessions:
                took += await _take_back(keys, lines, session)
        finally:
            for line in lines:
                line.close()
    over = f"{len(sessions)} sessions, each on {len(rig.edges)} edges"
    return [
        Row("revoke", "a revocation on every edge, p50", "ms", (1000 * percentile(took, 0.5),), remark=over),
        Row("revoke", "a revocation on every edge, p99", "ms", (1000 * percentile(took, 0.99),), bar=BAR),
    ]


async def _take_back(keys: KeysClient, lines: list[Line], session: Session) -> list[float]:
    """Seconds until each edge refused a session that it had just served."""
    target = session.key(0)[0]
    for line in lines:
        if (reply := await line.get(target)).status != 200:
            raise WrongAnswer(f"a session was answered {reply.status} before it was revoked")
    began = time.perf_counter()
    waiting = [asyncio.create_task(_until_refused(line, target)) for line in lines]
    await keys.revoke(SID, session.sid)
    return [ended - began for ended in await asyncio.gather(*waiting)]


async def _until_refused(line: Line, target: str) -> float:
    """When the edge refused, by the clock of `time.perf_counter`."""
    async with asyncio.timeout(GIVE_UP_S):
        while (await line.get(target)).status != 403:
            pass
    return time.perf_counter()
