"""Names are parsed once, at the border; what passed is safe in a path, a database, a Redis key and a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.names import asset_id, b64url, b64url_decode, object_name, rendition_id
from keys.problems import Problem


@pytest.mark.parametrize("name", ["film", "0", "big-buck_bunny", "a" * 64])
def test_an_asset_id_is_taken_as_it_is(name: str) -> None:
    assert asset_id(name) == name


BAD = ["", "-film", "_film", "Film", "a" * 65, "a/b", "..", "a b", "a\n", "film\x00", "fílm", "a;b", "a%2fb"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_with_a_sentence(name: str) -> None:
    for parse in (asset_id, rendition_id, object_name):
        with pytest.raises(Problem) as caught:
            parse(name)
        assert caught.value.code == "bad_request"
        assert caught.value.message.endswith(".")


@pytest.mark.parametrize("name", ["720p", "audio", "720p-ts", "a" * 32])
def test_a_rendition_id_is_taken_as_it_is(name: str) -> None:
    assert rendition_id(name) == name


@pytest.mark.parametrize("name", ["init.mp4", "7.m4s", "list", "asset.json"])
def test_an_object_name_is_taken_as_it_is(name: str) -> None:
    assert object_name(name) == name


@given(st.binary(max_size=64))
def test_base64url_comes_back(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data


@pytest.mark.parametrize("text", ["A", "AA=", "AA==", "AB", "A A", "AA\n", "A+", "A/", "AAAAA", "é"])
def test_base64url_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        b64url_decode(text)


@given(st.text(alphabet="ABCDwxyz0189-_=+/ \n", max_size=12))
def test_bytes_have_one_spelling_only(text: str) -> None:
    try:
        data = b64url_decode(text)
    except ValueError:
        return
    assert b64url(data) == text
