"""tus over a real socket: the protocol's answers, and films that arrive in pieces."""

import asyncio
import base64
import hashlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.resumable import TYPE, Sender, metadata
from tests.support.serving import eventually

NOBODY = "/v1/tus/" + "0" * 32


@pytest.fixture
async def sender(origin: Any) -> AsyncIterator[Sender]:
    async with origin.admin as http:
        yield Sender(http)


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


async def created(sender: Sender, length: int | None = 10, **headers: str) -> str:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await sender.create(length, headers=more)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def test_options_tell_what_there_is(sender: Sender) -> None:
    for path in ("/v1/tus", NOBODY):
        answer = await sender.http.options(path)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == "4000000"
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
        assert set(answer.headers["tus-extension"].split(",")) == {
            *("creation", "creation-with-upload", "creation-defer-length", "expiration"),
            *("checksum", "termination", "concatenation"),
        }


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/tus", {"tus-resumable": ""}, 412),
        ("POST", "/v1/tus", {"tus-resumable": "0.2.2"}, 412),
        ("HEAD", NOBODY, {"tus-resumable": "2.0.0"}, 412),
        ("POST", "/v1/tus", {}, 400),
        ("POST", "/v1/tus", {"upload-length": "4000001"}, 413),
        ("POST", "/v1/tus", {"upload-length": "0"}, 415),
        ("POST", "/v1/tus", {"upload-length": "1", "upload-metadata": "a YQ==," + "b" * 8192}, 413),
        ("POST", "/v1/tus", {"upload-concat": f"final;{NOBODY}"}, 404),
        ("HEAD", NOBODY, {}, 404),
        ("HEAD", "/v1/tus/..%2f..%2fcatalogue", {}, 404),
        ("PATCH", NOBODY, {"content-type": TYPE, "upload-offset": "0"}, 404),
        ("DELETE", NOBODY, {}, 404),
        ("GET", NOBODY, {}, 405),
        ("PUT", "/v1/tus", {}, 405),
        ("POST", NOBODY, {"x-http-method-override": "DELETE"}, 404),
        ("POST", NOBODY, {"x-http-method-override": "TRACE"}, 405),
    ],
)
async def test_refusals_speak_tus(
    sender: Sender, origin: Any, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await sender.http.request(method, path, headers={"tus-resumable": "1.0.0"} | headers)
    assert answer.status_code == status
    assert "upload-offset" not in answer.headers
    if "%2f" not in path:
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["cache-control"] == "no-store"
    assert ("tus-version" in answer.headers) == (status == 412)
    assert await origin.nothing_left()


async def test_strangers_are_told_nothing_whatever_method_they_mean(origin: Any, sender: Sender) -> None:
    url = await created(sender)
    async with origin.http as http:
        cookie = {"cookie": "sluice_admin=1.x"}
        for method, headers in (("POST", {}), ("HEAD", {}), ("OPTIONS", {}), ("GET", cookie)):
            for meant in ({}, {"x-http-method-override": "DELETE"}):
                fields = {"tus-resumable": "1.0.0"} | headers | meant
                assert (await http.request(method, url, headers=fields)).status_code == 401
    assert (await sender.head(url)).status_code == 200


async def test_another_sites_page_cannot_use_the_cookie(
    origin: Any, sender: Sender, admin_token: str
) -> None:
    url = await created(sender)
    async with origin.http as http:
        await http.post("/login", data={"token": admin_token}, headers={"origin": origin.url})
        browser = {"tus-resumable": "1.0.0", "origin": "https://evil.example"}
        for method, meant in (("DELETE", {}), ("GET", {"x-http-method-override": "DELETE"})):
            assert (await http.request(method, url, headers=browser | meant)).status_code == 403
        own = {"tus-resumable": "1.0.0", "origin": origin.url}
        assert (await http.delete(url, headers=own)).status_code == 204


async def test_a_film_in_pieces_becomes_an_asset(origin: Any, sender: Sender, film: bytes) -> None:
    answer = await sender.create(len(film), filename="My_film.mp4", download="original", filetype="video/mp4")
    url = answer.headers["location"]
    assert url.startswith("/v1/tus/") and answer.headers["upload-expires"].endswith(" GMT")
    half = len(film) // 2
    first = await sender.patch(url, 0, film[:half])
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(half))
    assert "upload-expires" in first.headers
    seen = await sender.head(url)
    assert (seen.status_code, seen.headers["upload-offset"]) == (200, str(half))
    assert seen.headers["upload-length"] == str(len(film))
    assert seen.headers["cache-control"] == "no-store"
    assert seen.headers["upload-metadata"] == metadata(
        filename="My_film.mp4", download="original", filetype="video/mp4"
    )
    assert await origin.catalogue.list() == []
    wrong = await sender.patch(url, half - 1, film[half - 1 :])
    assert (wrong.status_code, wrong.json()["code"]) == (409, "conflict")
    assert (await sender.patch(url, half, film[half:] + b"x")).status_code == 413
    last = await sender.patch(url, half, film[half:])
    assert (last.status_code, last.headers["sluice-asset"]) == (204, "my-film")
    (asset,) = await origin.catalogue.list()
    assert (asset.id, asset.title, asset.state, asset.download) == (
        *("my-film", "My film"),
        *("queued", "original"),
    )
    assert asset.upload_path.read_bytes() == film
    again = await sender.patch(url, len(film))
    assert (again.status_code, again.headers["sluice-asset"]) == (204, "my-film")
    done = await sender.head(url)
    assert done.headers["upload-offset"] == done.headers["upload-length"] == str(len(film))
    assert (await sender.delete(url)).status_code == 204
    assert (await sender.head(url)).status_code == 404
    assert asset.upload_path.exists() and len(await origin.catalogue.list()) == 1


async def test_creation_with_upload_and_a_length_told_late(origin: Any, sender: Sender, film: bytes) -> None:
    whole = await sender.create(len(film), film, filename="a.mp4")
    assert whole.status_code == 201
    assert (whole.headers["upload-offset"], whole.headers["sluice-asset"]) == (str(len(film)), "a")
    late = await sender.create(None, film[:100], {"upload-defer-length": "1"}, filename="b.mp4")
    url = late.headers["location"]
    seen = await sender.head(url)
    assert (seen.headers["upload-offset"], seen.headers["upload-defer-length"]) == ("100", "1")
    assert "upload-length" not in seen.headers
    assert (await sender.patch(url, 100, upload_length="99")).status_code == 400
    assert (await sender.patch(url, 100, upload_length="4000001")).status_code == 413
    assert (await sender.patch(url, 100, film[100:200], upload_length=str(len(film)))).status_code == 204
    assert (await sender.patch(url, 200, film[200:], upload_length="4000000")).status_code == 400
    assert (await sender.patch(url, 200, film[200:])).headers["sluice-asset"] == "b"
    odd = {"tus-resumable": "1.0.0", "upload-length": "5", "content-type": "text/plain"}
    assert (await sender.http.post("/v1/tus", content=b"12345", headers=odd)).status_code == 415


async def test_a_creation_that_is_cut_leaves_nothing_its_sender_could_not_find(
    origin: Any, sender: Sender
) -> None:
    body = random.Random(2).randbytes(2_000_000)
    headers = {"upload-length": "3000000"}
    _, writer = await sender.begin("/v1/tus", 0, 3_000_000, body, headers, method="POST")
    folder = origin.incoming / "resumable"
    await eventually(lambda: any(path.stat().st_size for path in folder.glob("*.data")))
    writer.close()
    await eventually(lambda: not list(folder.iterdir()))
    assert await origin.nothing_left()


async def test_the_method_meant_goes_before_the_requests_own(sender: Sender) -> None:
    url = await created(sender)
    fields = {"tus-resumable": "1.0.0", "content-type": TYPE, "upload-offset": "0"}
    answer = await sender.http.post(url, content=b"123", headers=fields | {"x-http-method-override": "PATCH"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "3")
    gone = await sender.http.post(url, headers=fields | {"x-http-method-override": "DELETE"})
    assert gone.status_code == 204
    assert (await sender.head(url)).status_code == 404


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_what_does_not_match_its_checksum_is_460_and_not_kept(sender: Sender, algorithm: str) -> None:
    url = await created(sender)
    good = await sender.patch(url, 0, b"12345", upload_checksum=checksum(b"12345", algorithm))
    assert good.status_code == 204
    bad = await sender.patch(url, 5, b"6789x", upload_checksum=checksum(b"67890", algorithm))
    assert (bad.status_code, bad.json()["code"]) == (460, "bad_checksum")
    assert (await sender.head(url)).headers["upload-offset"] == "5"
    assert (await sender.patch(url, 5, b"x", upload_checksum="md5 AA==")).status_code == 400
    with_upload = await sender.create(5, b"12345", {"upload-checksum": checksum(b"54321")})
    assert with_upload.status_code == 460


@pytest.mark.parametrize("proven", [False, True])
async def test_a_cut_request_keeps_what_came_unless_it_has_a_checksum(
    origin: Any, sender: Sender, proven: bool
) -> None:
    body = random.Random(1).randbytes(3_000_000)
    url = await created(sender, 4_000_000, upload_concat="partial")
    data = origin.incoming / "resumable" / (url.rsplit("/", 1)[1] + ".data")
    headers = {"upload-checksum": checksum(body)} if proven else {}
    _, writer = await sender.begin(url, 0, 4_000_000, body, headers)
    await eventually(lambda: data.stat().st_size > 0)
    writer.close()
    offset = int((await sender.head(url)).headers["upload-offset"])
    assert offset == data.stat().st_size
    assert offset == 0 if proven else offset > 0
    assert data.read_bytes() == body[:offset]


async def test_f25_cut_at_twenty_random_points_it_is_the_same_film(
    origin: Any, sender: Sender, film: bytes
) -> None:
    url = (await sender.create(len(film), filename="film.mp4")).headers["location"]
    chance = random.Random(25)
    told = 0
    for end in sorted(chance.sample(range(1, len(film)), 20)):
        if end > told:
            await sender.cut(url, told, len(film) - told, film[told:end])
        offset = int((await sender.head(url)).headers["upload-offset"])
        assert told <= offset <= max(told, end)
        told = offset
    last = await sender.patch(url, told, film[told:])
    assert last.headers["sluice-asset"] == "film"
    asset = await origin.catalogue.get("film")
    assert hashlib.sha256(asset.upload_path.read_bytes()).digest() == hashlib.sha256(film).digest()


async def test_f26_of_many_at_one_offset_one_wins_and_nothing_is_mixed(origin: Any, sender: Sender) -> None:
    for _ in range(10):
        url = await created(sender, 40_000, upload_concat="partial")
        bodies = [bytes([65 + number]) * 40_000 for number in range(8)]
        answers = await asyncio.gather(*(sender.patch(url, 0, body) for body in bodies))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 409, 423, 413}
        data = origin.incoming / "resumable" / (url.rsplit("/", 1)[1] + ".data")
        assert data.read_bytes() == bodies[statuses.index(204)]
        assert (await sender.delete(url)).status_code == 204


async def test_a_second_patch_is_423_and_who_asks_takes_over(sender: Sender) -> None:
    url = await created(sender)
    reader, writer = await sender.begin(url, 0, 10, b"123")
    await eventually_locked(sender, url)
    seen = await sender.head(url)
    assert seen.headers["upload-offset"] == "3"
    assert b" 423 " in await reader.readline()
    writer.close()
    assert (await sender.patch(url, 3, b"4567")).status_code == 204
    _, writer = await sender.begin(url, 7, 3, b"8")
    await eventually_locked(sender, url)
    assert (await sender.delete(url)).status_code == 204
    assert (await sender.patch(url, 8, b"90")).status_code == 404
    writer.close()


async def eventually_locked(sender: Sender, url: str) -> None:
    """Until the other request is at work, one without bytes and at an odd place is 409."""
    async with asyncio.timeout(10):
        while (await sender.patch(url, 10)).status_code != 423:
            pass


async def test_parts_are_put_together_in_the_order_said(origin: Any, sender: Sender, film: bytes) -> None:
    cuts = [0, len(film) // 3, len(film) // 2, len(film)]
    parts = []
    for start, end in itertools.pairwise(cuts):
        answer = await sender.create(end - start, film[start:end], {"upload-concat": "partial"})
        parts.append(answer.headers["location"])
    assert (await sender.head(parts[0])).headers["upload-concat"] == "partial"
    assert await origin.catalogue.list() == []
    whole = "final;" + " ".join([parts[0], str(sender.http.base_url)[:-1] + parts[1], parts[2]])
    early = await created(sender, 5, upload_concat="partial")
    refused = await sender.create(None, headers={"upload-concat": f"final;{parts[0]} {early}"})
    assert refused.status_code == 409
    plain = await created(sender)
    refused = await sender.create(None, headers={"upload-concat": f"final;{parts[0]} {plain}"})
    assert refused.status_code == 400
    answer = await sender.create(None, headers={"upload-concat": whole}, filename="joined.mp4")
    assert (answer.status_code, answer.headers["sluice-asset"]) == (201, "joined")
    url = answer.headers["location"]
    seen = await sender.head(url)
    assert seen.headers["upload-offset"] == seen.headers["upload-length"] == str(len(film))
    assert seen.headers["upload-concat"] == "final;" + " ".join(parts)
    assert (await sender.patch(url, len(film), b"x")).status_code == 403
    assert (await origin.catalogue.get("joined")).upload_path.read_bytes() == film
    assert (await sender.head(parts[0])).status_code == 404


async def test_t13_what_is_no_film_is_refused_with_its_last_bytes(origin: Any, sender: Sender) -> None:
    letter = b"Dear reader, this is no film. " * 20
    url = (await sender.create(len(letter), filename="a.mp4")).headers["location"]
    answer = await sender.patch(url, 0, letter)
    assert (answer.status_code, answer.json()["code"]) == (415, "not_media")
    gone = await sender.head(url)
    assert gone.status_code == 410 and "upload-offset" not in gone.headers
    assert (await sender.create(len(letter), letter)).status_code == 415
    assert not list((origin.incoming / "resumable").glob("*.data"))
    assert await origin.catalogue.list() == []


async def test_an_id_that_is_taken_is_said_before_the_first_byte(sender: Sender, film: bytes) -> None:
    assert (await sender.create(len(film), film, id="one")).headers["sluice-asset"] == "one"
    assert (await sender.create(len(film), id="one")).status_code == 409
    assert (await sender.create(len(film), film, filename="one.mp4")).headers["sluice-asset"] == "one-2"


HOSTILE = [
    b"../../../tmp/evil.mp4",
    b"/etc/passwd",
    b"a\0b.mp4",
    b"\r\nX: y.mp4",
    b"\xff\xfe.mp4",
    "a\u202egpj.4pm".encode(),
    b"<script>window.hit=1</script>.mp4",
    b" ",
    b"x" * 2500,
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_t15_a_name_is_never_a_path(origin: Any, sender: Sender, film: bytes, name: bytes) -> None:
    fields = {"upload-metadata": metadata(filename=name)}
    answer = await sender.create(len(film), film, fields)
    assert answer.status_code == 201
    (path,) = (origin.incoming / "resumable").glob("*.data")
    assert len(path.stem) == 32 and path.stem.isalnum()
    (asset,) = await origin.catalogue.list()
    assert "/" not in asset.title and asset.title.isprintable() and len(asset.title) <= 120
    assert (await sender.head(answer.headers["location"])).headers["upload-metadata"].isprintable()


async def test_t15_room_is_promised_before_the_bytes_and_given_back(origin: Any, sender: Sender) -> None:
    origin.disk.free = origin.disk.total // 20 + 1000
    url = await created(sender, 900)
    assert (await sender.create(101)).status_code == 507
    assert (await sender.http.post("/v1/uploads?name=a", content=b"x" * 101)).status_code == 507
    assert (await sender.delete(url)).status_code == 204
    assert (await sender.create(1000)).status_code == 201


async def test_t15_there_are_at_most_a_hundred_unfinished(origin: Any, sender: Sender) -> None:
    answers = await asyncio.gather(*(sender.create(1) for _ in range(110)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(429)) == (100, 10)
    urls = [answer.headers["location"] for answer in answers if answer.status_code == 201]
    assert len(set(urls)) == 100
    await sender.delete(urls[0])
    assert (await sender.create(1)).status_code == 201


async def test_they_are_counted_as_other_uploads(origin: Any, sender: Sender, film: bytes) -> None:
    await sender.create(len(film), film)
    await sender.create(4, b"junk")
    await sender.create(4_000_001)
    text = (await sender.http.get("/metrics")).text
    assert "sluice_origin_uploads_total 1.0" in text
    assert "sluice_origin_uploads_refused_total 2.0" in text


async def test_more_than_was_said_is_413_also_when_no_length_is(sender: Sender) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    url = await created(sender, 1000)
    fields = {"tus-resumable": "1.0.0", "content-type": TYPE, "upload-offset": "0"}
    answer = await sender.http.patch(url, content=endless(), headers=fields)
    assert answer.status_code == 413
    assert (await sender.head(url)).headers["upload-offset"] == "0"
