"""`sluice fetch` of what leaves encrypted only: opened as it comes, resumed, over edges, in new sessions."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.commands import fetch
from deploy.commands.fetch_form import SPOILT, Sealed
from deploy.commands.fetch_state import PIECE, Done, State, load
from keys.ece import OVERHEAD, RECORD_DATA, Header, encoded
from keys.problems import Problem
from origin.media.seal import SLICE
from tests.deploy.test_fetch import fetched, is_revoked, left, started
from tests.edge.parts import GENERATION, World, downloaded, file_bytes, until, world

SIZE = 17 * SLICE + 5  # two pieces
BODY = file_bytes("vault.mp4", SIZE)
FILE = "ece/vault.mp4"
NAME = "A vault.mp4"


def offer(edge: World) -> None:
    """The file, at this edge."""
    film = edge.library.assets["film", GENERATION]
    file = replace(downloaded("vault.mp4", SIZE), protection="ece")
    edge.library.assets["film", GENERATION] = replace(film, downloads=(file, *film.downloads))


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "web").mkdir()
    async with world(tmp_path / "web") as found:
        offer(found)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "got"
    made.mkdir()
    return made


async def here(url: str, target: Path, *edges: str, parts: int = 4) -> Path:
    """What the command does, in this process. Problem as it would say it."""
    return await fetch._fetch(url, target, edges, parts, 30.0, force=False)


async def test_a_link_becomes_the_plain_file_verified(edge: World, folder: Path) -> None:
    code, told = await fetched(edge.download_link(FILE), folder)
    assert (code, left(folder)) == (0, [NAME]), told
    assert (folder / NAME).read_bytes() == BODY
    assert "Verified: SHA-256 " in told
    assert edge.keys.calls.count("open_session") == 1
    assert edge.counted["downloads"] == edge.counted["downloads_protected"] == 3  # its header, two pieces


async def test_h31_interrupted_it_goes_on_under_a_new_session(edge: World, folder: Path) -> None:
    edge.library.gate = asyncio.Event()  # every slice after the first waits
    target, saved = folder / "film.mp4", folder / "film.mp4.part.json"
    process = await started(edge.download_link(FILE), target)
    await until(lambda: (load(saved) or State("", 0)).done.size() > 0)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert process.returncode == 130, told
    there = load(saved)
    assert there is not None and 0 < there.done.size() < SIZE
    assert all(start % RECORD_DATA == stop % RECORD_DATA == 0 for start, stop in there.done.spans)
    edge.library.gate.set()
    await until(lambda: edge.counted.get("downloads_left", 0) == 2)
    sent = edge.counted["download_bytes"]
    await here(edge.download_link(FILE), target)  # another link: another key, another tag, the same file
    assert (target.read_bytes(), left(folder)) == (BODY, ["film.mp4"])
    assert len({session.sid for session in edge.keys.opened.values()}) == 2
    again = edge.counted["download_bytes"] - sent
    assert again < SIZE - there.done.size() + SLICE


async def test_it_goes_on_from_anywhere_also_from_what_came_plain(edge: World, folder: Path) -> None:
    target = folder / "f.mp4"
    Path(f"{target}.part").write_bytes(BODY[:1000] + bytes(SIZE - 2000) + BODY[-1000:])
    mark = f'"{downloaded("vault.mp4", SIZE).sha256}"'
    State(mark, SIZE, Done([(0, 1000), (SIZE - 1000, SIZE)])).save(Path(f"{target}.part.json"))
    await here(edge.download_link(FILE), target)
    assert target.read_bytes() == BODY


async def test_f17_another_edge_goes_on_when_one_breaks_off(
    edge: World, tmp_path: Path, folder: Path
) -> None:
    async with world(tmp_path / "web", edge.keys) as two:
        edge.keys.edges = (edge.url, two.url)
        offer(two)
        edge.library.fail_at = 2
        await here(edge.download_link(FILE, hosts=[two.url]), folder / "f.mp4", two.url)
        assert (folder / "f.mp4").read_bytes() == BODY
        assert edge.counted["download_bytes"] > 0 and two.counted["download_bytes"] > 0
        assert edge.keys.calls.count("open_session") == 1  # the key opens what either sends


async def test_a_session_that_ends_is_opened_again_and_its_key_is_the_next(edge: World, folder: Path) -> None:
    edge.library.fail_at = 1
    running = asyncio.create_task(here(edge.download_link(FILE), folder / "f.mp4", parts=2))
    await until(lambda: edge.counted.get("failed", 0) >= 1)
    [(link, session)] = edge.keys.opened.items()
    edge.keys.opened = {("", ""): session}  # the link's next session is another
    edge.keys.revoke("sid", session.sid)
    await until(lambda: is_revoked(edge, session.sid))
    edge.library.fail_at = None
    await running
    assert edge.keys.opened[link].sid != session.sid
    assert (folder / "f.mp4").read_bytes() == BODY


async def test_h32_a_file_of_no_bytes(edge: World, folder: Path) -> None:
    await here(edge.download_link("ece/hollow.mp4"), folder / "f.mp4")
    assert (folder / "f.mp4").read_bytes() == b""


async def test_a_plain_link_to_it_is_refused_with_what_to_do(edge: World, folder: Path) -> None:
    code, told = await fetched(edge.download_link("vault.mp4"), folder / "f.mp4")
    assert (code, left(folder)) == (4, []), told
    assert Problem("protected").message in told and "Traceback" not in told


async def test_h27_a_wrong_digest_fails_and_nothing_is_kept(edge: World, folder: Path) -> None:
    film = edge.library.assets["film", GENERATION]
    wrong = replace(film.downloads[0], sha256="A" * 43)
    edge.library.assets["film", GENERATION] = replace(film, downloads=(wrong,))
    with pytest.raises(Problem, match="SHA-256 is another"):
        await here(edge.download_link(FILE), folder / "f.mp4")
    assert left(folder) == []


KEY = bytes(range(16))


@given(size=st.integers(1, 90), record=st.integers(18, 40), data=st.data())
def test_any_part_of_the_file_comes_from_the_records_that_hold_it(
    size: int, record: int, data: st.DataObject
) -> None:
    plain = random.Random(size).randbytes(size)
    form = Sealed('"tag"', size, Header(bytes(16), record, b"id"), KEY)
    body = encoded(KEY, form.header, plain)
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    first, end = form.span(start, stop)
    assert 0 < first < end <= form.length == len(body)
    assert end - first < stop - start + (stop - start) // (record - OVERHEAD) * OVERHEAD + 2 * record
    reading = form.reading(start, stop)
    cut = data.draw(st.integers(first, end))
    got = b"".join([*reading.feed(body[first:cut]), *reading.feed(body[cut:end])])
    assert got + reading.finish() == plain[start:stop]
    changed = bytearray(body[first:end])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    spoilt = form.reading(start, stop)
    with pytest.raises(Problem, match="changed on its way") as refused:
        list(spoilt.feed(bytes(changed))), spoilt.finish()
    assert (refused.value.code, refused.value.message) == ("bad_upstream", SPOILT)


def test_pieces_are_whole_records() -> None:
    assert PIECE % RECORD_DATA == 0
