"""Every target over a real socket: refused, or exactly the one object it names (SECURITY T5)."""

import asyncio

from tests.edge.deliver.test_path import NOWHERE, ODD, T
from tests.edge.parts import World
from tests.support.wire import Answer, answers, said

OUTSIDE = [
    "/watch/../secret.html",
    "/watch/..%2fsecret.html",
    "/watch/%2e%2e/secret.html",
    "/watch/..\\secret.html",
    "/watch/%2e%2e%2fsecret.html",
    "/watch/....//secret.html",
    "/watch/vendor/../../secret.html",
    "/watch//secret.html",
    "//watch/",
    "/watch/%00index.html",
    "/watch/index.html%00",
    "/watch/%c0%ae%c0%ae/secret.html",
    "/watch/%252e%252e/secret.html",
    "/watch/..;/secret.html",
    "/watch/notes.txt",
    "/secret.html",
    "/watch/./index.html",
    "/%2e%2e/secret.html",
    "/..",
    "/../../etc/passwd",
    "/watch/\xff",
    "/.",
    "/watch%2findex.html",
]


async def got(edge: World, target: str) -> Answer:
    lines = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    [told] = answers(await said(edge.url, lines.encode("latin-1")))
    return told


async def test_t5_every_path_is_refused_or_exactly_the_canonical_object(edge: World) -> None:
    base = edge.session().removeprefix(edge.url)
    token = base.split("URISigningPackage=")[1].split("/")[0]
    canonical = await got(edge, base + "720p/5.m4s")
    assert canonical.status == 200
    assert len(ODD + NOWHERE + OUTSIDE) >= 60

    async def probe(target: str) -> None:
        real = target.replace(T, token).replace("/7.m4s", "/5.m4s")
        told = await got(edge, real)
        if told.status == 200:  # what stands after a question mark is no part of the path
            assert "?" in real and told.body == canonical.body, target
        else:
            assert told.status in ((400,) if target in ODD else (400, 403)), (target, told.status)

    for target in ODD + NOWHERE:
        await probe(target)


async def test_t5_nothing_outside_the_page_is_ever_served(edge: World) -> None:
    found = await asyncio.gather(*(got(edge, target) for target in OUTSIDE))
    assert {told.status for told in found} <= {400, 404}
    assert not any(b"outside" in told.body or b"not for viewers" in told.body for told in found)
    assert (await got(edge, "/watch/index.html")).status == 200
