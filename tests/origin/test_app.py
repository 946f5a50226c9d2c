"""The origin as a whole: health, one shape of refusal, headers, and what is left over at a start."""

from pathlib import Path
from typing import Any

import imageio_ffmpeg

from keys.client import KeysClient
from keys.nodes import NodeIdentity
from origin.app import create_app
from origin.incoming import Incoming
from origin.ingest.convert import Settings
from origin.ingest.jobs import Jobs
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.support.serving import served


async def test_health_and_counters_are_open(origin: Any) -> None:
    async with origin.http as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        metrics = await http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "sluice_origin_blob_requests_total 0.0" in metrics.text


async def test_h36_every_refusal_has_one_shape(origin: Any) -> None:
    async with origin.admin as http:
        answers = {
            404: await http.get("/nothing/here"),
            405: await http.put("/v1/assets"),
            400: await http.get("/v1/assets/NOT-AN-ID"),
        }
    for status, answer in answers.items():
        assert answer.status_code == answer.json()["status"] == status
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["id"] == answer.headers["sluice-request-id"]
    assert "GET" in answers[405].headers["allow"]
    assert "NOT-AN-ID" not in answers[400].text


async def test_h37_answers_tell_browsers_to_be_careful(origin: Any) -> None:
    async with origin.http as http:
        headers = (await http.get("/healthz")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


async def test_a_start_removes_files_nobody_owns_and_keeps_the_queued_ones(tmp_path: Path) -> None:
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    incoming = Incoming(tmp_path / "incoming", max_bytes=1)
    owned, orphan = incoming.directory / ("a" * 32), incoming.directory / ("b" * 32 + ".part")
    owned.write_bytes(b"whole")
    orphan.write_bytes(b"half")
    await catalogue.create(source_name="a.mp4", id="a", upload_path=owned, upload_bytes=5, state="queued")
    await catalogue.set_state("a", "cancelled")
    keys = KeysClient("http://127.0.0.1:9")
    blobs = LocalBlobs(tmp_path / "blobs")
    identity = NodeIdentity.load_or_create(tmp_path / "node.json", "origin-0", "origin")
    settings = Settings(ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe()))
    jobs = Jobs(catalogue=catalogue, blobs=blobs, keys=keys, identity=identity, settings=settings)
    app = create_app(
        catalogue=catalogue, blobs=blobs, jobs=jobs, incoming=incoming, trust=keys.trust, admin_token="t" * 43
    )
    async with served(app):
        assert list(incoming.directory.iterdir()) == [owned]
    await keys.close()
    await catalogue.close()
