"""Downloads over a real socket: ranges, validators, methods, headers (SECURITY H1–H19, H27, H30, H32)."""

import asyncio
import base64
import hashlib
import re
import time
from email.parser import BytesParser
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import urljoin

import httpx
import pytest

from keys.problems import Problem
from origin.media.seal import SLICE
from tests.edge.parts import FILES, STORED, World, downloaded, file_bytes, until

SIZE = FILES["film.mp4"]
BODY = file_bytes("film.mp4", SIZE)
TAG = f'"{downloaded("film.mp4", SIZE).sha256}"'


async def get(
    edge: World, client: httpx.AsyncClient, file: str = "film.mp4", **headers: str
) -> httpx.Response:
    """A GET under a session; `if_range` is the header If-Range."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.get(edge.download(file), headers=named)


async def test_a_link_opens_a_session_for_its_file_and_the_file_comes_whole(
    edge: World, client: httpx.AsyncClient
) -> None:
    link = edge.download_link()
    first, again = await client.get(link), await client.get(link)
    assert first.status_code == 302
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["location"] == again.headers["location"]  # idempotent for a minute
    assert first.headers["location"].startswith("/d;URISigningPackage=")
    answer = await client.get(urljoin(link, first.headers["location"]))
    assert (answer.status_code, answer.content) == (200, BODY)
    assert edge.gate.asked == []  # no pace


async def test_a_link_with_its_token_in_the_query_is_redirected_to_path_style(
    edge: World, client: httpx.AsyncClient
) -> None:
    link = edge.download_link()
    token = re.search(r";(URISigningPackage=[^/]+)", link)
    assert token is not None
    answer = await client.get(f"{edge.url}/d/film/film.mp4?{token[1]}")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/d;URISigningPackage=")
    session = re.search(r";(URISigningPackage=[^/]+)", answer.headers["location"])
    assert session is not None
    assert (await client.get(f"{edge.url}/d/film/film.mp4?{session[1]}")).status_code == 403


async def test_a_session_of_a_download_is_good_for_that_file_alone(
    edge: World, client: httpx.AsyncClient
) -> None:
    download, stream = edge.download(), edge.session()
    token = download.split("/")[3]
    assert (await client.get(f"{edge.url}/{token}/film/clip.mp4")).status_code == 403
    assert (await client.get(f"{edge.url}/v{token[1:]}/film/aes/main.m3u8")).status_code == 403
    token = stream.split("/")[3]
    assert (await client.get(f"{edge.url}/d{token[1:]}/film/film.mp4")).status_code == 403
    link = edge.download_link().replace("/film/film.mp4", "/film/clip.mp4")
    assert (await client.get(link)).status_code == 403
    assert (await client.get(edge.link().replace("/v;", "/d;"))).status_code == 403


async def test_a_file_that_is_not_offered_is_the_one_403(edge: World, client: httpx.AsyncClient) -> None:
    answer = await get(edge, client, "other.mp4")
    assert answer.status_code == 403
    assert answer.content == (await client.get(edge.url + "/d/film/film.mp4")).content


async def test_h01_accept_ranges_is_said_where_ranges_are_served(
    edge: World, client: httpx.AsyncClient
) -> None:
    for answer in (
        await get(edge, client),
        await get(edge, client, range="bytes=0-0"),
        await client.head(edge.download()),
        await client.head(edge.download_link()),
    ):
        assert answer.headers["accept-ranges"] == "bytes"
    assert (await client.get(edge.session() + "main.m3u8")).headers["accept-ranges"] == "none"


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (f"bytes={SLICE - 3}-{SLICE + 2}", SLICE - 3, SLICE + 3),
        (f"bytes={SIZE - 5}-", SIZE - 5, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE + 9}", 0, SIZE),
        (f"bytes=5-{SIZE + 100}", 5, SIZE),
    ],
)
async def test_h02_one_range_is_206_with_exact_fields(
    edge: World, client: httpx.AsyncClient, value: str, start: int, stop: int
) -> None:
    answer = await get(edge, client, range=value)
    assert (answer.status_code, answer.content) == (206, BODY[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("value", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
async def test_h03_a_range_outside_is_416_that_nobody_stores(
    edge: World, client: httpx.AsyncClient, value: str
) -> None:
    answer = await get(edge, client, range=value)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "value", ["bytes=", "items=0-1", "bytes=5-2", "bytes=0-" + "1" * 10_000, "bytes=a-b"]
)
async def test_h04_a_range_that_means_nothing_is_ignored(
    edge: World, client: httpx.AsyncClient, value: str
) -> None:
    answer = await get(edge, client, "clip.mp4", range=value)
    assert (answer.status_code, answer.content) == (200, file_bytes("clip.mp4", 1000))
    assert (await client.head(edge.download(), headers={"range": "bytes=0-1"})).status_code == 200


def parts(answer: httpx.Response) -> list[tuple[str, str, bytes]]:
    """(type, range, bytes) of each part, as Python's own MIME parser reads them."""
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    found = []
    for part in message.get_payload():
        assert not isinstance(part, str)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append((part.get_content_type(), part["content-range"], payload))
    return found


async def test_h05_several_ranges_come_as_parts_in_the_order_asked_for(
    edge: World, client: httpx.AsyncClient
) -> None:
    answer = await get(edge, client, range=f"bytes=-4,10-19,{SLICE - 2}-{SLICE + 1}")
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "content-range" not in answer.headers
    assert answer.content.count(answer.headers["content-type"].split("boundary=")[1].encode()) == 4
    spans = [(SIZE - 4, SIZE), (10, 20), (SLICE - 2, SLICE + 2)]
    expected = [("video/mp4", f"bytes {a}-{b - 1}/{SIZE}") for a, b in spans]
    pieces = re.findall(rb"content-range: ([^\r]+)\r\n\r\n", answer.content)
    assert [("video/mp4", piece.decode()) for piece in pieces] == expected
    at = 0
    for a, b in spans:
        at = answer.content.index(b"\r\n\r\n", at) + 4
        assert answer.content[at : at + b - a] == BODY[a:b]
    assert [part[:2] for part in parts(answer)] == expected


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [("bytes=0-9,10-19", 0, 20), ("bytes=5-30,0-9", 0, 31), ("bytes=0-9,20-29,8-21", 0, 30)],
)
async def test_h05_ranges_that_touch_are_one(
    edge: World, client: httpx.AsyncClient, value: str, start: int, stop: int
) -> None:
    answer = await get(edge, client, range=value)
    assert (answer.status_code, answer.content) == (206, BODY[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"


async def test_h05_t10_more_than_eight_ranges_are_the_whole_body(
    edge: World, client: httpx.AsyncClient
) -> None:
    value = "bytes=" + ",".join(f"{n * 10}-{n * 10}" for n in range(9))
    answer = await get(edge, client, "clip.mp4", range=value)
    assert (answer.status_code, len(answer.content)) == (200, 1000)


async def test_t10_parts_are_never_longer_than_the_file(edge: World, client: httpx.AsyncClient) -> None:
    value = "bytes=" + ",".join(f"{n * 100}-{n * 100 + 39}" for n in range(8))
    answer = await get(edge, client, "clip.mp4", range=value)
    assert (answer.status_code, len(answer.content)) == (200, 1000)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (TAG, 206),
        (formatdate(STORED, usegmt=True), 206),
        (f"W/{TAG}", 200),
        ('"other"', 200),
        (formatdate(STORED + 1, usegmt=True), 200),
        (formatdate(STORED - 1, usegmt=True), 200),
        ("yesterday", 200),
    ],
)
async def test_h06_if_range_is_a_strong_comparison(
    edge: World, client: httpx.AsyncClient, if_range: str, status: int
) -> None:
    answer = await get(edge, client, range="bytes=3-9", if_range=if_range)
    assert (answer.status_code, answer.content) == (status, BODY[3:10] if status == 206 else BODY)


async def test_h06_a_range_is_read_after_the_other_preconditions(
    edge: World, client: httpx.AsyncClient
) -> None:
    assert (await get(edge, client, range="bytes=0-1", if_match='"other"', if_range=TAG)).status_code == 412
    assert (await get(edge, client, range=f"bytes={SIZE}-", if_none_match=TAG)).status_code == 304


async def test_h07_a_file_that_was_published_anew_has_another_tag(
    edge: World, client: httpx.AsyncClient
) -> None:
    before = await get(edge, client, range="bytes=0-9")
    (key, film), *_ = edge.library.assets.items()
    changed = [downloaded(d.name, d.size + 1) for d in film.downloads]
    edge.library.assets[key] = type(film)(
        film.tenant, film.asset, film.generation, film.title, film.duration, film.period_segments,
        film.renditions, film.protections, tuple(changed),
    )  # fmt: skip
    after = await get(edge, client, range="bytes=10-19", if_range=before.headers["etag"])
    assert after.status_code == 200  # all of the new file, never a mix
    assert after.content == file_bytes("film.mp4", SIZE + 1)
    assert after.headers["etag"] != before.headers["etag"]


async def test_h08_t10_a_range_asks_the_cache_for_its_slices_alone(
    edge: World, client: httpx.AsyncClient
) -> None:
    await get(edge, client, range=f"bytes={2 * SLICE}-{2 * SLICE}")
    await get(edge, client, range="bytes=0-0,-1")
    wanted = [range(2, 3), range(1), range(3, 4)]
    assert edge.library.opens == [("file-film", "file", each) for each in wanted]
    assert all(opened.closed for opened in edge.library.opened)


async def test_h09_206_and_200_share_their_fields(edge: World, client: httpx.AsyncClient) -> None:
    whole, part = await get(edge, client), await get(edge, client, range="bytes=1-2")
    several = await get(edge, client, range="bytes=1-2,8-9")
    for name in ("etag", "last-modified", "vary", "repr-digest", "content-disposition", "cdn-cache-control"):
        assert whole.headers[name] == part.headers[name] == several.headers[name]
    ages = [int(re.findall(r"max-age=(\d+)", a.headers["cache-control"])[0]) for a in (whole, part)]
    assert abs(ages[0] - ages[1]) <= 2  # what is left of the session


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": TAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f'"a", {TAG}'}, 200),
        ({"if-match": f"W/{TAG}"}, 412),
        ({"if-match": TAG, "if-unmodified-since": formatdate(0, usegmt=True)}, 200),
        ({"if-unmodified-since": formatdate(STORED, usegmt=True)}, 200),
        ({"if-unmodified-since": formatdate(STORED - 1, usegmt=True)}, 412),
        ({"if-none-match": TAG}, 304),
        ({"if-none-match": f"W/{TAG}"}, 304),
        ({"if-none-match": '"a"', "if-modified-since": formatdate(STORED, usegmt=True)}, 200),
        ({"if-modified-since": formatdate(STORED, usegmt=True)}, 304),
        ({"if-modified-since": formatdate(STORED - 1, usegmt=True)}, 200),
        ({"if-modified-since": "no date"}, 200),
        ({"if-match": '"a"', "if-none-match": TAG}, 412),
    ],
)
async def test_h10_preconditions_come_in_the_order_of_rfc_9110(
    edge: World, client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.get(edge.download(), headers=headers)
    assert answer.status_code == status
    assert answer.content == (BODY if status == 200 else b"")


async def test_h11_304_carries_its_fields_and_no_body(edge: World, client: httpx.AsyncClient) -> None:
    answer = await get(edge, client, if_none_match=TAG)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", TAG)
    assert "content-length" not in answer.headers
    for name in ("date", "vary", "last-modified"):
        assert name in answer.headers
    assert answer.headers["cache-control"].startswith("private, max-age=")
    assert edge.library.opens == []


async def test_h12_the_tag_is_strong_and_the_same_for_everyone(
    edge: World, client: httpx.AsyncClient
) -> None:
    tags = {
        (await client.get(edge.download(sid=bytes([n] * 16)), headers={"range": "bytes=0-0"})).headers["etag"]
        for n in range(3)
    }
    assert tags == {TAG}
    other = await get(edge, client, "clip.mp4")
    assert other.headers["etag"] != TAG


async def test_h13_each_session_has_a_url_of_its_own(edge: World, client: httpx.AsyncClient) -> None:
    places = set()
    for _ in range(2):
        answer = await client.get(edge.download_link())
        places.add(answer.headers["location"])
    assert len(places) == 2
    for place in places:
        answer = await client.get(edge.url + place)
        assert answer.headers["vary"] == "Origin"
        assert "set-cookie" not in answer.headers


async def test_h14_last_modified_is_never_later_than_date(edge: World, client: httpx.AsyncClient) -> None:
    (key, film), *_ = edge.library.assets.items()
    late = downloaded("film.mp4", SIZE)
    late = type(late)(
        late.name, late.shown, late.media_type, late.size, late.sha256, late.rendition, 4_000_000_000
    )
    edge.library.assets[key] = type(film)(
        film.tenant, film.asset, film.generation, film.title, film.duration, film.period_segments,
        film.renditions, film.protections, (late,),
    )  # fmt: skip
    answer = await get(edge, client, range="bytes=0-0")
    modified, date = (parsedate_to_datetime(answer.headers[name]) for name in ("last-modified", "date"))
    assert modified <= date


async def raw(edge: World, request: bytes) -> bytes:
    """All that comes back for these bytes, on a connection of their own."""
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


def head_of(edge: World, method: str, url: str, *lines: str) -> bytes:
    target, host = url.removeprefix(edge.url), edge.url.removeprefix("http://")
    return "\r\n".join(
        [f"{method} {target} HTTP/1.1", f"host: {host}", "connection: close", *lines, "", ""]
    ).encode()


async def test_h15_head_has_the_fields_of_get_no_body_and_costs_no_fetch(
    edge: World, client: httpx.AsyncClient
) -> None:
    head = await client.head(edge.download())
    assert edge.library.opens == []
    whole = await get(edge, client)
    same = set(whole.headers) - {"date", "cache-status", "cache-control"}
    assert {name: whole.headers[name] for name in same} == {name: head.headers[name] for name in same}
    answer = await raw(edge, head_of(edge, "HEAD", edge.download()))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


async def test_h15_head_of_a_link_opens_nothing(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.head(edge.download_link(once=True))
    assert answer.status_code == 200
    assert (
        "content-length" not in answer.headers
    )  # nobody knows yet: the length of GET's answer is not claimed
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["content-disposition"] == 'attachment; filename="film.mp4"'
    assert edge.keys.calls.count("open_session") == 0


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("POST", 405),
        ("PUT", 405),
        ("PATCH", 405),
        ("DELETE", 405),
        ("TRACE", 405),
        ("PROPFIND", 501),
        ("LOCK", 501),
    ],
)
async def test_h16_other_methods_are_refused(edge: World, method: str, status: int) -> None:
    answer = await raw(edge, head_of(edge, method, edge.download()))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"\r\nallow: GET, HEAD, OPTIONS\r\n" in answer) == (status == 405)
    assert b"\r\ncache-control: no-store\r\n" in answer
    assert edge.library.opens == []


async def test_h16_options_is_answered_here_and_connect_is_refused(edge: World) -> None:
    answer = await raw(edge, head_of(edge, "OPTIONS", edge.download()))
    assert answer.startswith(b"HTTP/1.1 204 ") and b"\r\nallow: GET, HEAD, OPTIONS\r\n" in answer
    answer = await raw(edge, head_of(edge, "CONNECT", edge.url + "example.org:443"))
    assert re.match(rb"HTTP/1\.1 (400|405|501) ", answer)


async def test_h17_a_request_that_would_change_something_reaches_no_origin_and_is_not_kept(
    edge: World, client: httpx.AsyncClient
) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await client.request(method, edge.download(), content=b"x" * 100)
        assert (answer.status_code, answer.headers["cache-control"]) == (405, "no-store")
    assert edge.library.opens == []
    assert (await get(edge, client)).content == BODY


async def test_h18_h19_only_this_client_may_keep_it(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(edge.download(ends_in=100))
    age = re.fullmatch(r"private, max-age=(\d+), no-transform", answer.headers["cache-control"])
    assert age is not None and int(age[1]) <= edge.keys.session_s
    assert answer.headers["cdn-cache-control"] == "no-store"


async def test_h27_repr_digest_is_of_the_whole_file_also_on_a_part(
    edge: World, client: httpx.AsyncClient
) -> None:
    expected = "sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode() + ":"
    whole, part = await get(edge, client), await get(edge, client, range="bytes=0-9")
    assert whole.headers["repr-digest"] == part.headers["repr-digest"] == expected
    assert "content-digest" not in whole.headers
    unwanted = await get(edge, client, want_repr_digest="sha-256=0, sha-512=3")
    assert "repr-digest" not in unwanted.headers
    wanted = await get(edge, client, want_content_digest="sha-512=3, sha-256=10")
    assert wanted.headers["content-digest"] == expected
    part = await get(edge, client, want_content_digest="sha-256=10", range="bytes=0-9")
    assert "content-digest" not in part.headers  # it would be of these bytes


async def test_h30_a_download_is_an_attachment_of_its_own_type(
    edge: World, client: httpx.AsyncClient
) -> None:
    answer = await get(edge, client)
    assert answer.headers["content-disposition"] == 'attachment; filename="A film.mp4"'
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_h32_a_file_of_no_bytes_is_whole(edge: World, client: httpx.AsyncClient) -> None:
    answer = await get(edge, client, "empty.mp4")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert (await get(edge, client, "empty.mp4", range="bytes=-5")).status_code == 200
    refused = await get(edge, client, "empty.mp4", range="bytes=0-")
    assert (refused.status_code, refused.headers["content-range"]) == (416, "bytes */0")
    assert edge.library.opens == []


async def test_h32_no_answer_is_chunked(edge: World, client: httpx.AsyncClient) -> None:
    for value in ("bytes=0-", "bytes=0-0,5-5", f"bytes={SIZE}-"):
        answer = await get(edge, client, range=value)
        assert answer.headers["content-length"] == str(len(answer.content))
        assert "transfer-encoding" not in answer.headers


async def test_f4_a_slice_that_fails_in_the_middle_breaks_the_body_visibly(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.library.fail_at = 2
    with pytest.raises(httpx.RemoteProtocolError):
        await get(edge, client)
    assert (await get(edge, client, range=f"bytes={3 * SLICE}-")).status_code == 502  # before the first byte
    assert (await get(edge, client, range="bytes=0-9")).content == BODY[:10]


async def test_t4_a_download_that_runs_stops_when_it_is_taken_back(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.library.gate = asyncio.Event()
    async with client.stream("GET", edge.download()) as answer:
        assert answer.status_code == 200
        edge.keys.revoke("lid", "link-1")

        def known() -> bool:
            try:
                edge.app.revocations.check(lid="link-1")
            except Problem:
                return True
            return False

        await until(known)
        edge.library.gate.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


async def test_a_client_that_leaves_stops_the_work(edge: World) -> None:
    edge.library.source = "origin"  # its slices are waited for
    edge.library.gate = asyncio.Event()
    host, port = edge.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head_of(edge, "GET", edge.download()))
    await reader.readexactly(SLICE)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.1)  # for the server's side of it
    edge.library.gate.set()
    await until(lambda: edge.counted.get("downloads_left") == 1)
    assert edge.library.opened[0].closed


async def test_what_goes_out_is_told_to_keys(edge: World, client: httpx.AsyncClient) -> None:
    await get(edge, client)
    await get(edge, client, range="bytes=0-9")
    await edge.app.activity.post()
    told = [seen for batch in edge.keys.seen for seen in batch.values()]
    assert sum(seen.bytes for seen in told) == SIZE + 10
    assert sum(seen.requests for seen in told) == 2
    assert max(seen.at for seen in told) <= time.time()
    assert (edge.counted["downloads"], edge.counted["download_bytes"]) == (2, SIZE + 10)
