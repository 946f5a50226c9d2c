"""Films whose keys a DRM provider knows, at the origin's API: what an upload says, the document after it."""

from typing import Any

import pytest

from keys.cpix_xml import write_cpix
from keys.drm import MOST_BYTES
from keys.problems import Problem
from origin.drm import asked, source
from tests.support.drm import document

ADDRESS = "https://provider.example/speke/v2.0/copyProtection"
BAD = [
    "file",
    "http://provider.example/speke",
    "https://",
    "https://user:secret@provider.example/",
    "https://provider.example/#x",
    "https://provider.example/ x",
    "https://provider.example/\nx",
    "https://provider.example:99999/",
    "https://[::1/",
    "https://provider.ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple/",
    "https://provider.example/" + "a" * 1024,
    "ftp://provider.example/",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("text", ["", "cpix", ADDRESS, "http://127.0.0.1:8000/speke"])
def test_keys_come_from_nobody_a_document_or_an_address(text: str) -> None:
    assert source(text) == text
    assert asked(text) == ("://" in text)


@pytest.mark.parametrize("text", BAD)
async def test_any_other_word_or_address_is_refused_and_leaves_nothing(
    origin: Any, film: bytes, text: str
) -> None:
    with pytest.raises(Problem) as refused:
        source(text)
    assert refused.value.code == "bad_request" and "secret" not in refused.value.message
    async with origin.admin as http:
        answer = await http.post("/v1/uploads", params={"name": "film.mp4", "drm": text}, content=film)
    assert answer.status_code == 400 and await origin.nothing_left()


async def test_an_upload_waits_for_its_document_and_one_with_an_address_does_not(
    origin: Any, film: bytes
) -> None:
    async with origin.admin as http:
        for drm, state in (("cpix", "uploading"), (ADDRESS, "queued")):
            answer = await http.post("/v1/uploads", params={"name": f"{state}.mp4", "drm": drm}, content=film)
            assert (answer.status_code, answer.json()["state"]) == (201, state)
            shown = (await http.get(f"/v1/assets/{state}")).json()
            assert (shown["state"], shown["drm"]) == (state, drm)


async def test_only_an_operator_hands_a_document_in_and_only_one_that_can_be_used(
    origin: Any, film: bytes
) -> None:
    sent = write_cpix(document())
    async with origin.http as http:
        assert (await http.put("/v1/assets/film/drm", content=sent)).status_code == 401
        edge = await http.put("/v1/assets/film/drm", content=sent, headers=origin.bearer())
        assert edge.status_code == 401
    async with origin.admin as http:
        assert (await http.put("/v1/assets/film/drm", content=sent)).status_code == 404
        await http.post("/v1/uploads?name=film.mp4&drm=cpix", content=film)
        await http.post("/v1/uploads?name=other.mp4", content=film)
        for asset, content, status in (
            ("film", b"x" * (MOST_BYTES + 1), 413),
            ("film", b"", 400),
            ("film", sent.replace(b"cbcs", b"cens"), 400),
            ("other", sent, 409),
            ("no-such", sent, 404),
            ("NOT-AN-ID", sent, 400),
        ):
            answer = await http.put(f"/v1/assets/{asset}/drm", content=content)
            assert answer.status_code == status, (asset, answer.text)
    assert (await origin.catalogue.get("film")).state == "uploading"
