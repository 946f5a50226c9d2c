"""The front proxy that ships, as Debian packages it, before a real edge (`deploy/front/nginx.conf`)."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.front.compare.measure import nginx_config
from edge.guard.limits import Limits
from keys.app import _TABLE
from tests.edge.parts import World, listening_socket, world
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.viewer import Viewer
from tests.support.wire import WITHIN_S

CONFIG = Path(__file__).parent.parent.parent / "deploy" / "front" / "nginx.conf"


@dataclass
class Front:
    """The proxy, running."""

    url: str  # where it really listens
    process: subprocess.Popen[bytes]
    log: Path
    certificate: Path
    edge: World

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self.context(), timeout=20)

    def here(self, link: str) -> str:
        """A public address as it is reached in this test."""
        return link.replace(self.edge.app.settings.public_url, self.url)


@pytest.fixture
def program() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed (Debian: apt install nginx-light)")
    return found


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>player</title>")
    return folder


@contextlib.contextmanager
def running(program: str, folder: Path, edge: World) -> Iterator[Front]:
    certificate, key = self_signed(folder)
    listening, url = listening_socket()
    listening.close()
    written = folder / "nginx.conf"
    written.write_text(
        nginx_config(int(url.rsplit(":", 1)[1]), edge.url.removeprefix("http://"), certificate, key, folder)
    )
    errors = folder / "errors.log"
    process = subprocess.Popen(
        [program, "-e", str(errors), "-g", "daemon off;", "-c", str(written)], stderr=subprocess.DEVNULL
    )
    log = folder / "access.log"
    try:
        yield Front(url.replace("http:", "https:"), process, log, certificate, edge)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture
async def front(program: str, web: Path, tmp_path: Path) -> AsyncIterator[Front]:
    async with world(web, trusted_proxies=("127.0.0.1",)) as edge:
        with running(program, tmp_path, edge) as found:
            async with found.client() as client:

                async def answering() -> bool:
                    assert found.process.poll() is None, (tmp_path / "errors.log").read_text()
                    with contextlib.suppress(httpx.TransportError):
                        return (await client.get(f"{found.url}/healthz")).status_code == 200
                    return False

                await eventually(answering, within_s=20)
            yield found


async def curl(front: Front, *words: str) -> tuple[int, str, bytes]:
    """(status, version of HTTP, body) of one request by curl."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed (Debian: apt install curl)")
    report = ["--write-out", "%{stderr}%{http_code} %{http_version}"]
    process = await asyncio.create_subprocess_exec(
        program,
        *("--silent", "--cacert", str(front.certificate), "--path-as-is", *report, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    body, told = await process.communicate()
    status, http_version = told.decode().split()
    return int(status), http_version, body


async def test_a_film_plays_through_it_with_http_1_and_2(front: Front) -> None:
    async with Viewer(front.here(front.edge.link()), front.client()) as viewer:
        await viewer.opened()
        film = await viewer.whole("720p")
        names = ["init.mp4", *(f"{n}.m4s" for n in range(6))]
        assert film == b"".join(front.edge.library.body("film", 3, "720p", name) for name in names)
        segment = viewer.segment_url("720p", 1)
        whole = await viewer.cipher("720p", 1)
    for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
        assert await curl(front, option, segment) == (200, version, whole)
        status, _, part = await curl(front, option, "--range", "100-299", segment)
        assert (status, part) == (206, whole[100:300])


async def test_the_viewers_address_is_the_one_the_proxy_saw_whatever_he_says(front: Front) -> None:
    front.edge.keys.network = "192.0.2.0/24"
    url = front.here(front.edge.session()) + "720p/0.m4s"
    spoofed = "192.0.2.7"
    for name in ("X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP", "True-Client-IP"):
        status, _, _ = await curl(front, "-H", f"{name}: {spoofed}", "-H", f"{name}: for={spoofed}", url)
        assert status == 403
    front.edge.keys.network = "127.0.0.0/8"
    status, _, _ = await curl(front, front.here(front.edge.session(bytes([1] * 16))) + "720p/0.m4s")
    assert status == 200


async def test_the_edge_sees_its_public_name_only(front: Front) -> None:
    url = front.here(front.edge.link())
    for host in ("evil.test", "localhost:1", "LOCALHOST"):
        async with front.client() as client:
            answer = await client.get(url, headers={"host": host})
        assert answer.status_code == 302
        assert "evil" not in str(answer.headers)


async def test_t21_no_token_and_no_query_is_in_its_log(front: Front) -> None:
    urls = [front.here(front.edge.link()), front.here(front.edge.session()) + "720p/0.m4s"]
    query = f"{front.url}/v/film/main.m3u8?URISigningPackage=" + urls[0].split("=")[1].split("/")[0]
    broken = urls[0].replace("main.m3u8", "%00")
    for url in (*urls, query, broken, f"{urls[0]}?x=canary-in-the-query"):
        await curl(front, url)
        await curl(front, "-H", f"Referer: {url}", "-H", "X: " + "y" * 50_000, url)

    async def logged() -> bool:
        return front.log.read_text().count("main.m3u8") >= 3

    await eventually(logged, within_s=10)
    text = front.log.read_text()
    assert "/v;URISigningPackage=-/film/" in text
    assert "canary-in-the-query" not in text
    for url in (*urls, query):
        token = url.split("URISigningPackage=")[1].split("/")[0]
        assert token not in text and token.split(".")[2] not in text


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "/metrics/", "/metrics?x", "//metrics"])
async def test_what_operators_see_is_not_seen_through_it(front: Front, path: str) -> None:
    status, _, body = await curl(front, front.url + path)
    assert status in (400, 404) and b"sluice_up" not in body


async def spoken(front: Front, data: bytes) -> bytes:
    address = httpx.URL(front.url)
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=front.context())
    writer.write(data)
    async with asyncio.timeout(WITHIN_S):
        got = await reader.read()
    writer.close()
    return got


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"X: a\r\x00b\r\n\r\n",
        b"X: " + b"y" * 45_000 + b"\r\n\r\n",
    ],
)
async def test_t9_what_has_two_readings_does_not_get_through(front: Front, head: bytes) -> None:
    before = front.edge.counted.get("requests", 0)
    start = b"POST /v/film/main.m3u8 HTTP/1.1\r\nHost: localhost\r\n"
    got = await spoken(front, start + head + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert got.count(b"HTTP/1.1 ") == 1 and got.startswith(b"HTTP/1.1 4")
    assert front.edge.counted.get("requests", 0) - before <= 1


async def test_t11_what_the_proxy_lets_pass_the_edge_still_refuses(front: Front) -> None:
    many = [word for i in range(200) for word in ("-H", f"X-{i}: y")]
    assert (await curl(front, *many, f"{front.url}/healthz"))[0] == 431
    assert (await curl(front, "-X", "BREW", f"{front.url}/healthz"))[0] == 501


async def test_no_edge_there_is_said_with_a_time_to_come_back(
    program: str, web: Path, tmp_path: Path
) -> None:
    async with world(web, trusted_proxies=("127.0.0.1",)) as edge:
        pass
    with running(program, tmp_path, edge) as front:
        async with front.client() as client:
            found: list[httpx.Response] = []

            async def answering() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    found.append(await client.get(f"{front.url}/healthz"))
                return bool(found)

            await eventually(answering, within_s=20)
            answer = found[-1]
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["code"] == "unavailable"


async def test_tls_1_2_is_the_oldest_and_http_2_is_chosen(front: Front) -> None:
    status, version, _ = await curl(front, "--tls-max", "1.2", f"{front.url}/healthz")
    assert (status, version) == (200, "2")
    told = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--cacert", str(front.certificate), "--ciphers", "ALL:@SECLEVEL=0"),
        *("--tlsv1.0", "--tls-max", "1.1", f"{front.url}/healthz"),
        stdout=subprocess.DEVNULL,
    )
    assert await told.wait() != 0


async def test_f18_it_drains_answers_under_way_when_told_to_stop(front: Front) -> None:
    front.edge.gate.given.clear()  # the segment is held for the pace
    front.edge.gate.arrived.clear()
    url = front.here(front.edge.session()) + "720p/0.m4s"
    asked = asyncio.create_task(curl(front, "--http2", url))
    await asyncio.wait_for(front.edge.gate.arrived.wait(), WITHIN_S)
    front.process.send_signal(signal.SIGQUIT)
    front.edge.gate.given.set()
    status, _, body = await asked
    assert (status, bool(body)) == (200, True)
    assert await asyncio.to_thread(front.process.wait, 30) == 0


def test_its_limits_fit_those_of_the_edge() -> None:
    lines = [line.split("#")[0].strip().rstrip(";") for line in CONFIG.read_text().splitlines()]
    told = dict(line.split(" ", 1) for line in lines if " " in line)
    limits = Limits()
    assert told["client_header_timeout"] == told["client_body_timeout"] == f"{limits.head_s:.0f}s"
    assert told["send_timeout"] == f"{limits.stall_s:.0f}s"
    assert lines.count("keepalive_timeout 60s") == 1 and limits.idle_s == 60
    assert told["limit_conn"] == f"clients {limits.connections_per_client}"
    assert told["ssl_protocols"] == "TLSv1.2 TLSv1.3"
    assert told["error_log"].endswith(" crit")  # anything less would write tokens
    assert told["proxy_buffering"] == told["proxy_request_buffering"] == "off"


def test_home_lets_through_what_nodes_ask_keys_for_and_nothing_else() -> None:
    text = CONFIG.with_name("home.conf").read_text()
    server = text.partition("listen 8443 ssl;")[2].partition("listen 8444 ssl;")[0]
    passed = re.findall(r"location ~ (\S+) \{", server)
    read_only = [each for each in passed if "limit_except GET" in server.partition(each)[2][:120]]
    posted = {
        "enrol",
        "trust",
        "sessions",
        "renewals",
        "zone-links",
        "offline-licenses",
        "leases",
        "activity",
    }
    read = {"revocations", "purges", "regions/default/keys"}
    kept = {"nodes", "nodes/edge-1", "keys", "rotations", "generations", "generations/film/1/publish"}
    kept |= {"zones", "assets/film", "assets/film/limits", "assets/film/drm"}
    fill = {"name": "edge-1", "region": "default", "asset": "film", "generation": "1"}
    known = {path.format_map(fill).removeprefix("/v1/") for _, path, _ in _TABLE if path.startswith("/v1/")}
    assert known == posted | read | kept, "what is new at keys is for nodes elsewhere, or it is not"
    for name in known:
        by = [each for each in passed if re.search(each, f"/v1/{name}")]
        assert len(by) == (name not in kept), name
        assert all((each in read_only) is (name in read) for each in by), name
