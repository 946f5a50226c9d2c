"""F26: two uploaders, one name; or one resumable upload. One wins, and what is there is its own alone."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.fleet import Fleet
from tests.support.resumable import Sender

RACES, FILM_RACES = 500, 10
SEED = 26


def origin(world: Fleet) -> httpx.AsyncClient:
    """An operator's client."""
    headers = {"authorization": f"Bearer {world.system.admin_token}"}
    return httpx.AsyncClient(base_url=world.system.direct("origin"), headers=headers, timeout=120)


@pytest.mark.heavy
async def test_f26_of_two_uploaders_of_one_resumable_upload_one_wins_and_nothing_is_mixed(
    world: Fleet,
) -> None:
    chance = random.Random(SEED)
    async with origin(world) as http:
        sender = Sender(http)
        for race in range(RACES):
            size = chance.randrange(1, 70_000)
            pieces = [bytes([mark]) * size for mark in b"AB"]
            url = (await sender.create(2 * size, title="race")).headers["location"]
            at_rest = world.data / "origin" / "incoming" / "resumable" / f"{url.rsplit('/', 1)[1]}.data"
            sent = await asyncio.gather(*(sender.patch(url, 0, piece) for piece in pieces))
            codes = [answer.status_code for answer in sent]
            assert sorted(codes) in ([204, 409], [204, 423]), (race, codes)
            assert at_rest.read_bytes() == pieces[codes.index(204)], race
            assert (await sender.delete(url)).status_code == 204


@pytest.mark.heavy
async def test_f26_of_two_uploaders_of_one_asset_one_wins_and_its_film_is_what_there_is(
    world: Fleet, tmp_path: Path
) -> None:
    films = [
        make_film(tmp_path / f"{seconds}.mp4", seconds=seconds, size="160x90", audio=False).read_bytes()
        for seconds in (1.0, 2.0)
    ]
    async with origin(world) as http:
        for race in range(FILM_RACES):
            name = f"one-name-{race}"
            query = {"name": "film.mp4", "id": name, "download": "original"}
            sent = await asyncio.gather(
                *(http.post("/v1/uploads", params=query, content=film) for film in films)
            )
            codes = [answer.status_code for answer in sent]
            assert sorted(codes) == [201, 409], [answer.text for answer in sent]
            won = films[codes.index(201)]

            async def published(name: str = name) -> bool:
                row = (await http.get(f"/v1/assets/{name}")).json()
                assert row["state"] != "failed", row
                return bool(row["state"] == "published")

            await eventually(published, within_s=120)
            async with httpx.AsyncClient(follow_redirects=True, timeout=60) as viewer:
                link = await asyncio.to_thread(world.system.link, name, "--download")
                assert (await viewer.get(link)).content == won, race
