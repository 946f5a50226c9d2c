"""Memory a session costs its edge worker while its viewer does nothing, and what an idle connection adds."""

from deploy.bench.load import Line
from deploy.bench.processes import private_bytes
from deploy.bench.rig import Rig
from deploy.bench.rows import Row
from deploy.bench.viewers import take


async def run(rig: Rig) -> list[Row]:
    """KiB for each session, and for each connection, of memory that is the worker's alone."""
    count = rig.size.idle
    film = await rig.film(rig.size.segments[0][0])
    async with await Line.to(rig.edges[0]) as line:
        # What the first sessions cost is the worker's warming up.
        await take([line], [each.segment(0) for each in await rig.sessions(film, max(1, count // 10))])
        before = private_bytes(rig.edge_pid)
        await take([line], [each.segment(0) for each in await rig.sessions(film, count)])
        session = private_bytes(rig.edge_pid) - before
    before = private_bytes(rig.edge_pid)
    lines = [await Line.to(rig.edges[0]) for _ in range(count)]
    try:
        for line in lines:
            await line.get("/healthz")
        connection = private_bytes(rig.edge_pid) - before
    finally:
        for line in lines:
            line.close()
    over = f"over {count}"
    return [
        Row("idle", "memory of an idle session", "KiB", (session / count / 1024,), remark=over),
        Row("idle", "memory of an idle connection", "KiB", (connection / count / 1024,), remark=over),
    ]
