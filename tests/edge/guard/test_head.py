"""One reading of a request's head, or none (SECURITY T9, T11)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.guard.head import CHUNKED, Head, read, still_good
from edge.guard.limits import FIELDS, HEAD_BYTES, TARGET_BYTES
from edge.guard.refused import Refused, answer
from keys.problems import Problem
from tests.edge.guard.odd import REFUSED, UNFINISHED
from tests.support.wire import answers


def refused(raw: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(raw)
    return caught.value.code


def test_a_usual_head_is_read_as_it_stands() -> None:
    head = read(
        b"GET /v/film/main.m3u8?a=b%20c HTTP/1.1\r\nHost: edge.example:8010\r\nAccept:*/*\r\n"
        b"X-Empty:\r\nX-Spaces: \t two words \t\r\nACCEPT: text/html\r\n\r\n"
    )
    assert head == Head(
        "GET",
        b"/v/film/main.m3u8",
        b"a=b%20c",
        "1.1",
        [
            (b"host", b"edge.example:8010"),
            (b"accept", b"*/*"),
            (b"x-empty", b""),
            (b"x-spaces", b"two words"),
            (b"accept", b"text/html"),
        ],
        0,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("fields", "length", "keep_alive", "expects"),
    [
        (b"", 0, True, False),
        (b"Content-Length: 0\r\n", 0, True, False),
        (b"content-length:17\r\n", 17, True, False),
        (b"Transfer-Encoding: Chunked\r\n", CHUNKED, True, False),
        (b"Connection: close\r\n", 0, False, False),
        (b"Connection: keep-alive , CLOSE\r\n", 0, False, False),
        (b"Connection: x\r\nConnection: close\r\n", 0, False, False),
        (b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n", 0, True, False),
        (b"Expect: 100-Continue\r\nContent-Length: 5\r\n", 5, True, True),
    ],
)
def test_framing_is_decided_from_the_head_alone(
    fields: bytes, length: int, keep_alive: bool, expects: bool
) -> None:
    head = read(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert (head.length, head.keep_alive, head.expects_continue) == (length, keep_alive, expects)


def test_http_1_0_needs_no_host_and_gets_one_answer() -> None:
    head = read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: what\r\n\r\n")
    assert (head.version, head.keep_alive, head.expects_continue) == ("1.0", False, False)


def test_a_target_with_a_host_is_the_path_when_it_is_the_same_host() -> None:
    head = read(b"GET http://a:80/x?y HTTP/1.1\r\nHost: A:80\r\n\r\n")
    assert (head.path, head.query) == (b"/x", b"y")


@pytest.mark.parametrize("host", [b"a", b"a.example:65535", b"127.0.0.1:80", b"[::1]", b"[2001:db8::1]:8010"])
def test_a_well_formed_host(host: bytes) -> None:
    assert read(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").fields == [(b"host", host)]


@pytest.mark.parametrize(("raw", "code"), REFUSED.values(), ids=REFUSED)
def test_t9_a_head_with_no_reading_or_more_than_one_is_refused(raw: bytes, code: str) -> None:
    try:
        still_good(raw)
    except Refused as early:
        assert early.code == code
    assert refused(raw) == code


@pytest.mark.parametrize("raw", UNFINISHED.values(), ids=UNFINISHED)
def test_t9_what_can_never_be_a_head_is_refused_before_it_ends(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        still_good(raw)
    assert caught.value.code == "bad_request"


def test_t11_the_limits_of_a_head() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    most = b"".join(b"X-%d: y\r\n" % i for i in range(FIELDS - 1))
    assert len(read(start + most + b"\r\n").fields) == FIELDS
    assert refused(start + most + b"X: y\r\n\r\n") == "head_too_large"
    room = HEAD_BYTES - len(start + b"X: \r\n\r\n")
    assert read(start + b"X: " + b"y" * room + b"\r\n\r\n")
    assert refused(start + b"X: " + b"y" * (room + 1) + b"\r\n\r\n") == "head_too_large"
    target = b"/" + b"a" * (TARGET_BYTES - 1)
    assert read(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").path == target
    assert refused(b"GET " + target + b"a HTTP/1.1\r\nHost: a\r\n\r\n") == "target_too_long"
    assert refused(b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n") == "target_too_long"
    for endless, code in (
        (b"GET /" + b"a" * 9000, "target_too_long"),
        (start + b"y" * 33_000, "head_too_large"),
    ):
        with pytest.raises(Refused) as caught:
            still_good(endless)
        assert caught.value.code == code


TOKEN = st.text("!#$%&'*+.^_`|~09AZaz-", min_size=1, max_size=12).map(str.encode)
VALUE = st.binary(max_size=30).map(
    lambda b: bytes(c for c in b if c in b"\t" or 32 <= c != 127).strip(b" \t")
)
OURS = {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"}


@given(
    st.sampled_from(["GET", "HEAD", "POST", "DELETE"]),
    st.text("".join(map(chr, range(33, 127))).replace("#", ""), max_size=30).map(str.encode),
    st.lists(st.tuples(TOKEN.filter(lambda n: n.lower() not in OURS), VALUE), max_size=8),
)
def test_what_is_written_is_read_back(method: str, tail: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    raw = method.encode() + b" /" + tail + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    head = read(raw)
    path, _, query = (b"/" + tail).partition(b"?")
    assert (head.method, head.path, head.query) == (method, path, query)
    assert head.fields == [(b"host", b"a"), *((name.lower(), value) for name, value in fields)]
    for cut in range(1, len(raw) - 3):
        still_good(raw[:cut])
        still_good(bytearray(raw[:cut]), cut // 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(raw: bytes) -> None:
    for each in (raw, raw + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + raw + b"\r\n\r\n"):
        for ask in (read, still_good):
            try:
                ask(each)
            except Refused as refusal:
                assert 400 <= Problem(refusal.code).status < 506


def test_h36_the_answer_to_what_is_refused_is_small_fixed_and_closes() -> None:
    problem = Problem("bad_request", detail="secret")
    [told] = answers(answer(problem, [(b"date", b"now")]))
    assert (told.status, told.body) == (400, problem.body())
    assert (told.headers[b"connection"], told.headers[b"cache-control"]) == (b"close", b"no-store")
    assert b"secret" not in answer(problem)
