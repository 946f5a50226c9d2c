"""What unsafe requests make untrue (RFC 9111 §4.4, H17), and the labels entries are purged by."""

import pytest

from edge.http.invalidation import invalidated, labels
from tests.edge.http.exchange import URI, lines, told


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "post"])
def test_an_unsafe_method_that_went_well_invalidates_its_target(method: str) -> None:
    assert invalidated(method, URI, told("", 200)) == (URI,)
    assert invalidated(method, URI, told("", 303)) == (URI,)
    assert invalidated(method, URI, told("", 404)) == invalidated(method, URI, told("", 500)) == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "SEARCH"])
def test_a_safe_method_changes_nothing(method: str) -> None:
    assert invalidated(method, URI, told("", 200)) == ()


NAMED: list[tuple[str, str | None]] = [
    ("/b", "http://films.example/b"),
    ("b?y=2#part", "http://films.example/a/b?y=2"),
    ("http://films.example:80/b", "http://films.example:80/b"),
    ("http://FILMS.example/b", "http://FILMS.example/b"),
    ("https://films.example/b", None),
    ("http://other.example/b", None),
    ("//other.example/b", None),
    ("http://films.example:8080/b", None),
    ("http://films.example:x/b", None),
    ("http://[", None),
    ("", None),
]


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
@pytest.mark.parametrize(("value", "uri"), NAMED)
def test_what_it_names_on_the_same_origin_is_invalidated_too(field: str, value: str, uri: str | None) -> None:
    found = invalidated("POST", URI, told(f"{field}: {value}", 201))
    assert found == ((URI,) if uri is None else (URI, uri))


def test_labels_are_set_apart_by_spaces_or_commas() -> None:
    fields = lines("Surrogate-Key: a b\nCache-Tag: c, d e\nSurrogate-Key: a")
    assert labels(fields) == {b"a", b"b", b"c", b"d e"}
