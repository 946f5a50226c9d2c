"""A body ends where everybody sees it end (SECURITY T9, T11)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.guard.body import Body, Chunked, Counted
from edge.guard.limits import CHUNK_LINE_BYTES, EXTENSION_BYTES, SMALL_CHUNKS, TRAILER_BYTES
from edge.guard.refused import Refused


def fed(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """All content, and what came after the body; None when it did not end."""
    content, rest = b"", None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        got, rest = body.feed(piece)
        content += got
    return content, rest


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=20), st.lists(st.integers(0, 200), max_size=6))
def test_a_counted_body_ends_at_its_length(content: bytes, after: bytes, at: list[int]) -> None:
    assert fed(Counted(len(content)), cut(content + after, at)) == (content, after)


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b";a", b';a="b c"', b";a;b=c"]),
    st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"]),
    st.binary(max_size=20),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_a_chunked_body_is_its_content_however_it_is_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, after: bytes, at: list[int]
) -> None:
    data = b"".join(b"%X" % len(c) + extension + b"\r\n" + c + b"\r\n" for c in chunks)
    data += b"0" + extension + b"\r\n" + trailers + b"\r\n"
    assert fed(Chunked(), cut(data + after, at)) == (b"".join(chunks), after)
    assert fed(Chunked(), [bytes([b]) for b in data]) == (b"".join(chunks), b"")
    for end in range(len(data)):
        assert Chunked().feed(data[:end])[1] is None


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1 \r\n",
        b" 1\r\n",
        b"1 ;a\r\n",
        b"1\n",
        b"1\rx",
        b"1\r\nab",
        b"1\r\na\n",
        b"1\r\na\rx",
        b"1;a\nb\r\n",
        b"1;\0\r\n",
        b"1" * 16 + b"\r\n",
        b"1;" + b"a" * CHUNK_LINE_BYTES,
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX: y\n\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * TRAILER_BYTES,
        (b"1;" + b"e" * 200 + b"\r\na\r\n") * (EXTENSION_BYTES // 200 + 1),
        b"1\r\na\r\n" * (SMALL_CHUNKS + 100),
    ],
)
def test_t9_chunks_that_can_be_read_in_two_ways_or_cost_too_much_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        Chunked().feed(data)
    with pytest.raises(Refused):
        fed(Chunked(), [bytes([b]) for b in data])


def test_a_body_over_the_limit_is_refused_at_the_size_that_says_so() -> None:
    body = Chunked(10)
    assert body.feed(b"8\r\n12345678\r\n") == (b"12345678", None)
    with pytest.raises(Refused) as caught:
        body.feed(b"3\r\n")
    assert caught.value.code == "too_large"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_body_or_refused(data: bytes) -> None:
    """What is taken for content or left over came in, in that order; what is refused has its code."""
    try:
        content, rest = Chunked().feed(data)
    except Refused as refused:
        assert refused.code in ("bad_request", "too_large")
        return
    assert len(content) + len(rest or b"") <= len(data)
    assert data.endswith(rest or b"")
    came = iter(data)
    assert all(byte in came for byte in content), "a subsequence of what came"
