"""A film's file taken away from a running system: whole, in parts, resumed elsewhere (H31, K4, F17)."""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from deploy.commands.links import make_link
from keys.ece import CODING, BadCoding, decoded
from keys.names import b64url_decode
from keys.problems import Problem
from tests.support.eventually import eventually
from tests.support.films import frame_hashes, make_film
from tests.support.load import replaced
from tests.support.packaged import packaged
from tests.support.proxy import Proxy
from tests.support.system import System, running, sluice_command

LARGE = 40 << 20  # bytes of the original beyond its film: an MP4 may hold a box of anything


@pytest.fixture(scope="module")
def two_edges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("downloads") / "data", edges=2, workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def original(two_edges: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 40 MB, published as `large` with everything to download."""
    path = make_film(tmp_path_factory.mktemp("films") / "large.mp4", seconds=4, size="320x180")
    with path.open("ab") as file:
        file.write((LARGE + 8).to_bytes(4, "big") + b"free" + os.urandom(LARGE))
    two_edges.add(path, "large", "--download", "both", "--title", "Été à Nice")
    return path


@pytest.fixture(scope="module")
def locked(two_edges: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of some MB, published as `locked`: what may be taken away leaves encrypted only."""
    path = make_film(tmp_path_factory.mktemp("films") / "locked.mp4", seconds=2, size="160x90")
    with path.open("ab") as file:
        file.write(((5 << 20) + 8).to_bytes(4, "big") + b"free" + os.urandom(5 << 20))
    two_edges.add(path, "locked", "--download", "original", "--protect-downloads", "--title", "A vault")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def at_edge(system: System, url: str, number: int) -> str:
    """The same URL at another edge."""
    return re.sub(r"^http://[^/]+", system.edges[number], url)


def session_url(link: str) -> str:
    """What a link redirects to."""
    answer = httpx.get(link)
    assert answer.status_code == 302, answer.text
    return urljoin(link, answer.headers["location"])


async def test_the_original_comes_as_it_was_uploaded(two_edges: System, original: Path) -> None:
    async with httpx.AsyncClient(follow_redirects=True) as client:
        answer = await client.get(two_edges.link("large", "--download"))
    assert hashlib.sha256(answer.content).hexdigest() == sha256(original)
    assert "filename*=UTF-8''%C3%89t%C3%A9%20%C3%A0%20Nice.mp4" in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "video/mp4"

    async def told() -> bool:
        return re.search(r" large .* 42\.\d MB ", two_edges.sluice("sessions").stdout) is not None

    await eventually(told, within_s=30)


def test_a_rendition_comes_as_an_mp4_that_plays_while_it_is_fetched(
    two_edges: System, original: Path, tmp_path: Path
) -> None:
    link = two_edges.link("large", "--download=large-180p.mp4")
    made = tmp_path / "made.mp4"
    made.write_bytes(httpx.get(link, follow_redirects=True).content)
    assert made.read_bytes().index(b"moov") < made.read_bytes().index(b"mdat")
    film = packaged(two_edges.data, "large")
    frames = {}
    for rendition, stream in (("180p", "v:0"), ("audio", "a:0")):
        whole = tmp_path / f"{rendition}.mp4"
        whole.write_bytes(film.whole(rendition))
        frames[stream] = (frame_hashes(str(made), stream=stream), frame_hashes(str(whole), stream=stream))
    assert frames["v:0"][0] == frames["v:0"][1]
    made_sound, packaged_sound = frames["a:0"]
    assert len(made_sound) == len(packaged_sound) > 100
    assert made_sound[:-1] == packaged_sound[:-1]  # the last is cut where the sound ends: a whole file knows


def test_k4_h31_what_one_edge_began_another_goes_on_with(two_edges: System, original: Path) -> None:
    url = session_url(two_edges.link("large", "--download"))
    first = httpx.get(url, headers={"range": "bytes=0-9999999"})
    tag = first.headers["etag"]
    rest = httpx.get(at_edge(two_edges, url, 1), headers={"range": "bytes=10000000-", "if-range": tag})
    assert (first.status_code, rest.status_code, rest.headers["etag"]) == (206, 206, tag)
    assert hashlib.sha256(first.content + rest.content).hexdigest() == sha256(original)
    anew = session_url(two_edges.link("large", "--download"))  # a new link: a plain file resumes all the same
    again = httpx.get(anew, headers={"range": "bytes=5-9", "if-range": tag})
    assert (again.status_code, again.content) == (206, original.read_bytes()[5:10])


async def test_h31_sixteen_parts_over_two_edges_are_the_file(two_edges: System, original: Path) -> None:
    url = session_url(two_edges.link("large", "--download"))
    size = original.stat().st_size
    step = -(-size // 16)

    async def part(client: httpx.AsyncClient, number: int) -> bytes:
        asked = f"bytes={number * step}-{min(size, (number + 1) * step) - 1}"
        answer = await client.get(at_edge(two_edges, url, number % 2), headers={"range": asked})
        assert answer.status_code == 206
        return answer.content

    async with httpx.AsyncClient(timeout=60) as client:
        parts = await asyncio.gather(*(part(client, number) for number in range(16)))
    assert hashlib.sha256(b"".join(parts)).hexdigest() == sha256(original)


@pytest.mark.parametrize("program", ["curl", "wget"])
def test_h31_usual_programs_go_on_where_they_stopped(
    two_edges: System, original: Path, tmp_path: Path, program: str
) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    target = tmp_path / "film.mp4"
    target.write_bytes(original.read_bytes()[:12_345_678])
    url = at_edge(two_edges, session_url(two_edges.link("large", "--download")), 1)
    options = {"curl": ["-sS", "-C", "-", "-o"], "wget": ["-q", "-c", "-O"]}[program]
    subprocess.run([path, *options, str(target), url], check=True, timeout=60)
    assert sha256(target) == sha256(original)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_renewed_token_travels_in_a_cookie_jar_or_a_redirect(
    two_edges: System, original: Path, tmp_path: Path
) -> None:
    jar, taken = tmp_path / "jar", tmp_path / "taken"

    def curl(url: str, *how: str) -> str:
        """The status curl ends with; the body is in `taken`."""
        done = ["curl", "-s", "-o", str(taken), "-w", "%{http_code}", *how, url]
        return subprocess.run(done, check=False, capture_output=True, text=True, timeout=120).stdout

    cookies = ("-L", "-b", str(jar), "-c", str(jar))
    by_cookie = two_edges.link("large", "--download", "--renew", "cookie")
    plain = re.sub(r";[^/]*", "", by_cookie)
    assert (curl(by_cookie, *cookies), sha256(taken)) == ("200", sha256(original))
    assert (curl(plain, *cookies, "-r", "100-199"), taken.read_bytes()) == (
        "206",
        original.read_bytes()[100:200],
    )
    assert curl(plain) == "403"
    by_redirect = two_edges.link("large", "--download", "--renew", "redirect", "--renew-for", "1h")
    assert (curl(by_redirect, "-L"), sha256(taken)) == ("200", sha256(original))
    assert "?URISigningPackage=" in session_url(by_redirect)


def test_link_says_what_there_is_to_download(two_edges: System, original: Path) -> None:
    refused = two_edges.sluice("link", "large", "--download=other.mp4")
    assert refused.returncode == 1
    assert "There is large.mp4, large-180p.mp4." in refused.stderr


def test_fetch_brings_the_file_verifies_it_and_says_so(
    two_edges: System, original: Path, tmp_path: Path
) -> None:
    told = two_edges.sluice("fetch", two_edges.link("large", "--download"), "-o", f"{tmp_path}/")
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == str(tmp_path / "Été à Nice.mp4")
    assert f"Verified: SHA-256 {sha256(original)}" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Été à Nice.mp4"]
    assert sha256(tmp_path / "Été à Nice.mp4") == sha256(original)


async def test_f17_fetch_goes_on_at_another_edge_when_one_dies_in_the_middle(
    two_edges: System, original: Path, tmp_path: Path
) -> None:
    """The way to the first edge stands still in mid-file; then the edge is killed, and nobody reaches it."""
    first, other = (urlsplit(url) for url in two_edges.edges)
    with (
        Proxy((first.hostname or "", first.port or 0)) as door,
        Proxy((other.hostname or "", other.port or 0)) as way,
    ):
        door.hold_after(6 << 20)
        link = two_edges.link("large", "--download").replace(two_edges.edges[0], door.url)
        fetch = await asyncio.create_subprocess_exec(
            *(*sluice_command(), "fetch", link, "-o", str(tmp_path / "f.mp4"), "--edge", way.url),
            stderr=asyncio.subprocess.PIPE,
        )

        async def in_the_middle() -> bool:
            return door.holding

        await eventually(in_the_middle, within_s=60)
        assert not (tmp_path / "f.mp4").exists()
        door.refuse()
        worker = two_edges.children()["edge-0-0"]
        os.kill(worker, signal.SIGKILL)
        _, told = await asyncio.wait_for(fetch.communicate(), 120)
        assert fetch.returncode == 0, told.decode()
        assert sha256(tmp_path / "f.mp4") == sha256(original)
        assert 0 < way.bytes_down < original.stat().st_size, "the rest only"
    await replaced(two_edges, "edge-0-0", worker)


def test_problems_have_codes_scripts_can_use(two_edges: System, original: Path, tmp_path: Path) -> None:
    link = two_edges.link("large", "--download")
    target = str(tmp_path / "f.mp4")
    assert two_edges.sluice("fetch", link[:-1] + "5", "-o", target).returncode == 4
    assert two_edges.sluice("revoke", link).returncode == 0
    told = two_edges.sluice("fetch", link, "-o", target)
    assert (told.returncode, list(tmp_path.iterdir())) == (6, [])
    assert Problem("revoked").message in told.stderr


def test_k4_a_protected_file_leaves_encrypted_for_its_session_and_the_same_from_every_edge(
    two_edges: System, locked: Path
) -> None:
    link = two_edges.link("locked", "--download")
    url = session_url(link)
    assert urlsplit(url).path.endswith("/locked/ece/locked.mp4")
    one, other = httpx.get(url), httpx.get(at_edge(two_edges, url, 1))
    assert (one.content, one.headers["etag"]) == (other.content, other.headers["etag"])
    assert one.headers["content-encoding"] == CODING
    said = httpx.get(at_edge(two_edges, url, 1) + "/key").json()
    key = b64url_decode(said["key"])
    assert hashlib.sha256(decoded(key, one.content)).hexdigest() == sha256(locked)
    another = session_url(two_edges.link("locked", "--download=locked.mp4"))
    assert httpx.head(another).headers["etag"] != one.headers["etag"]
    with pytest.raises(BadCoding):
        decoded(b64url_decode(httpx.get(another + "/key").json()["key"]), one.content)
    edges = two_edges.edges
    plain = session_url(make_link(two_edges.data, "locked", list(edges), download="locked.mp4"))
    refused = httpx.get(plain)
    assert (refused.status_code, refused.json()["message"]) == (403, Problem("protected").message)
    logs = b"".join(path.read_bytes() for path in (two_edges.data / "logs").iterdir() if path.is_file())
    assert logs and said["key"].encode() not in logs and key.hex().encode() not in logs


def test_fetch_opens_a_protected_file_and_verifies_it(
    two_edges: System, locked: Path, tmp_path: Path
) -> None:
    link = two_edges.link("locked", "--download")
    told = two_edges.sluice("fetch", link, "-o", f"{tmp_path}/", "--edge", two_edges.edges[1])
    assert told.returncode == 0, told.stderr
    assert f"Verified: SHA-256 {sha256(locked)}" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["A vault.mp4"]
    assert sha256(tmp_path / "A vault.mp4") == sha256(locked)
