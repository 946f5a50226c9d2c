"""A process that works on the queue and dies over one asset, as a converter that takes all memory would.

`python -m tests.origin.ingest.dying CATALOGUE WORKERS`. Prints what it did; ends when there is nothing left.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from origin.ingest.presence import Presence
from origin.ingest.worker import Worker
from origin.store.catalogue import Catalogue
from origin.store.claims import Claim, Rhythm


async def main(url: str, workers: Path) -> None:
    """Its whole life."""
    catalogue = await Catalogue.open(url)
    beside = asyncio.Event()

    async def work(claim: Claim) -> None:
        if claim.asset == "poison":
            if claim.attempts == 1:
                await beside.wait()  # so that the first death takes another job with it
            os.kill(os.getpid(), signal.SIGKILL)
        if claim.attempts == 1:
            beside.set()
            await asyncio.Event().wait()
        await catalogue.set_state(claim.asset, "failed", error="Done.", fence=claim.fence)
        print(claim.asset, flush=True)

    worker = Worker(
        catalogue.claims,
        Presence(workers, "here"),
        "here",
        work,
        concurrency=2,
        rhythm=Rhythm(poll_s=0.05, beat_s=0.05, lease_s=3600),
    )
    async with worker.running():
        while await catalogue.unfinished():  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.02)
    await catalogue.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
