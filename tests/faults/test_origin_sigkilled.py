"""The origin is killed at 20 random moments while films come in: what it acknowledged ends as one playing
asset each.
"""

import asyncio
import os
import random
from pathlib import Path

import httpx
import pytest

from tests.origin.ingest.bench import decode
from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.load import kill, replaced
from tests.support.resumable import Sender
from tests.support.system import System
from tests.support.viewer import Viewer

SEED = int(os.environ.get("SLUICE_TEST_SEED", "7"))
ROUNDS, KILLS = 10, 2  # a job whose worker dies three times is failed: that is another promise
SECONDS = 2.0  # of film


@pytest.mark.heavy
async def test_sigkill_of_the_origin_at_20_random_moments_every_acknowledged_upload_ends_as_one_playing_asset(
    breakable: System, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}: set SLUICE_TEST_SEED for another")
    data = make_film(tmp_path / "film.mp4", seconds=SECONDS, size="320x180", noise=10).read_bytes()
    headers = {"authorization": f"Bearer {breakable.admin_token}"}
    acknowledged: set[str] = set()
    tried: list[str] = []
    async with httpx.AsyncClient(base_url=breakable.direct("origin"), headers=headers, timeout=60) as http:
        for number in range(ROUNDS):
            names = [f"killed-{SEED}-{number}-{way}" for way in ("whole", "resumable")]
            tried += names
            sending = [
                asyncio.create_task(whole(http, names[0], data)),
                asyncio.create_task(resumable(http, names[1], data)),
            ]
            for _ in range(KILLS):
                moment = chance.uniform(0, 1.5)
                print(f"round {number}: killed after {moment:.3f} s")
                await asyncio.sleep(moment)  # the moment is what this is about
                origin = breakable.children()["origin"]
                kill(origin)
                await replaced(breakable, "origin", origin)
                await eventually(lambda: answers(http), within_s=60)
            for name, sent in zip(names, await asyncio.gather(*sending), strict=True):
                acknowledged |= {name} if sent else set()
            await eventually(lambda: nothing_waits(http), within_s=180)
        rows = [row for row in (await http.get("/v1/assets")).json()["assets"] if row["id"] in tried]
    titles = [row["title"] for row in rows]
    assert len(titles) == len(set(titles)), "one asset each"
    assert {row["state"] for row in rows} == {"published"}, [(row["id"], row["error"]) for row in rows]
    assert acknowledged <= {row["id"] for row in rows}
    assert acknowledged, "nothing was acknowledged: this shows nothing"
    print(f"{len(acknowledged)} of {len(tried)} acknowledged, {len(rows)} published")
    for row in rows:  # what was cut off before its answer may be there as well, but whole
        await plays(breakable, row["id"])
    left = breakable.data / "origin" / "incoming"
    assert [path for path in left.iterdir() if path.is_file()] == []


async def plays(system: System, asset: str) -> None:
    """Every rendition, through an edge, decodes to the whole film."""
    async with await Viewer(system.sign(asset)).opened() as viewer:
        for rendition in viewer.renditions():
            frames = decode(await viewer.whole(rendition))
            assert abs(frames.seconds - SECONDS) < 0.15, (asset, rendition, frames.seconds)


async def whole(http: httpx.AsyncClient, name: str, data: bytes) -> bool:
    """Sends the film in one request; whether it was acknowledged."""
    try:
        answer = await http.post("/v1/uploads", params={"name": f"{name}.mp4", "id": name}, content=data)
    except httpx.HTTPError:
        return False
    return answer.status_code == 201


async def resumable(http: httpx.AsyncClient, name: str, data: bytes) -> bool:
    """Sends the film as a resumable upload, in one piece; whether every byte was acknowledged."""
    sender = Sender(http)
    try:
        made = await sender.create(len(data), filename=f"{name}.mp4", title=name, id=name)
        sent = await sender.patch(made.headers["location"], 0, data)
    except (httpx.HTTPError, KeyError):
        return False
    return sent.status_code == 204 and sent.headers["upload-offset"] == str(len(data))


async def answers(http: httpx.AsyncClient) -> bool:
    """Whether the origin is there."""
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.HTTPError:
        return False


async def nothing_waits(http: httpx.AsyncClient) -> bool:
    """Whether everything has come to an end."""
    jobs = (await http.get("/v1/jobs")).json()["jobs"]
    return all(job["state"] in ("failed", "cancelled") for job in jobs)
