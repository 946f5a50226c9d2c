"""What the benchmark says of its numbers, and that every job of it runs, small."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from deploy.bench import ffmpeg, film, report
from deploy.bench.figures import Spread, percentile, ratios
from deploy.bench.film import PERIOD_SEGMENTS, Film
from deploy.bench.jobs import JOBS
from deploy.bench.load import Broken, Line
from deploy.bench.processes import cpu_seconds, private_bytes
from deploy.bench.rig import Size, running
from deploy.bench.rows import Bar, Row, short
from deploy.bench.viewers import Session, WrongAnswer, take
from deploy.ffmpeg import ffmpeg_path
from deploy.layers import load
from origin.media.protected_init import protected_init
from origin.media.protection import SCHEMES, Protector
from origin.media.segmenting import Segment, Splitter
from tests.support.cenc import encrypted

TINY = Size(
    rounds=1,
    gigabytes=0.004,
    small=20,
    crowd_s=0.1,
    herd=10,
    idle=5,
    revoked=3,
    refused=20,
    segments=(("0.3 MB", 300_000, 4), ("1.2 MB", 1_200_000, 4)),
)


def row(edge: tuple[float, ...], floor: tuple[float, ...] = (), bar: Bar | None = None) -> Row:
    return Row("job", "a thing", "ms", edge, floor, bar)


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_a_median_lies_between_least_and_most(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.least <= spread.median <= spread.most
    assert percentile(values, 0) == spread.least
    assert percentile(values, 1) == spread.most


def test_a_percentile_is_the_nearest_rank() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([5.0], 0.99) == 5


def test_ratios_are_taken_within_a_round() -> None:
    assert ratios([1.0, 3.0], [2.0, 3.0]) == [0.5, 1.0]
    with pytest.raises(ValueError):
        ratios([1.0], [1.0, 2.0])


def test_a_bar_is_judged_by_the_median_of_the_rounds() -> None:
    at_least = Bar(ratio_at_least=0.85)
    assert row((1.0, 1.0, 9.0), (0.9, 0.9, 0.9), at_least).verdict() == "PASS"
    assert row((1.2, 1.2, 1.0), (0.9, 0.9, 0.9), at_least).verdict() == "SHORT"
    assert row((9.0, 10.0, 99.0), bar=Bar(at_most=10)).verdict() == "PASS"
    assert row((10.1,), bar=Bar(at_most=10)).verdict() == "SHORT"
    assert row((1.0,)).verdict() == ""
    assert row((2.0,), (1.0,), Bar(ratio_at_least=0.45, of="plain")).verdict() == "PASS"
    assert Bar(ratio_at_least=0.45, of="plain").text() == "≥ 0.45 of plain"
    assert short([row((11.0,), bar=Bar(at_most=10)), row((1.0,))]) == ["a thing"]


def test_results_hold_every_figure_and_what_they_were_taken_with() -> None:
    rows = [row((1.0, 2.0), (1.0, 1.0), Bar(ratio_at_least=0.5))]
    text = report.markdown(rows, {"machine": "a machine"})
    assert "* machine: a machine" in text
    assert (
        "| a thing | ms | 1.5 (1.0–2.0) | 1.0 (1.0–1.0) | 0.75 (0.50–1.00) | ≥ 0.5 of floor | PASS |" in text
    )
    found = json.loads(report.as_json(rows, {"machine": "a machine"}))
    assert found["rows"][0]["edge"] == [1.0, 2.0]
    assert found["rows"][0]["verdict"] == "PASS"


def test_what_the_kernel_says_of_a_process_grows_with_its_work() -> None:
    import os

    before = cpu_seconds([os.getpid()])
    hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000)
    assert cpu_seconds([os.getpid()]) > before
    assert private_bytes(os.getpid()) > 1 << 20


async def test_an_answer_of_another_length_or_status_ends_the_benchmark() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with await Line.to(url) as line:
        assert bytes((await line.get("/", keep=True)).body) == b"abc"
        with pytest.raises(WrongAnswer):
            await take([line], [("/", 4)])
    server.close()


async def test_a_body_that_breaks_off_ends_the_benchmark() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with await Line.to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as line:
        with pytest.raises(Broken):
            await line.get("/")
    server.close()


def test_a_session_asks_for_whole_padded_segments_and_their_keys() -> None:
    two = Film("film", (32, 33), (b"", b""))
    session = Session(two, "/v;T/film/aes/")
    assert session.segments() == [("/v;T/film/aes/720p/0.m4s", 48), ("/v;T/film/aes/720p/1.m4s", 48)]
    assert session.key(PERIOD_SEGMENTS) == ("/v;T/film/aes/720p/key/1", 16)


async def test_a_film_has_as_many_pictures_and_slices_to_protect_as_one_the_packager_encodes() -> None:
    program = ffmpeg_path(load({}, {}))
    stream = await ffmpeg.run(program, *film.encoding(6_000_000 * 8 // film.SEGMENT_S, film.SEGMENT_S))
    init, segment = Splitter().feed(stream)
    assert isinstance(segment, Segment) and 5_000_000 < len(segment.data) < 7_000_000
    found = Protector(init.data, 0).map_of(segment.data, 0)
    for scheme in (found.cenc, found.cbcs):
        slices = [len(ranges) for ranges in scheme.samples]
        assert len(slices) == film.SEGMENT_S * film.FPS == 150
        assert set(slices) == {1}
        covered = sum(length for ranges in scheme.samples for _, length in ranges)
        assert 0.9 * len(segment.data) < covered < len(segment.data) - found.payload


async def test_pictures_are_compared_as_others_decrypt_them() -> None:
    program = ffmpeg_path(load({}, {}))
    stream = await ffmpeg.run(program, *film.encoding(400_000, 2 * film.SEGMENT_S))
    init, *segments = [piece.data for piece in Splitter().feed(stream)]
    protector, key, kid = Protector(init, 0), bytes(range(16)), bytes(range(16, 32))
    plain = await ffmpeg.packets(program, stream)
    assert plain.startswith("SHA256=")
    for scheme in SCHEMES:
        head = protected_init(init, scheme, kid)
        sent = [
            encrypted(each, protector.map_of(each, n), scheme, key=key, kid=kid, index=0, position=n)
            for n, each in enumerate(segments)
        ]
        assert await ffmpeg.packets(program, b"".join([head, *sent]), key) == plain
        sent[1] = sent[1][:-1] + bytes([sent[1][-1] ^ 1])
        assert await ffmpeg.packets(program, b"".join([head, *sent]), key) != plain


@pytest.mark.heavy
def test_every_job_runs_and_every_body_is_right(tmp_path: Path) -> None:
    async def all_jobs() -> list[Row]:
        async with running(tmp_path / "data", TINY) as rig:
            return [found for run in JOBS.values() for found in await run(rig)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(all_jobs())
    assert {found.job for found in rows} == set(JOBS)
    assert report.markdown(rows, {})
    requests = next(found for found in rows if found.unit == "requests")
    assert requests.verdict() == "PASS"  # a count, not a time: it holds on any machine
