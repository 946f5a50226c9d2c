"""F23: the origin's disk is full (its files may not grow: RLIMIT_FSIZE). Said, and nothing left behind."""

import resource
from pathlib import Path

import httpx

from tests.support.fleet import Fleet

FILM = bytes(5 << 20)


def uploaded(world: Fleet, *, announced: bool) -> httpx.Response:
    content = FILM if announced else (FILM[i : i + 65536] for i in range(0, len(FILM), 65536))
    return httpx.post(
        f"{world.system.direct('origin')}/v1/uploads?name=film.mp4",
        content=content,
        headers={"authorization": f"Bearer {world.system.admin_token}"},
        timeout=60,
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_f23_a_full_disk_is_said_leaves_nothing_behind_and_recovers_without_a_restart(
    world: Fleet, published: str
) -> None:
    origin = world.system.children()["origin"]
    incoming, blobs = world.data / "origin" / "incoming", world.data / "origin" / "blobs"
    before = files(incoming), files(blobs)
    limits = resource.prlimit(origin, resource.RLIMIT_FSIZE)
    resource.prlimit(origin, resource.RLIMIT_FSIZE, (2 << 20, limits[1]))
    try:
        for announced in (True, False):
            refused = uploaded(world, announced=announced)
            assert (refused.status_code, refused.json()["code"]) == (507, "disk_full"), refused.text
            assert "full" in refused.json()["message"]
        assert (files(incoming), files(blobs)) == before
        async with await world.viewer(published) as viewer:  # what is there is served all the same
            assert (await viewer.get(viewer.segment_url("720p", 0))).status_code == 200
    finally:
        resource.prlimit(origin, resource.RLIMIT_FSIZE, limits)
    taken = uploaded(world, announced=True)
    assert taken.status_code in (201, 415), taken.text  # it is no film, but there was room for it
    assert world.system.children()["origin"] == origin
