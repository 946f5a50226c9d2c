"""What a stopwatch tells a stranger (SECURITY T12): refusals of a bad token, asset there or not.

The token is a link's own, rightly signed, for a third asset. Both kinds of refusal take turns on one
connection, so that whatever slows the machine slows both.
"""

import statistics
from typing import Final

import keys
from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import WrongAnswer
from keys import secrets as secret_files

BAR: Final = Bar(at_most=1000.0)


async def run(rig: Rig) -> list[Row]:
    """One row: how far the mean times of the two lie apart, in microseconds."""
    film = await rig.film(rig.size.segments[0][0])
    issuer = secret_files.read_issuer(rig.system.layout.secrets / secret_files.ISSUER)
    link = keys.sign_url(f"{rig.edges[0]}/v/another/main.m3u8", issuer)
    target = link.removeprefix(rig.edges[0])
    there, absent = (target.replace("/another/", f"/{name}/") for name in (film.asset, "x" * len(film.asset)))
    apart, tries = [], rig.size.refused
    async with await Line.to(rig.edges[0]) as line:
        for _ in range(rig.size.rounds):
            times: dict[str, list[float]] = {there: [], absent: []}
            for _ in range(tries):
                for asked, took in times.items():
                    reply = await line.get(asked)
                    if reply.status != 403:
                        raise WrongAnswer(f"a bad token was answered {reply.status}")
                    took.append(reply.whole_s)
            apart.append(1e6 * abs(statistics.mean(times[there]) - statistics.mean(times[absent])))
    what = "means of refusals of a bad token, asset there or not, apart"
    return [Row("refused", what, "µs", tuple(apart), bar=BAR, remark=f"{tries} of each a round")]
