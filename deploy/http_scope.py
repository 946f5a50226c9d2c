"""ASGI's description of a request (HTTP connection scope), made of its head and its connection."""

from typing import Any, Final
from urllib.parse import unquote

from edge.guard.head import Head

ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
INTERIM: Final = "http.response.interim"  # ours: a head of 1xx, in a scope whose extensions name it
EXTENSIONS: Final[dict[str, Any]] = {INTERIM: {}}

Address = tuple[str, int | None] | None


def scope_of(
    head: Head, server: Address, client: Address, scheme: str, state: dict[str, Any]
) -> dict[str, Any]:
    """The scope of a request; `state` is the application's, which gets a copy."""
    path = head.path.decode("ascii")
    return {
        "type": "http",
        "asgi": ASGI,
        "http_version": head.version,
        "server": server,
        "client": client,
        "scheme": scheme,
        "root_path": "",
        "headers": head.fields,
        "state": state.copy(),
        "extensions": EXTENSIONS,
        "method": head.method,
        "path": unquote(path) if "%" in path else path,
        "raw_path": head.path,
        "query_string": head.query,
    }
