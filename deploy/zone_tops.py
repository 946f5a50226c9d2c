"""What each worker of an edge tells of its zones besides numbers: how origins are, what is asked for most.

Each writes a small JSON file of its own every few seconds; whoever answers `/metrics/zones` puts together
those that are still written.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from edge.zone.top import Weighed, merged

EVERY_S: Final = 2.0
GONE_S: Final = 10.0  # whoever has not written for so long has ended
TOLD: Final = 50  # objects of a zone
STATES: Final = ("ready", "resting", "away")  # of an origin, the worst last
WEIGHTS: Final = ("requests", "bytes")

log = logging.getLogger("sluice.zone")

Said = Mapping[str, Mapping[str, Any]]  # by zone: {"origins": {url: state}, "requests": {…}, "bytes": {…}}


class Tellings:
    """The files of one edge's workers."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        """`now` is the time of day, as files have it."""
        self._directory, self._now = directory, now
        self._mine = directory / f"{os.getpid()}.json"

    def tell(self, said: Said) -> None:
        """This worker's word, in the place of what it said before."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._mine.with_suffix(".new")
        new.write_text(json.dumps({"at": self._now(), "zones": said}))
        new.replace(self._mine)

    def end(self) -> None:
        """It says no more."""
        self._mine.unlink(missing_ok=True)

    def together(self) -> dict[str, dict[str, Any]]:
        """What those that live say of each zone."""
        return together(list(self._read()))

    def _read(self) -> Iterator[Said]:
        for path in sorted(self._directory.glob("*.json")):
            try:
                found = json.loads(path.read_text())
            except (OSError, ValueError):  # it just ended
                continue
            if self._now() - found["at"] <= GONE_S:
                yield found["zones"]
            else:
                path.unlink(missing_ok=True)


def together(told: Iterable[Said], count: int = TOLD) -> dict[str, dict[str, Any]]:
    """Several words as one: of an origin the worst, of objects the sum and the heaviest `count`. Pure."""
    words = list(told)
    found: dict[str, dict[str, Any]] = {}
    for zone in sorted({name for said in words for name in said}):
        parts = [said[zone] for said in words if zone in said]
        states: dict[str, str] = {}
        for part in parts:
            for origin, state in part["origins"].items():
                states[origin] = max(states.get(origin, STATES[0]), state, key=STATES.index)
        found[zone] = {"access": parts[0]["access"], "origins": states}
        for weight in WEIGHTS:
            tops = [[Weighed(*each) for each in part[weight]["objects"]] for part in parts]
            found[zone][weight] = {
                "total": sum(part[weight]["total"] for part in parts),
                "objects": [list(each) for each in merged(tops, count)],
            }
    return found


@asynccontextmanager
async def telling(
    tellings: Tellings, said: Callable[[], Said], every_s: float = EVERY_S
) -> AsyncIterator[None]:
    """Keeps this worker's word up to date while entered."""

    async def run() -> None:
        while True:
            try:
                await asyncio.to_thread(tellings.tell, said())
            except OSError as error:  # no room on the disk: told again when there is
                log.warning("what zones are asked for cannot be told: %s", error)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        tellings.end()
