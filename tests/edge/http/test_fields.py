"""Fields: lists are cut where RFC 9110 §5.6 says, and what belongs to a connection stays on it (H25)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.fields import combined, end_to_end, get, get_all, list_of, lowered, replaced, split, unquoted
from tests.edge.http.exchange import lines


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"", [b""]),
        (b"a", [b"a"]),
        (b" a , b,\tc ", [b"a", b"b", b"c"]),
        (b"a,,b", [b"a", b"", b"b"]),
        (b'a="x, y", b', [b'a="x, y"', b"b"]),
        (b'a="\\", y", b', [b'a="\\", y"', b"b"]),
        (b'a="x, b', [b'a="x', b"b"]),  # a quote that is never closed quotes nothing
        (b'a="x", b="y, c', [b'a="x"', b'b="y', b"c"]),
    ],
)
def test_a_list_is_cut_at_commas_outside_quotes(value: bytes, members: list[bytes]) -> None:
    assert split(value) == members


@given(st.lists(st.sampled_from([b'"', b"\\", b",", b" ", b"a", b"="]), max_size=40).map(b"".join))
def test_cutting_a_list_loses_nothing_but_space(value: bytes) -> None:
    assert b",".join(split(value)).translate(None, b" ") == value.translate(None, b" ")


def test_a_long_list_of_escapes_is_read_in_one_go() -> None:
    assert len(split(b'"' + b'\\"' * 100_000 + b",a")) == 2


def test_lines_of_one_name_are_one_list() -> None:
    fields = lines("Vary: a\nX: 1\nVary: b, , c")
    assert list_of(fields, b"vary") == [b"a", b"b", b"c"]
    assert combined(fields, b"vary") == b"a, b, , c"
    assert get(fields, b"vary") == b"a"
    assert get_all(fields, b"vary") == [b"a", b"b, , c"]
    assert get(fields, b"none") is None and combined(fields, b"none") is None


def test_what_belongs_to_the_connection_goes_no_further() -> None:
    fields = lines(
        """Connection: a, B, close
        A: 1
        b: 2
        C: 3
        Keep-Alive: timeout=5
        Proxy-Connection: x
        Proxy-Authenticate: x
        Proxy-Authentication-Info: x
        Proxy-Authorization: x
        TE: trailers
        Transfer-Encoding: chunked
        Upgrade: websocket
        Content-Length: 3"""
    )
    assert end_to_end(fields) == lines("C: 3\nContent-Length: 3")


@pytest.mark.parametrize(
    ("value", "text"), [(b'"a"', b"a"), (b'"a\\"b"', b'a"b'), (b"a", None), (b'"a', None), (b'"a"b', None)]
)
def test_a_quoted_string_is_read_or_it_is_none(value: bytes, text: bytes | None) -> None:
    assert unquoted(value) == text


def test_names_are_lower_case_and_values_without_space_around() -> None:
    assert lowered([(b"X-A", b" 1 ")]) == [(b"x-a", b"1")]
    assert replaced([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], b"a", b"4") == [(b"b", b"2"), (b"a", b"4")]
