"""Uploads over real sockets: whole films become assets, anything else leaves nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from keys.problems import Problem
from origin.incoming import Incoming
from origin.ingest.jobs import Jobs
from origin.uploads import Uploads
from tests.support.serving import eventually


def form(*files: tuple[str, bytes], **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers. Fields come first."""
    body = b"".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    for name, data in files:
        head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


async def test_a_raw_film_becomes_a_queued_asset(origin: Any, film: bytes) -> None:
    async with origin.admin as http:
        answer = await http.post("/v1/uploads?name=My_film.mp4", content=film)
        assert (answer.status_code, answer.json()) == (201, {"asset": "my-film", "state": "queued"})
        shown = (await http.get("/v1/assets/my-film")).json()
        assert (shown["title"], shown["state"]) == ("My film", "queued")
        assert [a["id"] for a in (await http.get("/v1/assets")).json()["assets"]] == ["my-film"]
    asset = await origin.catalogue.get("my-film")
    assert asset.upload_path.read_bytes() == film
    assert list(origin.incoming.iterdir()) == [asset.upload_path]


async def test_f26_a_name_taken_gives_the_next_and_a_wished_id_taken_is_409(origin: Any, film: bytes) -> None:
    async with origin.admin as http:
        answers = await asyncio.gather(
            *(http.post("/v1/uploads?name=film.mp4", content=film) for _ in range(3))
        )
        assert sorted(a.json()["asset"] for a in answers) == ["film", "film-2", "film-3"]
        taken = await http.post("/v1/uploads?name=x.mp4&id=film-2", content=film)
        assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
        bad = await http.post("/v1/uploads?name=x.mp4&id=../x", content=film)
        assert bad.status_code == 400
    assert len(list(origin.incoming.iterdir())) == 3


async def test_a_form_with_several_files_gives_each_its_own_outcome(origin: Any, film: bytes) -> None:
    body, headers = form(
        ("one.mp4", film), ("notes.txt", b"no film at all"), ("two.mp4", film), title="First"
    )
    async with origin.admin as http:
        answer = await http.post("/upload", content=body, headers=headers)
    assert answer.status_code == 201
    rows = answer.json()["uploads"]
    assert [(row["name"], row.get("asset")) for row in rows] == [
        ("one.mp4", "first"),
        ("notes.txt", None),
        ("two.mp4", "two"),
    ]
    assert rows[1]["code"] == "not_media"
    assert {a.title for a in await origin.catalogue.list()} == {"First", "two"}
    assert len(list(origin.incoming.iterdir())) == 2


@pytest.mark.parametrize(
    "data", [b"", b"This is a letter, not a film. " * 50, b"#EXTM3U\nfile:///etc/passwd\n", b"\0" * 5000]
)
async def test_t13_what_is_no_film_is_refused_in_one_sentence_and_leaves_nothing(
    origin: Any, data: bytes
) -> None:
    async with origin.admin as http:
        answer = await http.post("/v1/uploads?name=film.mp4", content=data)
    assert (answer.status_code, answer.json()["code"]) == (415, "not_media")
    message = answer.json()["message"]
    assert message.endswith(".") and "\n" not in message and str(origin.incoming) not in message
    assert await origin.nothing_left()


@pytest.mark.parametrize("as_form", [False, True])
async def test_f25_a_cut_upload_leaves_no_file_and_no_asset(origin: Any, film: bytes, as_form: bool) -> None:
    body, headers = form(("a.mp4", film), ("b.mp4", film)) if as_form else (film, {})
    host, port = origin.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    path = "/upload" if as_form else "/v1/uploads?name=film.mp4"
    head = {"host": "x", "content-length": str(len(body)), **headers, **_admin_header(origin)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body[:-100])
    await writer.drain()
    await eventually(lambda: bool(list(origin.incoming.iterdir())))
    writer.transport.abort()
    await eventually(lambda: not list(origin.incoming.iterdir()))
    assert await origin.nothing_left()


async def test_who_leaves_while_his_file_is_looked_at_has_cancelled_it(
    origin: Any, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, look_on = asyncio.Event(), asyncio.Event()

    async def inspect(self: object, path: object) -> None:
        looking.set()
        await look_on.wait()

    monkeypatch.setattr(Jobs, "inspect", inspect)
    host, port = origin.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = {"host": "x", "content-length": str(len(film)), **_admin_header(origin)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"POST /v1/uploads?name=film.mp4 HTTP/1.1\r\n{lines}\r\n".encode() + film)
    await looking.wait()
    writer.transport.abort()
    async with origin.http as http:
        await http.get("/healthz")  # the server has seen the connection go by now
    look_on.set()
    await eventually(lambda: not list(origin.incoming.iterdir()))
    assert await origin.nothing_left()


def _admin_header(origin: Any) -> dict[str, str]:
    return {"authorization": origin.admin.headers["authorization"]}


async def test_t15_too_large_is_413_before_the_bytes_and_while_they_come(origin: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    async with origin.admin as http:
        announced = await http.post("/v1/uploads?name=a.mp4", content=b"x" * 4_000_001)
        streamed = await http.post("/v1/uploads?name=a.mp4", content=endless())
        asked = await http.get("/v1/uploads?bytes=4000001")
        allowed = await http.get("/v1/uploads?bytes=4000000")
    assert [announced.status_code, streamed.status_code, asked.status_code] == [413, 413, 413]
    assert allowed.status_code == 204
    assert "4.0 MB" in announced.json()["message"]
    assert await origin.nothing_left()


async def test_t15_a_full_disk_is_507_before_the_first_byte(origin: Any, film: bytes) -> None:
    origin.disk.free = origin.disk.total // 20
    async with origin.admin as http:
        raw = await http.post("/v1/uploads?name=a.mp4", content=film)
        body, headers = form(("a.mp4", film))
        formed = await http.post("/upload", content=body, headers=headers)
        asked = await http.get("/v1/uploads?bytes=1")
    assert [raw.status_code, formed.status_code, asked.status_code] == [507, 507, 507]
    assert raw.json()["message"] == "The server's disk is too full for this upload."
    assert await origin.nothing_left()


@pytest.mark.parametrize(
    "name",
    [
        "../../../tmp/evil.mp4",
        "/etc/passwd",
        "..%5C..%5Cevil.mp4",
        "a%00b.mp4",
        "%0d%0aX: y.mp4",
        "%ff%fe.mp4",
    ],
)
async def test_t15_a_name_is_never_a_path(origin: Any, film: bytes, name: str) -> None:
    async with origin.admin as http:
        answer = await http.post(f"/v1/uploads?name={name}", content=film)
    assert answer.status_code == 201
    (path,) = origin.incoming.iterdir()
    assert len(path.name) == 32 and path.name.isalnum()
    (asset,) = await origin.catalogue.list()
    assert "/" not in asset.title and asset.title.isprintable()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x", "text/plain"),
        (b"--edge--\r\n", "multipart/form-data; boundary=edge"),
        (b"", "multipart/form-data"),
    ],
)
async def test_a_form_that_is_none_is_400(origin: Any, body: bytes, kind: str) -> None:
    async with origin.admin as http:
        answer = await http.post("/upload", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert await origin.nothing_left()


async def test_t11_a_stalled_upload_is_given_up(origin: Any) -> None:
    async def silence() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"10")]}
    incoming = Incoming(origin.incoming, max_bytes=100, usage=origin.disk.usage)
    uploads = Uploads(incoming, origin, stall_s=0.01)
    with pytest.raises(Problem, match="stalled"):
        await uploads.raw(Request(scope, silence), name="a.mp4", title="", asset=None)
    assert await origin.nothing_left()


async def test_an_asset_can_be_cancelled_tried_again_and_deleted(origin: Any, film: bytes) -> None:
    async with origin.admin as http:
        await http.post("/v1/uploads?name=film.mp4", content=film)
        assert (await http.post("/v1/assets/film/retry")).status_code == 409
        assert (await http.post("/v1/assets/film/cancel")).status_code == 204
        assert (await http.get("/v1/assets/film")).json()["state"] == "cancelled"
        assert (await http.post("/v1/assets/film/retry")).status_code == 204
        assert (await http.get("/v1/assets/film")).json()["state"] == "queued"
        assert (await http.get("/v1/assets/film/poster.jpg")).status_code == 404
        await origin.catalogue.set_poster("film", b"\xff\xd8picture")
        poster = await http.get("/v1/assets/film/poster.jpg")
        assert (poster.content, poster.headers["content-type"]) == (b"\xff\xd8picture", "image/jpeg")
        assert (await http.delete("/v1/assets/other")).status_code == 404
        assert (await http.delete("/v1/assets/film")).json()[
            "code"
        ] == "unavailable"  # keys is away: nothing half done
        assert (await http.get("/v1/assets/film")).status_code == 200


async def test_uploads_are_counted(origin: Any, film: bytes) -> None:
    async with origin.admin as http:
        await http.post("/v1/uploads?name=film.mp4", content=film)
        await http.post("/v1/uploads?name=film.mp4", content=b"junk")
        text = (await http.get("/metrics")).text
    assert "sluice_origin_uploads_total 1.0" in text
    assert "sluice_origin_uploads_refused_total 1.0" in text
    assert json.dumps(text).count("admin-") == 0


async def test_what_may_be_downloaded_is_asked_for_at_upload_and_holds_for_a_whole_form(
    origin: Any, film: bytes
) -> None:
    body, headers = form(("one.mp4", film), ("two.mp4", film), download="renditions", title="First")
    async with origin.admin as http:
        assert (await http.post("/upload", content=body, headers=headers)).status_code == 201
        raw = await http.post("/v1/uploads?name=three.mp4&download=original", content=film)
        assert raw.status_code == 201
        await http.post("/v1/uploads?name=four.mp4", content=film)
        refused = await http.post("/v1/uploads?name=five.mp4&download=all", content=film)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
        rows = (await http.get("/v1/assets")).json()["assets"]
    found = {row["id"]: row["download"] for row in rows}
    assert found == {"first": "renditions", "two": "renditions", "three": "original", "four": ""}
    assert all(row["downloads"] == [] for row in rows)  # not published yet
