"""Logs hold no token, and counters of many workers add up."""

import json
import logging
from pathlib import Path

import pytest

from deploy import counters, observe
from deploy.counters import Counters

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJzaXRlIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "line",
    [
        f"GET /v;URISigningPackage={TOKEN}/film/main.m3u8",
        f"authorization: Bearer {TOKEN}",
        "Authorization: bearer 0123456789abcdef-_~+/=",
        f"refused {TOKEN}",
        "postgresql://sluice:hunter22222@db/sluice",
    ],
)
def test_t12_no_token_or_password_survives_in_a_log_line(line: str) -> None:
    clean = observe.scrub(line)
    assert "…" in clean
    for secret in (TOKEN, "c2lnbmF0dXJl", "0123456789abcdef", "hunter22222"):
        assert secret not in clean


def test_a_log_line_is_json_with_its_service_and_without_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    try:
        observe.set_up("edge-1.0", "info")
        logging.getLogger("sluice.x").warning("link %s", f"/v;URISigningPackage={TOKEN}/f")
    finally:
        root.handlers, root.level = before, level
    line = json.loads(capsys.readouterr().err)
    assert (line["service"], line["level"], line["event"]) == (
        "edge-1.0",
        "warning",
        "link /v;URISigningPackage=…/f",
    )


def test_counters_of_workers_add_up_and_survive_the_death_of_one(tmp_path: Path) -> None:
    meanings = {"requests": "requests answered", "bytes": "bytes sent"}
    workers = [Counters(tmp_path / "c", worker, meanings, "sluice_edge_") for worker in range(3)]
    for worker in workers:
        worker.count("requests")
        worker.count("bytes", 5_000_000_000)
    reborn = Counters(tmp_path / "c", 1, meanings, "sluice_edge_")
    reborn.count("requests")
    assert workers[0].totals() == {"requests": 4, "bytes": 15_000_000_000}
    assert "sluice_edge_requests_total 4.0" in reborn.render()
    counters.clear(tmp_path / "c")
    assert Counters(tmp_path / "c", 0, meanings, "x_").totals() == {"requests": 0, "bytes": 0}


def test_a_counter_that_is_not_in_the_table_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Counters(tmp_path, 0, {"a": "b"}, "x_").count("c")


def test_f18_a_worker_and_the_one_that_replaces_it_count_in_files_of_their_own(tmp_path: Path) -> None:
    old, new = (Counters(tmp_path, 0, {"a": "b"}, "x_") for _ in range(2))
    for worker in (old, new, old):
        worker.count("a")
    assert new.totals() == {"a": 3}
    assert {path.name for path in tmp_path.iterdir()} == {"0.counters", "0-1.counters"}
