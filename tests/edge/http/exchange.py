"""Short ways to say a request, an answer, and what is stored of the two."""

from edge.http.entry import PLAIN, Entry, Request, Response, Rules
from edge.http.storing import NotStored, Stored, may_store

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
URI = "http://films.example/a/film?x=1"

Lines = list[tuple[bytes, bytes]]


def lines(text: str) -> Lines:
    """Fields from `Name: value` lines, as they stand in a message; leading space of a line does not count."""
    split = (line.strip().partition(":") for line in text.splitlines() if line.strip())
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in split]


def get(fields: str = "", method: str = "GET", uri: str = URI) -> Request:
    return Request(method, uri, lines(fields))


def told(fields: str, status: int = 200) -> Response:
    return Response(status, lines(fields))


def tried(
    response: str,
    request: str = "",
    *,
    status: int = 200,
    rules: Rules = PLAIN,
    method: str = "GET",
    at: float = NOW,
    took_s: float = 0.0,
) -> Stored | NotStored:
    return may_store(get(request, method), told(response, status), rules, requested=at - took_s, received=at)


def stored(
    response: str,
    request: str = "",
    *,
    status: int = 200,
    rules: Rules = PLAIN,
    method: str = "GET",
    at: float = NOW,
    took_s: float = 0.0,
) -> Entry:
    found = tried(response, request, status=status, rules=rules, method=method, at=at, took_s=took_s)
    assert isinstance(found, Stored), found
    return found.entry
