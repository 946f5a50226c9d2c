"""A small site without a proxy: `sluice up --tls-cert … --tls-key …`, from the link to the last frame."""

import ssl
from pathlib import Path

import httpx

from tests.support.certificates import self_signed
from tests.support.films import make_film
from tests.support.packaged import Packaged
from tests.support.system import running
from tests.support.viewer import Viewer


async def test_a_film_plays_over_the_edges_own_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--redis", "none")
    with running(tmp_path / "data", *options, workers=1) as system:
        film = system.add(make_film(tmp_path / "film.mp4", seconds=8, size="320x180", audio=False), "film")
        link = system.link(film)
        assert link.startswith("https://127.0.0.1:") and system.edges == [link.split("/v;")[0]]
        client = httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(certificate)), timeout=60)
        async with Viewer(link, client) as viewer:
            await viewer.opened()
            stored = await Packaged.of(system.data, film)
            for rendition in viewer.renditions():
                assert await viewer.whole(rendition) == stored.whole(rendition)
            answer = await viewer.get(viewer.url)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
