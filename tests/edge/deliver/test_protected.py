"""Protected downloads over real sockets (RFC 8188; SECURITY 3.3, K4, H2–H15, H18, H31, H32, T4, T12)."""

import asyncio
import base64
import hashlib
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from edge.deliver.device import device_cookie
from edge.deliver.protected import PIECE_RECORDS, pieces
from keys.container import quote
from keys.derive import content_key
from keys.ece import HEADER, RECORD, RECORD_DATA, BadCoding, Header, decoded
from keys.limits import Limits
from keys.names import b64url, b64url_decode
from keys.problems import Problem
from origin.media.seal import SLICE
from tests.edge.deliver.test_slow_readers import slow_body, uvloop_edge  # noqa: F401 - a fixture
from tests.edge.parts import PROTECTED, World, file_bytes, until, world
from tests.support.eventually import eventually

FILE = "ece/locked.mp4"
SIZE = PROTECTED["locked.mp4"]
BODY = file_bytes("locked.mp4", SIZE)
COUNT = -(-SIZE // RECORD_DATA)
CODED = HEADER + SIZE + 17 * COUNT


async def told(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """What the key's address says for this URL of a file."""
    answer = await client.get(f"{url}/key")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def key_of(client: httpx.AsyncClient, url: str) -> bytes:
    return b64url_decode((await told(client, url))["key"])


async def test_a_link_opens_a_session_whose_key_opens_what_comes(
    edge: World, client: httpx.AsyncClient
) -> None:
    link = edge.download_link(FILE)
    redirected = await client.get(link)
    assert redirected.status_code == 302
    assert redirected.headers["location"].endswith("/film/ece/locked.mp4")
    url = urljoin(link, redirected.headers["location"])
    answer = await client.get(url)
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "aes128gcm")
    assert answer.headers["content-length"] == str(CODED) == str(len(answer.content))
    said = await told(client, url)
    assert decoded(b64url_decode(said["key"]), answer.content) == BODY
    assert said["sha256"] == b64url(hashlib.sha256(BODY).digest())
    assert (said["size"], said["name"], said["type"]) == (SIZE, "A locked.mp4", "video/mp4")
    assert edge.gate.asked == []  # no pace
    assert edge.counted["downloads"] == edge.counted["downloads_protected"] == 1
    assert edge.counted["download_bytes"] == CODED


async def test_the_key_and_the_salt_are_the_ones_of_security_3_2(
    edge: World, client: httpx.AsyncClient
) -> None:
    url = edge.download(FILE)
    root = edge.keys.lease_of(b64url(bytes(16))).srk
    assert await key_of(client, url) == content_key(root, "ece", "file", "file-locked", 0)
    header = Header.read((await client.get(url, headers={"range": "bytes=0-99"})).content)
    assert header is not None and (header.record, header.key_id) == (RECORD, b"")
    other = await client.get(edge.download("ece/hollow.mp4"), headers={"range": "bytes=0-15"})
    assert other.content != header.salt


async def test_plain_it_is_refused_with_a_sentence_and_the_plain_ones_have_no_other_form(
    edge: World, client: httpx.AsyncClient
) -> None:
    refused = await client.get(edge.download("locked.mp4"))
    assert (refused.status_code, refused.json()["code"]) == (403, "protected")
    assert refused.json()["message"] == Problem("protected").message
    assert (await client.head(edge.download("locked.mp4"))).status_code == 403
    for file in ("ece/film.mp4", "ece/film.mp4/key", "ece/other.mp4", "ece/other.mp4/key"):
        token = edge.keys.session_token(bytes(16), paths=quote(f"/d/film/{file}"))
        answer = await client.get(f"{edge.url}/d;URISigningPackage={token}/film/{file}")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert edge.library.opens == []
    stranger = await client.get(edge.url + "/d/film/locked.mp4")
    assert stranger.json()["code"] == "forbidden"  # only a good token is told


async def test_t12_a_key_is_given_to_its_sessions_token_only(edge: World, client: httpx.AsyncClient) -> None:
    key = edge.download(FILE) + "/key"
    token = key.split("/")[3]
    plain, link = edge.download("film.mp4").split("/")[3], edge.download_link(FILE).split("/")[3]
    refused = [
        key.replace(token, plain),
        key.replace(token, link),  # a link opens a session, and no key
        key.replace(token, edge.session().split("/")[3].replace("v;", "d;")),
        key.replace("locked", "hollow"),
        key.replace(token, "d"),
        f"{edge.url}/{token}/film/locked.mp4",
        f"{edge.url}/{token}/film/ece/hollow.mp4",
    ]
    answers = [await client.get(url) for url in refused]
    assert {(each.status_code, each.content) for each in answers} == {(403, answers[0].content)}
    edge.keys.revoke("sid", b64url(bytes(16)))

    async def revoked() -> bool:
        return "revoked" in (await client.get(key)).text

    await eventually(revoked, within_s=20)


async def test_the_limits_of_a_link_hold_for_its_key_and_bytes_alone_are_counted(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits = Limits(device=True, budget=CODED)
    edge.keys.cookie = "c" * 43
    url = edge.download(FILE)
    refused = await client.get(f"{url}/key")
    assert (refused.status_code, refused.json()["limit"]) == (403, "device")
    browser = {"cookie": device_cookie(edge.keys.cookie, 60, secure=False)[1].partition(b";")[0].decode()}
    for _ in range(3):
        assert (await client.get(f"{url}/key", headers=browser)).status_code == 200
    assert len((await client.get(url, headers=browser)).content) == CODED  # all of the budget
    spent = await client.get(url, headers=browser)
    assert (spent.status_code, spent.json()["limit"]) == (403, "budget")
    assert (await client.get(f"{url}/key", headers=browser)).status_code == 200


async def test_a_renewed_token_travels_with_the_key_too(edge: World, client: httpx.AsyncClient) -> None:
    link = edge.download_link(FILE, renew="cookie")
    opened = await client.get(link)
    place = urljoin(edge.url, opened.headers["location"])
    assert (opened.status_code, place) == (302, f"{edge.url}/d/film/ece/locked.mp4")
    body = await client.get(place)
    assert decoded(await key_of(client, place), body.content) == BODY
    client.cookies.clear()
    assert (await client.get(f"{place}/key")).status_code == 403


async def test_nobody_keeps_a_key_and_pages_of_the_edge_may_read_it(
    edge: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get(edge.download(FILE) + "/key", headers={"origin": edge.url})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == edge.url
    assert "Content-Encoding" in answer.headers["access-control-expose-headers"]
    assert (await client.head(edge.download(FILE) + "/key")).content == b""
    assert (await client.post(edge.download(FILE) + "/key")).status_code == 405


async def test_k4_every_edge_gives_the_same_bytes_and_another_session_others(
    edge: World, client: httpx.AsyncClient, web: Path
) -> None:
    async with world(web, edge.keys) as two:
        edge.keys.edges = (edge.url, two.url)
        url = edge.download(FILE)
        first = await client.get(url)
        other_edge = await client.get(url.replace(edge.url, two.url))
        assert (first.content, first.headers["etag"]) == (other_edge.content, other_edge.headers["etag"])
        part = await client.get(
            url.replace(edge.url, two.url),
            headers={"range": f"bytes={RECORD + 5}-", "if-range": first.headers["etag"]},
        )
        assert (part.status_code, part.content) == (206, first.content[RECORD + 5 :])
    another = edge.download(FILE, bytes([9]) * 16)
    other = await client.get(another, headers={"range": "bytes=0-99", "if-range": first.headers["etag"]})
    assert other.status_code == 200  # never joined with another session's bytes
    assert other.headers["etag"] != first.headers["etag"]
    assert (len(other.content), decoded(await key_of(client, another), other.content)) == (CODED, BODY)
    with pytest.raises(BadCoding):
        decoded(await key_of(client, another), first.content)


RANGES = [
    "bytes=0-0",
    "bytes=0-20",  # the header alone
    "bytes=20-21",
    "bytes=21-21",
    f"bytes={HEADER + RECORD - 1}-{HEADER + RECORD}",
    f"bytes={HEADER + 3 * RECORD + 7}-{HEADER + 9 * RECORD - 9}",
    f"bytes={HEADER + 16 * RECORD - 40}-{HEADER + 16 * RECORD + 40}",  # over the end of a slice
    f"bytes={HEADER + 2}-",
    "bytes=-1",
    f"bytes=-{17 + SIZE % RECORD_DATA}",  # the last record
    f"bytes={CODED - 1}-{CODED + 99}",
]


async def test_h02_any_range_of_the_encrypted_form(edge: World, client: httpx.AsyncClient) -> None:
    whole = (await client.get(edge.download(FILE))).content
    source = random.Random(8188)
    places = [sorted(source.randrange(CODED) for _ in range(2)) for _ in range(20)]
    for value in (*RANGES, *(f"bytes={first}-{last}" for first, last in places)):
        answer = await client.get(edge.download(FILE), headers={"range": value})
        assert answer.status_code == 206
        span = re.fullmatch(rf"bytes (\d+)-(\d+)/{CODED}", answer.headers["content-range"])
        assert span is not None
        start, stop = int(span[1]), int(span[2]) + 1
        assert answer.content == whole[start:stop], value
        assert answer.headers["content-length"] == str(stop - start)


async def test_h03_h05_h06_what_is_not_a_part(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.download(FILE)
    outside = await client.get(url, headers={"range": f"bytes={CODED}-"})
    assert (outside.status_code, outside.content) == (416, b"")
    assert outside.headers["content-range"] == f"bytes */{CODED}"
    assert outside.headers["cache-control"] == "no-store"
    assert "content-encoding" not in outside.headers
    several = await client.get(url, headers={"range": "bytes=0-0,5-5"})
    assert (several.status_code, len(several.content)) == (200, CODED)
    tag = several.headers["etag"]
    for if_range, status in ((tag, 206), (f"W/{tag}", 200), ('"other"', 200)):
        answer = await client.get(url, headers={"range": "bytes=0-9", "if-range": if_range})
        assert answer.status_code == status
    dated = {"range": "bytes=0-9", "if-range": "Wed, 18 Jun 2025 15:06:40 GMT"}
    assert (await client.get(url, headers=dated)).status_code == 200  # it has no date to resume by
    unchanged = await client.get(url, headers={"if-none-match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (await client.get(url, headers={"if-match": '"other"'})).status_code == 412


async def test_h08_a_range_asks_the_cache_for_the_slices_it_touches(
    edge: World, client: httpx.AsyncClient
) -> None:
    for first, last in ((0, 0), (HEADER + 20 * RECORD, HEADER + 20 * RECORD), (HEADER + 5 * RECORD, CODED)):
        await client.get(edge.download(FILE), headers={"range": f"bytes={first}-{last}"})
    assert [wanted for *_, wanted in edge.library.opens] == [range(1), range(1, 2), range(3)]
    assert all(opened.closed for opened in edge.library.opened)


async def test_h12_h18_h27_its_fields_say_nothing_of_the_plain_file(
    edge: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get(edge.download(FILE), headers={"want-content-digest": "sha-256=10"})
    tag, digest = answer.headers["etag"], hashlib.sha256(BODY).digest()
    assert re.fullmatch(r'"[A-Za-z0-9_-]{22}"', tag)
    heads = str(answer.headers)
    assert b64url(digest)[:20] not in heads and base64.b64encode(digest).decode()[:20] not in heads
    assert not {"repr-digest", "content-digest", "last-modified"} & set(answer.headers)
    assert re.fullmatch(r"private, max-age=\d+, no-transform", answer.headers["cache-control"])
    assert answer.headers["content-disposition"] == 'attachment; filename="A locked.mp4.ece"'
    assert answer.headers["content-type"] == "video/mp4"  # of what the coding holds
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_h15_head_has_the_fields_of_get_and_costs_no_fetch(
    edge: World, client: httpx.AsyncClient
) -> None:
    head = await client.head(edge.download(FILE))
    assert edge.library.opens == []
    whole = await client.get(edge.download(FILE))
    same = set(whole.headers) - {"date", "cache-status", "cache-control"}
    assert {name: whole.headers[name] for name in same} == {name: head.headers[name] for name in same}


async def test_h32_a_file_of_no_bytes_has_an_end_all_the_same(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.download("ece/hollow.mp4")
    answer = await client.get(url)
    assert len(answer.content) == HEADER + 17
    assert decoded(await key_of(client, url), answer.content) == b""


async def test_f4_a_slice_that_fails_breaks_the_body_visibly(edge: World, client: httpx.AsyncClient) -> None:
    edge.library.fail_at = 2
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(edge.download(FILE))
    late = {"range": f"bytes={CODED - 1}-"}
    assert (await client.get(edge.download(FILE), headers=late)).status_code == 502


async def test_t4_one_that_runs_stops_when_it_is_taken_back(edge: World, client: httpx.AsyncClient) -> None:
    edge.library.gate = asyncio.Event()
    async with client.stream("GET", edge.download(FILE)) as answer:
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


async def test_what_goes_out_is_told_to_keys(edge: World, client: httpx.AsyncClient) -> None:
    await client.get(edge.download(FILE))
    await client.get(edge.download(FILE), headers={"range": "bytes=0-9"})
    await edge.app.activity.post()
    seen = [each for batch in edge.keys.seen for each in batch.values()]
    assert sum(each.bytes for each in seen) == CODED + 10


async def test_every_slow_reader_gets_what_his_own_key_opens(uvloop_edge: World) -> None:  # noqa: F811
    """Pooled buffers, on uvloop, as `test_slow_readers` has it for segments."""

    async def read(turn: int) -> None:
        url = uvloop_edge.download(FILE, bytes([turn] * 16))
        async with httpx.AsyncClient() as client:
            key = await key_of(client, url)
        body = await slow_body(uvloop_edge.url, url.removeprefix(uvloop_edge.url), turn)
        assert decoded(key, body) == BODY

    await asyncio.gather(*(read(turn) for turn in range(4)))


def test_pieces_are_of_one_slice_each() -> None:
    for first in range(40):
        for stop in range(first + 1, 60):
            found = list(pieces(range(first, stop)))
            assert [number for piece in found for number in piece] == list(range(first, stop))
            assert all(len(each) <= PIECE_RECORDS for each in found)
            assert all(
                each[0] // (SLICE // RECORD_DATA) == each[-1] // (SLICE // RECORD_DATA) for each in found
            )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_keeps_the_encrypted_bytes_and_goes_on_where_it_stopped(
    edge: World, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    url, target = edge.download(FILE), tmp_path / "locked.mp4.ece"
    whole = (await client.get(url)).content
    target.write_bytes(whole[: RECORD * 3])
    await asyncio.to_thread(
        subprocess.run, ["curl", "-sS", "-C", "-", "-o", str(target), url], check=True, timeout=60
    )
    assert decoded(await key_of(client, url), target.read_bytes()) == BODY
