"""`sluice fetch` against a real edge: whole, resumed, refused, changed, wrong; and how it remembers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.commands.fetch_source import base_of, name_in
from deploy.commands.fetch_state import Done, State, load
from edge.deliver.disposition import attachment
from keys.problems import Problem
from origin.media.seal import SLICE
from tests.edge.parts import GENERATION, World, downloaded, file_bytes, until, world

SIZE = 20 * SLICE + 5  # two pieces
BODY = file_bytes("big.mp4", SIZE)
NAME = "A big.mp4"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[World]:
    async with an_edge(tmp_path) as found:
        yield found


@asynccontextmanager
async def an_edge(folder: Path) -> AsyncIterator[World]:
    """An edge with one large download."""
    (folder / "web").mkdir(exist_ok=True)
    async with world(folder / "web") as found:
        offer(found, SIZE)
        yield found


def offer(edge: World, size: int, sha256: str = "") -> None:
    """What is at `big.mp4` from now on."""
    film = edge.library.assets["film", GENERATION]
    file = downloaded("big.mp4", size)
    edge.library.assets["film", GENERATION] = replace(
        film, downloads=(replace(file, sha256=sha256 or file.sha256), *film.downloads)
    )


async def started(url: str, target: Path, *options: str) -> asyncio.subprocess.Process:
    """The command, under way."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "fetch", url, "-o", str(target), *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def fetched(url: str, target: Path, *options: str) -> tuple[int, str]:
    """Exit code of the command, and all it said."""
    process = await started(url, target, *options)
    out, err = await process.communicate()
    return process.returncode or 0, (out + err).decode()


def is_revoked(edge: World, sid: str) -> bool:
    try:
        edge.app.revocations.check(sid=sid)
    except Problem:
        return True
    return False


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "got"
    made.mkdir()
    return made


async def test_h31_a_link_becomes_a_verified_file_of_its_own_name(edge: World, folder: Path) -> None:
    code, told = await fetched(edge.download_link("big.mp4"), folder)
    assert (code, left(folder)) == (0, [NAME]), told
    assert (folder / NAME).read_bytes() == BODY
    assert "Verified: SHA-256 " in told and str(folder / NAME) in told
    assert edge.keys.calls.count("open_session") == 1
    starts = {wanted.start for _, name, wanted in edge.library.opens if name == "file" and wanted}
    assert starts == {0, 16}
    code, told = await fetched(edge.download_link("big.mp4"), folder)
    assert code == 2 and "--force" in told


async def test_h32_a_file_of_no_bytes(edge: World, folder: Path) -> None:
    code, told = await fetched(edge.download_link("empty.mp4"), folder / "empty.mp4")
    assert (code, (folder / "empty.mp4").read_bytes()) == (0, b""), told


async def test_h31_interrupted_it_goes_on_where_it_was_under_a_new_link(edge: World, folder: Path) -> None:
    edge.library.gate = asyncio.Event()  # every slice after the first waits
    target = folder / "film.mp4"
    process = await started(edge.download_link("big.mp4"), target)
    await until(lambda: (load(folder / "film.mp4.part.json") or State("", 0)).done.size() > 0)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert process.returncode == 130 and b"goes on from there" in told
    assert left(folder) == ["film.mp4.part", "film.mp4.part.json"]
    there = load(folder / "film.mp4.part.json")
    assert there is not None and 0 < there.done.size() < SIZE
    edge.library.gate.set()
    await until(lambda: edge.counted.get("downloads_left", 0) == 2)  # what was under way is not counted below
    sent = edge.counted["download_bytes"]
    code, words = await fetched(edge.download_link("big.mp4"), target)
    assert (code, left(folder)) == (0, ["film.mp4"]), words
    assert target.read_bytes() == BODY
    assert "Going on" in words
    again = edge.counted["download_bytes"] - sent
    assert again < SIZE - there.done.size() + SLICE  # what was on its way when it stopped comes twice


async def test_f4_a_body_that_breaks_off_is_resumed_by_range(edge: World, folder: Path) -> None:
    edge.library.fail_at = 3
    process = await started(edge.download_link("big.mp4"), folder / "f.mp4", "--parts", "1")
    await until(lambda: edge.counted.get("failed", 0) >= 1)
    edge.library.fail_at = None
    out, err = await process.communicate()
    assert process.returncode == 0, out + err
    assert (folder / "f.mp4").read_bytes() == BODY


async def test_f17_another_edge_goes_on_when_one_breaks_off(tmp_path: Path, folder: Path) -> None:
    async with an_edge(tmp_path) as one, world(tmp_path / "web", one.keys) as two:
        one.keys.edges = (one.url, two.url)
        offer(two, SIZE)
        one.library.fail_at = 2
        link = one.download_link("big.mp4", hosts=[two.url])
        code, told = await fetched(link, folder / "f.mp4", "--edge", two.url)
        assert code == 0, told
        assert (folder / "f.mp4").read_bytes() == BODY
        assert one.counted["download_bytes"] > 0 and two.counted["download_bytes"] > 0


async def test_h07_a_file_that_changed_meanwhile_is_begun_anew(edge: World, folder: Path) -> None:
    target = folder / "f.mp4"
    Path(f"{target}.part").write_bytes(b"x" * SIZE)
    State('"another"', SIZE, Done([(0, SIZE - 9)])).save(Path(f"{target}.part.json"))
    code, told = await fetched(edge.download_link("big.mp4"), target)
    assert (code, target.read_bytes() == BODY) == (0, True), told
    assert "starting anew" in told


async def test_h27_a_wrong_digest_fails_and_nothing_is_kept(edge: World, folder: Path) -> None:
    offer(edge, SIZE, sha256="A" * 43)
    code, told = await fetched(edge.download_link("big.mp4"), folder / "f.mp4")
    assert (code, left(folder)) == (1, []), told
    assert "SHA-256 is another" in told


async def test_a_session_that_ends_is_opened_again(edge: World, folder: Path) -> None:
    edge.library.fail_at = 1
    process = await started(edge.download_link("big.mp4"), folder / "f.mp4", "--parts", "1")
    await until(lambda: edge.counted.get("failed", 0) >= 1)
    [(link, session)] = edge.keys.opened.items()
    edge.keys.opened = {("", ""): session}  # the link's next session is another
    edge.keys.revoke("sid", session.sid)
    await until(lambda: is_revoked(edge, session.sid))
    edge.library.fail_at = None
    out, err = await process.communicate()
    assert process.returncode == 0, out + err
    assert b"opening the link again" in err
    assert edge.keys.opened[link].sid != session.sid
    assert (folder / "f.mp4").read_bytes() == BODY


@pytest.mark.parametrize(
    ("code", "exit_code"), [("expired", 5), ("revoked", 6), ("limit", 7), ("forbidden", 4)]
)
async def test_what_a_link_may_not_do_is_said_at_once(
    edge: World, folder: Path, code: str, exit_code: int
) -> None:
    edge.keys.refuse = Problem(code)
    found, told = await fetched(edge.download_link("big.mp4"), folder / "f.mp4")
    assert found == exit_code
    assert Problem(code).message in told and "Traceback" not in told
    assert left(folder) == []


async def test_other_mistakes_are_one_sentence(edge: World, folder: Path) -> None:
    code, told = await fetched(edge.link(), folder / "f")
    assert code == 1 and "link to a stream" in told
    code, told = await fetched(edge.url + "/nothing/here", folder / "f")
    assert code == 4
    code, told = await fetched("ftp://example.org/x", folder / "f")
    assert code == 2 and "no http or https address" in told
    code, told = await fetched("http://127.0.0.1:9/d/film/f.mp4", folder / "f", "--patience", "500ms")
    assert code == 1 and "does not answer" in told
    assert left(folder) == []


async def test_two_commands_do_not_write_one_file(edge: World, folder: Path) -> None:
    edge.library.gate = asyncio.Event()
    process = await started(edge.download_link("big.mp4"), folder / "f.mp4")
    await until(lambda: edge.counted.get("downloads", 0) >= 1)
    code, told = await fetched(edge.download_link("big.mp4"), folder / "f.mp4")
    assert code == 1 and "Another sluice fetch" in told
    edge.library.gate.set()
    await process.communicate()
    assert process.returncode == 0


spans = st.tuples(st.integers(0, 300), st.integers(0, 60)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(spans, max_size=30), st.integers(0, 320), st.integers(1, 90))
def test_what_is_missing_is_what_never_came(added: list[tuple[int, int]], size: int, piece: int) -> None:
    done, there = Done(), set[int]()
    for start, stop in added:
        start, stop = min(start, size), min(stop, size)
        done.add(start, stop)
        there |= set(range(start, stop))
    assert done.size() == len(there)
    assert all(a[1] < b[0] for a, b in zip(done.spans, done.spans[1:], strict=False))
    missing = done.missing(size, piece)
    assert [at for start, stop in missing for at in range(start, stop)] == sorted(set(range(size)) - there)
    assert all(start < stop and start // piece == (stop - 1) // piece for start, stop in missing)


def test_a_state_comes_back_from_its_file_and_nonsense_does_not(tmp_path: Path) -> None:
    path = tmp_path / "f.part.json"
    state = State('"tag"', 100, Done([(0, 5), (7, 9)]))
    state.save(path)
    assert load(path) == state
    good = json.loads(path.read_text())
    nonsense: list[object] = [
        {},
        [],
        good | {"done": [[5, 101]]},
        good | {"size": "x"},
        good | {"done": [[9, 7]]},
    ]
    for wrong in nonsense:
        path.write_text(json.dumps(wrong))
        assert load(path) is None
    path.write_bytes(os.urandom(50))
    assert load(path) is None
    assert load(tmp_path / "absent") is None


@given(st.text(min_size=1, max_size=60))
def test_h30_fetch_reads_the_name_the_edge_wrote(name: str) -> None:
    header = attachment(name, "film.mp4").decode()
    assert attachment(name_in(header), "film.mp4").decode() == header


@pytest.mark.parametrize(
    "url", ["", "film", "ftp://host/x", "http:///x", "http://user@host/x", "file:///etc/passwd"]
)
def test_what_is_no_address_of_an_edge_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no http"):
        base_of(url)
