"""The whole of one edge over a real socket: from a link to decrypted bytes, and every refusal on the way."""

import time
from dataclasses import replace
from pathlib import Path

import httpx

from edge.app import EdgeApp
from tests.edge.parts import MemoryKeys, World, world
from tests.support.viewer import Viewer

SEGMENT = "720p/0.m4s"


async def test_a_link_plays_from_redirect_to_plain_bytes(edge: World) -> None:
    async with Viewer(edge.link()) as viewer:
        await viewer.opened()
        assert viewer.renditions() == ["720p", "audio"]
        for rendition in viewer.renditions():
            film = await viewer.whole(rendition)
            names = ["init.mp4", *(f"{n}.m4s" for n in range(6))]
            assert film == b"".join(edge.library.body("film", 3, rendition, name) for name in names)
        assert set(viewer.statuses) == {302, 200}


async def test_the_redirect_stays_on_the_host_and_is_stored_by_nobody(
    edge: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get(edge.link(), headers={"origin": edge.url})
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith("/v;URISigningPackage=")
    assert location.endswith("/film/aes/main.m3u8")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cdn-cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == edge.url
    assert answer.headers["cache-status"] == "sluice-edge-1; detail=edge"


async def test_a_link_with_its_token_in_the_query_is_redirected_to_path_style(
    edge: World, client: httpx.AsyncClient
) -> None:
    token = edge.link().split("URISigningPackage=")[1].split("/")[0]
    answer = await client.get(f"{edge.url}/v/film/main.m3u8?CMCD=x&URISigningPackage={token}")
    assert answer.status_code == 302
    assert "?" not in answer.headers["location"]


async def test_head_opens_nothing(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.head(edge.link(once=True))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "open_session" not in edge.keys.calls
    assert (await client.head(f"{edge.url}/v;URISigningPackage=a.b.c/film/main.m3u8")).status_code == 403


async def test_playlists_are_the_same_bytes_for_every_session(edge: World, client: httpx.AsyncClient) -> None:
    for name in ("main.m3u8", "720p/index.m3u8"):
        answers = [await client.get(edge.session(bytes([n] * 16)) + name) for n in range(2)]
        assert answers[0].content == answers[1].content
        assert answers[0].headers["etag"] == answers[1].headers["etag"]
        assert answers[0].headers["cache-control"] == "private, max-age=60"
        assert answers[0].headers["content-type"] == "application/vnd.apple.mpegurl"
        known = await client.get(edge.session() + name, headers={"if-none-match": answers[0].headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        head = await client.head(edge.session() + name)
        assert head.headers["content-length"] == str(len(answers[0].content))


async def test_init_segments_are_clear_and_shared(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(edge.session() + "720p/init.mp4")
    assert answer.content == edge.library.body("film", 3, "720p", "init.mp4")
    assert answer.headers["cache-control"] == "private, max-age=3600"


async def test_h18_keys_are_stored_by_nobody_and_open_one_period_of_one_rendition(
    edge: World, client: httpx.AsyncClient
) -> None:
    keys = set()
    for sid in (bytes(16), bytes([1] * 16)):
        for path in ("720p/key/0", "720p/key/1", "720p/key/2", "audio/key/0"):
            answer = await client.get(edge.session(sid) + path)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-type"] == "application/octet-stream"
            assert len(answer.content) == 16
            keys.add(answer.content)
    assert len(keys) == 8


async def test_a_session_bound_to_a_network_plays_nowhere_else(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.network = "192.0.2.0/24"
    assert (await client.get(edge.session() + SEGMENT)).status_code == 403
    edge.keys.network = "127.0.0.0/8"
    assert (await client.get(edge.session(bytes([1] * 16)) + SEGMENT)).status_code == 200


async def test_the_address_a_trusted_proxy_names_counts(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web, trusted_proxies=("127.0.0.1",)) as edge:
        edge.keys.network = "192.0.2.0/24"
        url = edge.session() + SEGMENT
        assert (await client.get(url)).status_code == 403
        assert (await client.get(url, headers={"x-forwarded-for": "192.0.2.7"})).status_code == 200
        assert (await client.get(url, headers={"x-forwarded-for": "192.0.2.7, 9.9.9.9"})).status_code == 403


async def test_f27_keys_away_new_sessions_get_503_at_once_and_running_ones_play(
    edge: World, client: httpx.AsyncClient
) -> None:
    base = edge.session()
    assert (await client.get(base + SEGMENT)).status_code == 200
    edge.keys.down = True
    for path in (SEGMENT, "720p/key/1", "audio/1.m4s", "main.m3u8"):
        assert (await client.get(base + path)).status_code == 200
    for url in (edge.link(), edge.session(bytes([1] * 16)) + SEGMENT):
        answer = await client.get(url)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


async def test_h29_cors_is_for_our_own_and_for_listed_origins(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web, cors_origins=("https://films.example",)) as edge:
        for origin in ("https://films.example", edge.url):
            for url in (
                edge.session() + SEGMENT,
                edge.link(),
                edge.session() + "none/0.m4s",
                edge.url + "/v/x",
            ):
                answer = await client.get(url, headers={"origin": origin})
                assert answer.headers["access-control-allow-origin"] == origin
                assert answer.headers["timing-allow-origin"] == origin
                assert "Cache-Status" in answer.headers["access-control-expose-headers"]
                assert answer.headers["vary"] == "Origin"
                assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
                assert "access-control-allow-credentials" not in answer.headers
        for origin in ("null", "https://films.example.evil.test", "http://films.example", "*", ""):
            answer = await client.get(edge.session() + SEGMENT, headers={"origin": origin})
            assert "access-control-allow-origin" not in answer.headers
            assert answer.headers["vary"] == "Origin"


async def test_h29_preflight(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web, cors_origins=("https://films.example",)) as edge:
        ours = await client.options(edge.session() + SEGMENT, headers={"origin": "https://films.example"})
        assert (ours.status_code, ours.content) == (204, b"")
        assert ours.headers["access-control-max-age"] == "7200"
        assert "Range" in ours.headers["access-control-allow-headers"]
        assert "GET" in ours.headers["access-control-allow-methods"]
        other = await client.options(edge.session() + SEGMENT, headers={"origin": "https://evil.test"})
        assert other.status_code == 204
        assert "access-control-allow-methods" not in other.headers


async def test_h38_the_player_page_and_nothing_else(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web, edges=("http://two.test:8011",)) as edge:
        page = await client.get(f"{edge.url}/watch/")
        assert "player" in page.text
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self' http://two.test:8011" in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        script = await client.get(f"{edge.url}/watch/vendor/hls.min.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        known = await client.get(
            f"{edge.url}/watch/vendor/hls.min.js", headers={"if-none-match": script.headers["etag"]}
        )
        assert known.status_code == 304
        for name in ("notes.txt", "none.js", "vendor", "vendor/", "%2e%2e/secret.html", "..%2fsecret.html"):
            assert (await client.get(f"{edge.url}/watch/{name}")).status_code in (400, 404)
        assert (await client.get(f"{edge.url}/watch")).headers["location"] == "/watch/"


async def test_health_says_what_is_missing(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web) as edge:
        fine = (await client.get(f"{edge.url}/healthz")).json()
        assert (fine["status"], fine["new_sessions"], set(fine["checks"].values())) == ("ok", True, {"ok"})
        edge.app.revocations._heard = None
        answer = await client.get(f"{edge.url}/healthz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert (answer.json()["status"], answer.json()["new_sessions"]) == ("unable", False)
        assert answer.json()["checks"]["revocations"] == "keys has not answered yet"


async def test_f27_keys_away_for_a_minute_takes_no_edge_out_but_sends_new_viewers_elsewhere(
    web: Path, client: httpx.AsyncClient
) -> None:
    async with world(web) as edge:
        edge.keys.down = True
        edge.app.revocations._heard = edge.app._clock() - 61
        answer = await client.get(f"{edge.url}/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "limited")
        assert answer.json()["checks"]["keys"] == "keys was last heard 61 s ago"
        assert (await client.get(f"{edge.url}/healthz/new")).status_code == 503


async def test_f35_a_busy_worker_refuses_new_sessions_and_goes_on_with_those_that_run(
    web: Path, client: httpx.AsyncClient
) -> None:
    async with world(web) as edge, Viewer(edge.link()) as viewer:
        await viewer.opened()
        for _ in range(300):
            edge.app.admission.measured(30.0)
        late = edge.link()
        refused = await client.get(late)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert 2 <= int(refused.headers["retry-after"]) <= 5
        assert refused.headers["cache-control"] == "no-store"
        assert (await viewer.get(viewer.segment_url("720p", 0))).status_code == 200
        health = await client.get(f"{edge.url}/healthz")
        assert (health.status_code, health.json()["new_sessions"]) == (200, False)
        assert (await client.get(f"{edge.url}/healthz/new")).status_code == 503
        for _ in range(300):
            edge.app.admission.measured(0.0)
        assert (await client.get(late)).status_code == 302


async def test_f18_a_worker_told_to_end_is_taken_out_by_its_balancer_and_still_serves(
    web: Path, client: httpx.AsyncClient
) -> None:
    async with world(web) as edge:
        await edge.app.state.hush()
        answer = await client.get(f"{edge.url}/healthz")
        assert (answer.status_code, answer.json()["checks"]["draining"]) == (503, "ending")
        assert (await client.get(edge.link())).status_code == 302


async def test_metrics_are_for_this_machine(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{edge.url}/metrics")
    assert answer.text == "sluice_up 1\n"
    passed_on = await client.get(f"{edge.url}/metrics", headers={"x-forwarded-for": "192.0.2.7"})
    assert passed_on.status_code == 404


async def test_hsts_is_said_where_viewers_come_by_https(web: Path, client: httpx.AsyncClient) -> None:
    async with world(web) as edge:
        assert "strict-transport-security" not in (await client.get(f"{edge.url}/watch/")).headers
        made = edge.app.settings
        secure = EdgeApp(
            replace(made, public_url="https://films.example"),
            keys=edge.keys, trusted=edge.trusted, library=edge.library, pace=edge.gate,
            now=time.time, clock=time.monotonic, metrics=str,
        )  # fmt: skip
        transport = httpx.ASGITransport(app=secure)
        async with httpx.AsyncClient(transport=transport, base_url="https://films.example") as asking:
            for path in ("/watch/", "/v/x"):
                assert (await asking.get(path)).headers["strict-transport-security"] == "max-age=31536000"


async def test_a_worker_that_ends_tells_what_it_still_knows(web: Path, client: httpx.AsyncClient) -> None:
    keys = MemoryKeys()
    async with world(web, keys) as edge:
        await client.get(edge.session() + SEGMENT)
        assert not keys.seen
    assert keys.seen


async def test_t6_no_answer_repeats_the_host_of_its_request(edge: World, client: httpx.AsyncClient) -> None:
    for path in ("/healthz/", "/metrics/", "/watch", "/nothing", "/watch/nothing"):
        answer = await client.get(edge.url + path, headers={"host": "evil.example"})
        assert "evil" not in f"{answer.headers}{answer.text}", path
        assert answer.status_code in (308, 404)


async def test_h36_what_is_not_there_is_stored_by_nobody(edge: World, client: httpx.AsyncClient) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("POST", "/healthz", 405)):
        answer = await client.request(method, edge.url + path)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.json()["status"] == status


async def test_h36_a_failed_precondition_is_stored_by_nobody(edge: World, client: httpx.AsyncClient) -> None:
    for path in ("main.m3u8", "720p/init.mp4"):
        answer = await client.get(edge.session() + path, headers={"if-match": '"other"'})
        assert (answer.status_code, answer.headers["cache-control"]) == (412, "no-store")
