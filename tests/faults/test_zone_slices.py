"""Large bodies of a zone, over real sockets: what they cost the origin, and what it may do wrong (F7, F8)."""

import asyncio
import gc
import gzip
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

import httpx
import pytest

from edge.http.partial import SLICE
from edge.zone.sliced import Sliced
from edge.zone.store import _Shelf
from tests.support.large_origin import Head, LargeOrigin, content
from tests.support.serving import eventually
from tests.support.zone_edge import ZoneEdge, edge_of

GIB = 1 << 30
CUT = (httpx.RemoteProtocolError, httpx.ReadError)


@dataclass
class Clock:
    """Time that goes on only when told to."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


async def part(edge: ZoneEdge, wanted: str, **fields: str) -> httpx.Response:
    sent = {"range": f"bytes={wanted}", **{name.replace("_", "-"): value for name, value in fields.items()}}
    return await edge.client.get("/", headers=sent)


async def test_t10_h8_a_byte_of_a_cold_10_gib_object_costs_the_origin_one_slice() -> None:
    origin = LargeOrigin(10 * GIB)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, f"{5 * GIB}-{5 * GIB}")
        assert (got.status_code, got.content) == (206, content(5 * GIB, 5 * GIB + 1))
        assert got.headers["content-range"] == f"bytes {5 * GIB}-{5 * GIB}/{10 * GIB}"
        assert (origin.sent, len(origin.asked)) == (SLICE, 1)
        again = await part(edge, f"{5 * GIB + 7}-{5 * GIB + 9}")
        assert again.content == content(5 * GIB + 7, 5 * GIB + 10) and "hit" in again.headers["cache-status"]
        last = await part(edge, "-1")
        assert last.content == content(10 * GIB - 1, 10 * GIB) and origin.sent == 2 * SLICE


async def test_t10_h8_at_a_border_of_slices_it_costs_two_in_one_request() -> None:
    origin = LargeOrigin(10 * GIB)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, f"{3 * SLICE - 1}-{3 * SLICE}")
        assert got.content == content(3 * SLICE - 1, 3 * SLICE + 1)
        assert origin.ranges_asked == [f"bytes={2 * SLICE}-{4 * SLICE - 1}"] and origin.sent == 2 * SLICE


async def test_t10_eight_ranges_are_parts_and_nine_are_none() -> None:
    origin = LargeOrigin(20 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, ",".join(f"{at * 2 * SLICE}-{at * 2 * SLICE + 1}" for at in range(8)))
        assert got.status_code == 206 and got.headers["content-type"].startswith("multipart/byteranges")
        for at in range(8):
            assert content(at * 2 * SLICE, at * 2 * SLICE + 2) in got.content
        assert origin.sent == 8 * SLICE
        nine = await edge.client.send(
            edge.client.build_request("GET", "/", headers={"range": "bytes=" + "0-0," * 8 + "5-6"}),
            stream=True,
        )
        assert nine.status_code == 200
        await nine.aclose()


async def test_h8_a_small_object_that_a_range_is_asked_of_is_kept_whole() -> None:
    origin = LargeOrigin(1000)
    async with origin.served() as url, edge_of(url) as edge:
        assert (await part(edge, "10-19")).content == content(10, 20)
        assert (await edge.client.get("/")).content == content(0, 1000)
        assert (await part(edge, "-5")).content == content(995, 1000)
        assert (await part(edge, "1000-")).status_code == 416
        head = await edge.client.head("/")
        assert (head.status_code, head.headers["content-length"]) == (200, "1000")
        assert len(origin.asked) == 1


async def test_h8_a_range_beyond_the_end_of_a_cold_object_is_refused_as_the_origin_does() -> None:
    origin = LargeOrigin(3 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, f"{9 * SLICE}-")
        assert (got.status_code, got.headers["content-range"]) == (416, f"bytes */{3 * SLICE}")
        near = await part(edge, f"{3 * SLICE}-")
        assert (near.status_code, near.headers["content-range"]) == (416, f"bytes */{3 * SLICE}")
        assert (await part(edge, "0-4")).content == content(0, 5)


async def test_h8_the_whole_is_taken_in_one_request_and_kept_in_slices() -> None:
    origin = LargeOrigin(20 * SLICE + 5)
    async with origin.served() as url, edge_of(url) as edge:
        for _ in range(2):
            assert (await edge.client.get("/")).content == content(0, origin.total)
        many = await part(edge, f"{SLICE - 2}-{SLICE + 2},{7 * SLICE}-{7 * SLICE}")
        assert content(SLICE - 2, SLICE + 3) in many.content
        head = await edge.client.head("/")
        assert (head.headers["content-length"], head.headers["accept-ranges"]) == (str(origin.total), "bytes")
        matching = await part(edge, "0-3", if_range=origin.etag)
        assert matching.status_code == 206
        assert len((await part(edge, "0-3", if_range='"9"')).content) == origin.total
        assert (await edge.client.get("/", headers={"if-none-match": origin.etag})).status_code == 304
        assert origin.ranges_asked == [None]


async def test_h8_slices_that_are_there_are_not_asked_for_again() -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, f"{2 * SLICE}-{4 * SLICE - 1}")
        assert (await edge.client.get("/")).content == content(0, origin.total)
        assert origin.ranges_asked[1:] == [f"bytes=0-{2 * SLICE - 1}", f"bytes={4 * SLICE}-{8 * SLICE - 1}"]
        assert all(fields.get("if-range") == origin.etag for fields in origin.asked[1:])
        assert origin.sent == origin.total


async def test_h8_a_200_of_an_origin_that_ignores_range_is_cut_for_the_client() -> None:
    origin = LargeOrigin(5 * SLICE, ranges=False)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, f"{SLICE}-{SLICE + 9}")
        assert (got.status_code, got.content) == (206, content(SLICE, SLICE + 10))
        await edge.client.get("/")
        assert (await part(edge, "-10")).content == content(origin.total - 10, origin.total)
        assert len(origin.asked) == 1


async def test_h8_the_same_holds_for_one_that_is_too_large_to_keep() -> None:
    origin = LargeOrigin(GIB, ranges=False)
    async with origin.served() as url, edge_of(url, memory=16 << 20) as edge:
        got = await part(edge, f"{SLICE}-{SLICE + 9}")
        assert (got.status_code, got.content) == (206, content(SLICE, SLICE + 10))
        await eventually(lambda: edge.held() == [])


async def test_what_is_stale_is_validated_and_all_its_slices_are_good_again() -> None:
    origin, clock = LargeOrigin(4 * SLICE), Clock()
    async with origin.served() as url, edge_of(url, now=clock) as edge:
        await edge.client.get("/")
        clock.ahead = 1000
        origin.fields["date"] = formatdate(clock(), usegmt=True)
        assert (await part(edge, "5-9")).content == content(5, 10)
        assert origin.asked[1]["if-none-match"] == origin.etag
        assert (await edge.client.get("/")).content == content(0, origin.total)
        assert len(origin.asked) == 2 and origin.sent == origin.total


async def test_t10_a_byte_of_a_stale_10_gib_object_that_has_changed_costs_a_slice_of_the_new() -> None:
    origin, clock = LargeOrigin(10 * GIB), Clock()
    async with origin.served() as url, edge_of(url, now=clock) as edge:
        await part(edge, "0-9")
        clock.ahead, origin.edition = 1000, 2
        origin.fields["date"] = formatdate(clock(), usegmt=True)
        got = await part(edge, f"{GIB}-{GIB + 9}")
        assert (got.headers["etag"], got.content) == ('"2"', content(GIB, GIB + 10, 2))
        assert origin.asked[1]["if-none-match"] == '"1"' and origin.sent == 2 * SLICE
        assert not edge.sliced().has(0)  # of the old


async def test_f7_a_file_that_became_shorter_than_the_range_is_forgotten() -> None:
    origin, clock = LargeOrigin(9 * SLICE), Clock()
    async with origin.served() as url, edge_of(url, now=clock) as edge:
        await part(edge, "0-9")
        clock.ahead, origin.edition, origin.total = 1000, 2, SLICE
        got = await part(edge, f"{5 * SLICE}-")
        assert (got.status_code, got.headers["content-range"]) == (416, f"bytes */{SLICE}")
        assert edge.held() == []


async def test_100_clients_of_a_cold_20_mb_object_cost_less_requests_than_slices() -> None:
    origin = LargeOrigin(20_000_000)
    async with origin.served() as url, edge_of(url) as edge:
        whole, at = content(0, origin.total), edge.client.base_url

        async def take() -> bool:
            reader, writer = await asyncio.open_connection(at.host, at.port, limit=1 << 20)
            writer.write(f"GET / HTTP/1.1\r\nhost: {at.host}:{at.port}\r\nconnection: close\r\n\r\n".encode())
            got = await reader.read()
            writer.close()
            return got.endswith(whole)

        assert all(await asyncio.gather(*(take() for _ in range(100))))
        assert len(origin.asked) == 1 and origin.sent == origin.total


async def test_100_clients_of_ranges_of_a_cold_object_cost_less_requests_than_slices() -> None:
    origin = LargeOrigin(20_000_000)
    async with origin.served() as url, edge_of(url) as edge:

        async def take(at: int) -> bool:
            start = at * 199_999
            return (await part(edge, f"{start}-{start + 150_000}")).content == content(start, start + 150_001)

        assert all(await asyncio.gather(*(take(at) for at in range(99))))
        assert len(origin.asked) <= 20 and origin.sent <= origin.total


async def test_f20_a_reader_who_leaves_costs_at_most_a_slice_more_and_one_who_stalls_holds_nobody() -> None:
    origin = LargeOrigin(64 * SLICE)
    async with origin.served() as url, edge_of(url, memory=8 << 20) as edge:
        async with edge.client.stream("GET", "/") as stalled:
            pieces = stalled.aiter_raw(1000)
            assert await anext(pieces) == content(0, 1000)
            got = await part(edge, f"0-{32 * SLICE - 1}")
            assert got.content == content(0, 32 * SLICE)
            rest = b"".join([piece async for piece in pieces])
            assert rest == content(1000, origin.total)
        assert len(origin.asked) <= 64
        assert edge.app.store.used_bytes <= 8 << 20


async def test_memory_of_a_request_is_two_slices_where_nothing_can_be_kept() -> None:
    origin = LargeOrigin(16 * SLICE)
    most = 0
    async with origin.served() as url, edge_of(url, memory=SLICE // 2) as edge:

        async def look(at: int) -> None:
            nonlocal most
            if at % SLICE == SLICE // 2:
                most = max(most, sum(len(body._slices) for body in _bodies_of(edge)))

        origin.before = look
        assert (await edge.client.get("/")).content == content(0, origin.total)
    assert 0 < most <= 2


def _bodies_of(edge: ZoneEdge) -> list[Sliced]:
    """Every body in slices of an edge, kept or not."""
    found = [each for each in gc.get_objects() if type(each) is Sliced]
    return [each for each in found if isinstance(each.shelf, _Shelf) and each.shelf._store is edge.app.store]


async def test_f7_a_file_changed_after_slice_3_is_never_mixed_with_the_old() -> None:
    origin = LargeOrigin(64 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, f"0-{3 * SLICE - 1}")
        origin.edition = 2
        got = b""
        with pytest.raises(CUT):
            async with edge.client.stream("GET", "/") as answer:
                assert answer.headers["etag"] == '"1"'
                async for piece in answer.aiter_raw():
                    got += piece
        assert got == content(0, len(got)) and len(got) == 3 * SLICE
        assert edge.held() == []  # all of the old is gone
        resumed = await part(edge, f"{len(got)}-", if_range='"1"')
        assert resumed.status_code == 200 and resumed.headers["etag"] == '"2"'
        assert resumed.content == content(0, origin.total, 2)


async def test_f7_what_changed_before_anything_was_sent_is_answered_with_the_new() -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.edition = 2
        got = await part(edge, f"{4 * SLICE}-{4 * SLICE + 9}")
        assert (got.status_code, got.headers["etag"]) == (206, '"2"')
        assert got.content == content(4 * SLICE, 4 * SLICE + 10, 2)
        assert (await part(edge, "0-9")).content == content(0, 10, 2)


async def test_f7_what_is_gone_is_said_to_be_gone() -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")

        def gone(head: Head) -> None:
            head.status, head.start, head.stop = 404, 0, 0
            head.fields = {"content-length": "0"}

        origin.lie = gone
        assert (await part(edge, f"{4 * SLICE}-{4 * SLICE + 9}")).status_code == 404
        assert edge.held() == []


async def test_f7_an_origin_that_ignores_ranges_from_now_on_is_read_whole() -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.ranges = False
        got = await part(edge, f"{4 * SLICE}-{4 * SLICE + 9}")
        assert (got.status_code, got.content) == (206, content(4 * SLICE, 4 * SLICE + 10))


async def test_f4_what_breaks_off_is_resumed_from_the_slice_it_broke_in() -> None:
    origin = LargeOrigin(8 * SLICE)
    broke: list[int] = []

    async def breaks(at: int) -> None:
        if at == 3 * SLICE + SLICE // 2 and len(broke) < 2:
            broke.append(at)
            raise ConnectionError

    origin.before = breaks
    async with origin.served() as url, edge_of(url) as edge:
        assert (await edge.client.get("/")).content == content(0, origin.total)
        resumed = f"bytes={3 * SLICE}-{8 * SLICE - 1}"
        assert origin.ranges_asked == [None, resumed, resumed]
        assert origin.sent <= origin.total + SLICE


async def test_f4_an_origin_that_always_breaks_off_there_is_tried_three_times() -> None:
    origin = LargeOrigin(8 * SLICE)

    async def breaks(at: int) -> None:
        if at == 3 * SLICE:
            raise ConnectionError

    origin.before = breaks
    async with origin.served() as url, edge_of(url) as edge:
        with pytest.raises(CUT):
            await edge.client.get("/")
        assert len(origin.asked) == 3
        got = await part(edge, f"{3 * SLICE}-{3 * SLICE + 1}")
        assert got.status_code == 502 and "http_response_incomplete" in got.headers["proxy-status"]
        assert (await part(edge, "0-9")).content == content(0, 10)


def _shifted(head: Head) -> None:
    head.fields["content-range"] = re.sub(r"bytes (\d+)", lambda at: f"bytes {int(at[1]) + 1}", _place(head))


def _place(head: Head) -> str:
    return head.fields["content-range"]


def _of_another_total(head: Head) -> None:
    head.fields["content-range"] = _place(head).rpartition("/")[0] + "/99999999"


def _without_place(head: Head) -> None:
    del head.fields["content-range"]


def _without_total(head: Head) -> None:
    head.fields["content-range"] = _place(head).rpartition("/")[0] + "/*"


def _of_another_length(head: Head) -> None:
    head.fields["content-length"] = str(int(head.fields["content-length"]) - 1)
    head.stop -= 1


def _without_tag(head: Head) -> None:
    del head.fields["etag"]


def _packed(head: Head) -> None:
    head.fields["content-encoding"] = "gzip"


def _twice(head: Head) -> None:
    head.fields["content-range"] = f"{_place(head)}\r\ncontent-range: bytes 0-1/2"


LATER = [
    _shifted,
    _of_another_total,
    _without_place,
    _without_total,
    _of_another_length,
    _without_tag,
    _packed,
]
FIRST = [_shifted, _without_place, _of_another_length, _twice]


@pytest.mark.parametrize("lie", FIRST)
async def test_f8_a_lie_in_the_first_answer_is_a_502_and_nothing_is_kept(lie: Callable[[Head], None]) -> None:
    origin = LargeOrigin(8 * SLICE, lie=lie)
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, f"{SLICE}-{SLICE + 9}")
        assert (got.status_code, got.json()["code"]) == (502, "bad_upstream")
        assert got.headers["proxy-status"] == "edge-a; error=http_protocol_error"
        assert edge.held() == []
        origin.lie = None
        assert (await part(edge, f"{SLICE}-{SLICE + 9}")).content == content(SLICE, SLICE + 10)


@pytest.mark.parametrize("lie", LATER)
async def test_f8_a_lie_about_a_later_slice_is_a_502_and_all_is_dropped(lie: Callable[[Head], None]) -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.lie = lie
        got = await part(edge, f"{SLICE}-{SLICE + 9}")
        assert (got.status_code, got.headers["proxy-status"]) == (502, "edge-a; error=http_protocol_error")
        assert edge.held() == []
        origin.lie = None
        assert (await edge.client.get("/")).content == content(0, origin.total)


@pytest.mark.parametrize("lie", LATER)
async def test_f8_a_lie_while_the_answer_is_under_way_cuts_it(lie: Callable[[Head], None]) -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.lie = lie
        got = b""
        with pytest.raises(CUT):
            async with edge.client.stream("GET", "/") as answer:
                async for piece in answer.aiter_raw():
                    got += piece
        assert got == content(0, SLICE)
        assert edge.held() == []


def _in_chunks(head: Head) -> None:
    """Other bytes than Content-Range says, without a length that tells."""
    del head.fields["content-length"]
    head.fields["transfer-encoding"] = "chunked"


async def test_f8_more_bytes_than_were_announced_are_not_believed() -> None:
    origin = LargeOrigin(8 * SLICE, lie=_in_chunks)
    async with origin.served() as url, edge_of(url) as edge:
        origin.chunk = content(0, SLICE) + b"more"
        assert (await part(edge, f"0-{SLICE - 1}")).content == content(0, SLICE)
        await eventually(lambda: edge.held() == [])


async def test_f8_fewer_bytes_than_were_announced_are_no_slice() -> None:
    origin = LargeOrigin(8 * SLICE, lie=_in_chunks)
    async with origin.served() as url, edge_of(url) as edge:
        origin.chunk = content(0, SLICE // 2)
        with pytest.raises(CUT):
            await part(edge, f"0-{SLICE - 1}")
        assert not edge.sliced().has(0)


async def test_f8_a_body_without_a_strong_validator_is_not_kept_in_slices() -> None:
    def weak(head: Head) -> None:
        head.fields["etag"] = 'W/"1"'

    origin = LargeOrigin(4 * SLICE, lie=weak)
    async with origin.served() as url, edge_of(url) as edge:
        for _ in range(2):
            assert (await part(edge, f"{SLICE + 5}-{SLICE + 9}")).content == content(SLICE + 5, SLICE + 10)
        assert origin.ranges_asked[1:] == [f"bytes={SLICE + 5}-{SLICE + 9}"]
        assert (await edge.client.get("/")).content == content(0, origin.total)
        assert all(not isinstance(held.body, Sliced) for held in edge.held())


async def test_f8_a_body_whose_length_the_origin_does_not_know_is_asked_for_as_the_client_does() -> None:
    origin = LargeOrigin(4 * SLICE, lie=_without_total)
    async with origin.served() as url, edge_of(url) as edge:
        assert (await part(edge, f"{SLICE + 5}-{SLICE + 9}")).content == content(SLICE + 5, SLICE + 10)
        assert origin.ranges_asked == [f"bytes={SLICE}-{2 * SLICE - 1}", f"bytes={SLICE + 5}-{SLICE + 9}"]


async def test_f8_what_is_gzip_without_a_label_goes_through_as_it_is() -> None:
    origin = LargeOrigin(4 * SLICE)
    packed = gzip.compress(b"hello")
    origin.chunk = packed

    def unlabelled(head: Head) -> None:
        head.status = 200
        head.fields = {"cache-control": "max-age=60", "transfer-encoding": "chunked"}

    origin.lie = unlabelled
    async with origin.served() as url, edge_of(url) as edge:
        for _ in range(2):
            assert (await edge.client.get("/")).content == packed
        assert len(origin.asked) == 1


async def test_f8_a_head_without_an_end_is_a_502() -> None:
    origin = LargeOrigin(4 * SLICE)

    def endless(head: Head) -> None:
        head.fields["x"] = "y" * (1 << 20)

    origin.lie = endless
    async with origin.served() as url, edge_of(url) as edge:
        got = await part(edge, "0-9")
        assert (got.status_code, got.headers["proxy-status"]) == (502, "edge-a; error=http_protocol_error")


@pytest.mark.parametrize("status", [500, 503])
async def test_an_origin_in_trouble_is_a_503_and_what_is_there_stays(status: int) -> None:
    origin = LargeOrigin(8 * SLICE)

    def trouble(head: Head) -> None:
        head.status, head.fields, head.stop = status, {"content-length": "0"}, head.start

    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.lie = trouble
        got = await part(edge, f"{SLICE}-{SLICE + 9}")
        assert (got.status_code, got.headers["proxy-status"]) == (
            503,
            "edge-a; error=destination_unavailable",
        )
        assert (await part(edge, "5-9")).content == content(5, 10)


async def test_a_client_the_origin_refuses_is_told_so_and_the_others_keep_what_is_there() -> None:
    origin = LargeOrigin(8 * SLICE)

    def refused(head: Head) -> None:
        head.status, head.fields, head.stop = 403, {"content-length": "0"}, head.start

    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        origin.lie = refused
        assert (await part(edge, f"{SLICE}-{SLICE + 9}")).status_code == 403
        assert (await part(edge, "5-9")).content == content(5, 10)


async def test_only_what_is_there_is_given_to_who_wants_only_what_is_stored() -> None:
    origin = LargeOrigin(8 * SLICE)
    async with origin.served() as url, edge_of(url) as edge:
        await part(edge, "0-9")
        assert (await part(edge, "5-9", cache_control="only-if-cached")).content == content(5, 10)
        assert (await part(edge, f"5-{SLICE}", cache_control="only-if-cached")).status_code == 504
        assert len(origin.asked) == 1


async def test_a_fill_is_paused_by_a_slow_reader() -> None:
    origin = LargeOrigin(10 * GIB)
    async with origin.served() as url, edge_of(url) as edge:
        async with edge.client.stream("GET", "/") as answer:
            pieces = answer.aiter_raw(10)
            await anext(pieces)
            await eventually(lambda: origin.sent > 3 * SLICE)
            body = edge.sliced()
            await eventually(lambda: any(map(body._far_ahead, body._fills)))
            assert len(body._slices) <= 16  # sockets hold some, the edge two slices more than were sent
        await eventually(lambda: not body._fills)
