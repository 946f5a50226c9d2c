"""Zones as an operator has them: a file, `sluice up` with two workers, any origin behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.stub_bucket import BODY, Bucket, bucket_in_a_thread
from tests.support.system import System, running


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with bucket_in_a_thread() as found:
        yield found


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket) -> Iterator[System]:
    """`sluice up` with a public zone and a signed one."""
    folder = tmp_path_factory.mktemp("zones")
    file = folder / "zones.toml"
    file.write_text(
        f'[zones.press]\norigins = ["{bucket.url}"]\nprivate = true\nhost = "press.example"\nquery = "none"\n'
        f'[zones.courses]\norigins = ["{bucket.url}"]\nprivate = true\naccess = "signed"\n'
    )
    with running(folder / "data", "--zones", str(file), workers=2) as system:
        yield system


@contextlib.asynccontextmanager
async def fresh_connections(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Each request on a connection of its own, so that both workers are met."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=system.edges[0], limits=limits, timeout=20) as client:
        yield client


async def test_a_zone_is_served_beside_media_by_every_worker(zoned: System, bucket: Bucket) -> None:
    async with fresh_connections(zoned) as client:
        answers = [await client.get("/z/press/a", params={"n": str(n)}) for n in range(30)]
        answers += [await client.get("/a", headers={"host": "press.example"}) for _ in range(10)]
        health = await client.get("/healthz")
    assert {each.status_code for each in answers} == {200}
    assert all(each.content == BODY for each in answers)
    assert 1 <= bucket.asked.count("/a") <= 2  # once a worker
    counts = zoned.counts()
    assert counts["zone_requests"] == 40 and counts["zone_hits"] >= 38
    assert health.json()["status"] == "ok"


async def test_a_purge_on_the_command_line_reaches_the_edge_and_nothing_else_goes(
    zoned: System, bucket: Bucket
) -> None:
    async with fresh_connections(zoned) as client:

        async def asked(path: str) -> int:
            """How often the origin is, for some requests."""
            before = bucket.asked.count(path)
            for _ in range(8):
                answer = await client.get(f"/z/press{path}")
                assert answer.content == BODY and "surrogate-key" not in answer.headers
            return bucket.asked.count(path) - before

        await asked("/img/c")
        for words in (
            [f"{zoned.edges[0]}/z/press/img/b"],
            ["--zone", "press", "--prefix", "/img/b", "--soft"],
            ["--zone", "press", "--key", "key-of-/img/b"],
        ):
            while await asked("/img/b"):  # until every worker that is met has it
                pass
            told = await asyncio.to_thread(zoned.sluice, "purge", *words)
            assert told.returncode == 0, told.stderr

            async def gone() -> bool:
                return await asked("/img/b") > 0

            await eventually(gone, within_s=10)
        await asked("/img/c")
        assert bucket.asked.count("/img/c") <= 2, "once a worker"


async def test_all_workers_ask_once_through_redis_also_after_its_keys_were_rotated(
    zoned: System, bucket: Bucket
) -> None:
    numbers = iter(range(1000))

    async def once() -> bool:
        path = f"/shared-{next(numbers)}"
        async with fresh_connections(zoned) as client:
            answers = await asyncio.gather(*(client.get(f"/z/press{path}") for _ in range(12)))
        assert all(each.content == BODY for each in answers)
        return bucket.asked.count(path) == 1

    async def many() -> bool:
        return all([await once() for _ in range(4)])

    await eventually(many, within_s=30)
    assert zoned.counts()["zone_l2_hits"] > 0
    told = await asyncio.to_thread(zoned.sluice, "rotate", "region")
    assert told.returncode == 0, told.stderr
    await eventually(many, within_s=30)
    values = (await zoned.redis_values()).items()
    assert values and not any(BODY[:64] in value or b"press" in name for name, value in values)


async def test_a_signed_zone_opens_with_a_link_until_it_is_taken_back(zoned: System, bucket: Bucket) -> None:
    link = zoned.link("courses/week-1/a.mp4", "--zone", "--for", "1h", "--below")
    other = zoned.link("courses/week-1/a.mp4", "--zone")
    async with fresh_connections(zoned) as client:
        for url in [link, link.replace("a.mp4", "b/c.mp4")] * 4:
            got = await client.get(url)
            assert got.status_code == 200 and got.content == BODY
            assert got.headers["cache-control"] == "private, max-age=60"
        for url in (f"{zoned.edges[0]}/z/courses/week-1/a.mp4", link.replace("week-1", "week-2")):
            assert (await client.get(url)).status_code == 403
        assert 1 <= bucket.asked.count("/week-1/b/c.mp4") <= 2
        told = await asyncio.to_thread(zoned.sluice, "revoke", link)
        assert told.returncode == 0, told.stderr

        async def stopped() -> bool:
            answers = [await client.get(link) for _ in range(8)]
            return all(each.status_code == 403 and each.json()["code"] == "revoked" for each in answers)

        await eventually(stopped, within_s=10)
        assert (await client.get(other)).status_code == 200
    assert not any("URISigningPackage" in path for path in bucket.asked)


async def test_a_link_renewed_by_cookie_goes_on_at_either_worker_until_its_viewer_is_taken_back(
    zoned: System, bucket: Bucket
) -> None:
    words = ("courses/week-1/", "--zone", "--below", "--viewer", "anna", "--renew", "cookie", "--renew-for")
    link = await asyncio.to_thread(zoned.link, *words, "20s")
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=20, follow_redirects=True) as browser:
        first = await browser.get(link + "a.html")
        assert (first.status_code, first.content) == (200, BODY) and len(first.history) == 1
        for number in range(12):
            got = await browser.get(f"{zoned.edges[0]}/z/courses/week-1/b-{number % 2}.html")
            assert (got.status_code, got.content) == (200, BODY)
            assert "Path=/z/courses/week-1; HttpOnly; SameSite=Lax" in got.headers["set-cookie"]
        assert (await browser.get(f"{zoned.edges[0]}/z/courses/week-2/a.html")).status_code == 403
        token = next(each.value for each in browser.cookies.jar)
        assert token is not None
        values = await zoned.redis_values()
        signature = token.rpartition(".")[2].encode()
        assert not any(signature in value or b"Set-Cookie" in value for value in values.values())
        told = await asyncio.to_thread(zoned.sluice, "revoke", "viewer:anna")
        assert told.returncode == 0, told.stderr

        async def refused() -> bool:
            got = await browser.get(f"{zoned.edges[0]}/z/courses/week-1/b-0.html")
            return got.status_code == 403 and got.json()["code"] == "revoked"

        await eventually(refused, within_s=15)
        assert (await browser.get(link + "a.html")).json()["code"] == "revoked"
