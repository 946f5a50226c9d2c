"""The headers of tus: what they ask for, and what is refused whatever they hold."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.problems import Problem
from origin.tus import protocol
from origin.tus.protocol import JOINED, PART, WHOLE, Chunk, Creation

ID = "0123456789abcdef" * 2
OTHER = "f" * 32


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"upload-length": "0"}, Creation(WHOLE, 0, "", ())),
        ({"upload-length": "5"}, Creation(WHOLE, 5, "", ())),
        ({"upload-defer-length": "1"}, Creation(WHOLE, None, "", ())),
        ({"upload-length": "5", "upload-concat": "partial"}, Creation(PART, 5, "", ())),
        (
            {"upload-concat": f"final;/v1/tus/{ID} http://h:1/v1/tus/{OTHER}"},
            Creation(JOINED, None, "", (ID, OTHER)),
        ),
        ({"upload-length": "5", "upload-metadata": "flag, a YQ=="}, Creation(WHOLE, 5, "flag,a YQ==", ())),
    ],
)
def test_what_a_creation_asks_for(headers: dict[str, str], wanted: Creation) -> None:
    assert protocol.creation(headers) == wanted


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "bad_request"),
        ({"upload-length": "5", "upload-defer-length": "1"}, "bad_request"),
        ({"upload-defer-length": "2"}, "bad_request"),
        ({"upload-length": "-1"}, "bad_request"),
        ({"upload-length": "1e3"}, "bad_request"),
        ({"upload-length": "²"}, "bad_request"),
        ({"upload-length": "9" * 19}, "bad_request"),
        ({"upload-length": "5", "upload-concat": "finale"}, "bad_request"),
        ({"upload-concat": "final;"}, "bad_request"),
        ({"upload-concat": f"final;/v1/tus/{ID}/../{OTHER}"}, "bad_request"),
        ({"upload-concat": f"final;/v1/tus/{ID} /v1/tus/{ID}"}, "bad_request"),
        ({"upload-concat": "final;" + " ".join(f"/v1/tus/{n:032x}" for n in range(101))}, "too_large"),
        ({"upload-concat": f"final;/v1/tus/{ID}", "upload-length": "5"}, "bad_request"),
        ({"upload-length": "5", "upload-metadata": "a !!"}, "bad_request"),
        ({"upload-length": "5", "upload-metadata": "a YQ==,a YQ=="}, "bad_request"),
        ({"upload-length": "5", "upload-metadata": "é YQ=="}, "bad_request"),
        ({"upload-length": "5", "upload-metadata": "a " + "A" * 8192}, "too_large"),
        ({"upload-length": "5", "upload-metadata": f"id {b64('../x')}"}, "bad_request"),
        ({"upload-length": "5", "upload-metadata": f"download {b64('all')}"}, "bad_request"),
    ],
)
def test_t15_creations_that_are_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(Problem) as refused:
        protocol.creation(headers)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": ""}, 415),
        ({"upload-offset": ""}, 400),
        ({"upload-offset": "-1"}, 400),
        ({"upload-offset": "0x1"}, 400),
        ({"upload-checksum": f"md5 {b64(b'x' * 16)}"}, 400),
        ({"upload-checksum": f"sha1 {b64(b'x' * 19)}"}, 400),
        ({"upload-checksum": "sha1 *"}, 400),
    ],
)
def test_chunks_that_are_refused(changed: dict[str, str], status: int) -> None:
    good = {"content-type": protocol.TYPE, "upload-offset": "7"}
    assert protocol.chunk(good) == Chunk(7)
    with pytest.raises(Problem) as refused:
        protocol.chunk(good | changed)
    assert refused.value.status == status


def test_the_method_meant_goes_before_the_requests_own() -> None:
    assert protocol.method("POST", {}) == "POST"
    assert protocol.method("POST", {"x-http-method-override": "patch"}) == "PATCH"


def test_metadata_are_what_the_plain_upload_takes() -> None:
    text = f"filename {b64('../My_film.mp4')},id {b64('one')},download {b64('original')},filetype {b64('x')}"
    found = protocol.wishes(protocol.read_metadata(text))
    assert (found.name, found.title, found.asset, found.download) == (
        *("My_film.mp4", "My film"),
        *("one", "original"),
    )


def test_keys_of_a_drm_provider_are_refused_and_not_forgotten() -> None:
    with pytest.raises(Problem, match="sluice add --drm"):
        protocol.wishes(protocol.read_metadata(f"filename {b64('film.mp4')},drm {b64('cpix')}"))


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1)


@given(st.dictionaries(KEYS.filter(lambda key: len(key) < 100), st.binary(max_size=60), max_size=20))
def test_metadata_are_written_and_read_alike(pairs: dict[str, bytes]) -> None:
    text = protocol.write_metadata(pairs)
    assert text.isascii() and text.isprintable()
    assert protocol.read_metadata(text) == pairs


@given(st.text(max_size=200), st.binary(max_size=200))
def test_t15_any_header_is_read_or_refused(text: str, value: bytes) -> None:
    for headers in (
        {"upload-length": "1", "upload-metadata": text},
        {"upload-length": "1", "upload-metadata": f"filename {b64(value)},title {b64(text)}"},
        {"upload-concat": text},
        {"upload-length": text},
        {"content-type": protocol.TYPE, "upload-offset": text, "upload-checksum": text},
    ):
        try:
            found = protocol.creation(headers)
            wishes = protocol.wishes(protocol.read_metadata(found.metadata))
            assert wishes.title.isprintable() and "/" not in wishes.name
        except Problem as problem:
            assert problem.status in (400, 413)
        try:
            protocol.chunk(headers)
        except Problem as problem:
            assert problem.status in (400, 415)
