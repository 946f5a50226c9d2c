"""Structured dictionaries: valid as RFC 8941 has it, or not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.structured import String, Token, Value, dictionary, string, token_or_string

READ: list[tuple[bytes, dict[bytes, Value] | None]] = [
    (b"", {}),
    (b"a", {b"a": True}),
    (b"a=?0", {b"a": False}),
    (b"a=1", {b"a": 1}),
    (b"a=-1", {b"a": -1}),
    (b"a=1.5", {b"a": 1.5}),
    (b'a="x\\"y"', {b"a": String(b'x"y')}),
    (b"a=x/y:z", {b"a": Token(b"x/y:z")}),
    (b"a=:aGk=:", {b"a": b"hi"}),
    (b'a=(1 "x" y)', {b"a": (1, String(b"x"), Token(b"y"))}),
    (b"a=(1;q=2 );r", {b"a": (1,)}),
    (b"a=()", {b"a": ()}),
    (b"a=1;q=2;r , b", {b"a": 1, b"b": True}),
    (b"a=1, b=2, a=3", {b"b": 2, b"a": 3}),
    (b" a ", {b"a": True}),
    (b"a=999999999999999", {b"a": 999_999_999_999_999}),
    (b"a=9999999999999999", None),
    (b"a=1.2345", None),
    (b"A=1", None),
    (b"a =1", None),
    (b"a= 1", None),
    (b"a,", None),
    (b"a=1, &&&&&", None),
    (b"a=", None),
    (b'a="x', None),
    (b'a="\x80"', None),
    (b"a=:x:", None),
    (b"a=(1", None),
    (b"a=(1,2)", None),
    (b"a=(1)2", None),
    (b"a=?2", None),
    (b"a b", None),
]


@pytest.mark.parametrize(("value", "read"), READ)
def test_a_dictionary_is_read_or_it_is_none(value: bytes, read: dict[bytes, Value] | None) -> None:
    assert dictionary([(b"x", value)], b"x") == read


def test_lines_of_a_dictionary_are_one_and_no_line_is_none() -> None:
    assert dictionary([(b"x", b"a"), (b"x", b"b")], b"x") == {b"a": True, b"b": True}
    assert dictionary([], b"x") is None


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    found = dictionary([(b"x", value)], b"x")
    assert found is None or all(name and name in value for name in found), "every key came in"


@given(st.text(max_size=30))
def test_a_string_that_is_written_is_read_again(text: str) -> None:
    kept = "".join(char for char in text if " " <= char <= "~")
    assert dictionary([(b"x", b"a=" + string(text).encode())], b"x") == {b"a": String(kept.encode())}


def test_a_name_is_a_token_where_it_can_be_one() -> None:
    assert token_or_string("edge-1.example") == "edge-1.example"
    assert token_or_string("1 edge") == '"1 edge"'
