"""F25: the origin is killed in the middle of resumable uploads. What it acknowledged is there and goes on."""

import hashlib
from pathlib import Path

import httpx

from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.load import kill, replaced
from tests.support.resumable import Sender
from tests.support.system import System

PIECE = 200_000


async def test_f25_a_killed_origin_goes_on_with_the_upload_and_makes_one_asset(
    breakable: System, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=8, size="320x180", noise=20)
    data = film.read_bytes()
    assert len(data) > 4 * PIECE
    headers = {"authorization": f"Bearer {breakable.admin_token}"}
    async with httpx.AsyncClient(base_url=breakable.direct("origin"), headers=headers, timeout=60) as http:
        sender = Sender(http)
        answer = await sender.create(len(data), title="killed", id="killed")
        url, acknowledged = answer.headers["location"], 0
        at_rest = breakable.data / "origin" / "incoming" / "resumable" / f"{url.rsplit('/', 1)[1]}.data"
        for _ in range(3):
            sent = await sender.patch(url, acknowledged, data[acknowledged : acknowledged + PIECE])
            acknowledged = int(sent.headers["upload-offset"])
            _, writer = await sender.begin(
                url, acknowledged, len(data) - acknowledged, data[acknowledged:][:50]
            )
            origin = breakable.children()["origin"]
            kill(origin)
            writer.transport.abort()
            await replaced(breakable, "origin", origin)
            await eventually(lambda: _answers(http), within_s=60)
            offset = int((await sender.head(url)).headers["upload-offset"])
            assert acknowledged <= offset <= acknowledged + 50
            assert at_rest.read_bytes() == data[:offset]
            assert (await http.get("/v1/assets/killed")).status_code == 404
            acknowledged = offset
        _, writer = await sender.begin(url, acknowledged, len(data) - acknowledged, data[acknowledged:])
        origin = breakable.children()["origin"]
        await eventually(
            lambda: _is(at_rest, data), within_s=60
        )  # whole: now it is looked at, handed over, noted
        kill(origin)
        writer.transport.abort()
        await replaced(breakable, "origin", origin)
        await eventually(lambda: _answers(http), within_s=60)

        async def published() -> bool:
            found = await http.get("/v1/assets/killed")
            return found.status_code == 200 and found.json()["state"] == "published"

        await eventually(published, within_s=120)
        assets = (await http.get("/v1/assets")).json()["assets"]
        (row,) = [each for each in assets if each["title"] == "killed"]
        assert row["upload_bytes"] == len(data)
        done = await sender.head(url)
        assert done.headers["upload-offset"] == str(len(data))
        assert not at_rest.exists()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.HTTPError:
        return False


async def _is(path: Path, data: bytes) -> bool:
    """Whether the file is there and whole, or was used up already."""
    if not path.exists():
        return True
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
