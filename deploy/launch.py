"""What to start for a set of services: listening sockets and child processes. Decides; `deploy.up` does.

The supervisor listens and its children inherit: the workers of an edge share one socket, and a connection
that arrives while a worker is being replaced waits in the queue instead of being refused.
"""

import errno
import io
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.child import ChildSpec
from deploy.layers import SettingError
from deploy.settings import Settings
from edge.deliver.node_memory import new_memory

Inherited = socket.socket | io.FileIO

ALL_SERVICES: Final = ("keys", "origin", "admin", "edge")
ROOT: Final = Path(__file__).parent.parent
_OFFSETS: Final = {"keys": 0, "origin": 1, "admin": 2, "shield": 3, "ingest": 4}
_STAGES: Final = {
    "edge": 0,
    "admin": 0,
    "shield": 1,
    "origin": 1,
    "ingest": 1,
    "keys": 1,
}  # edges finish what they serve with the others


def workers(settings: Settings) -> int:
    """Worker processes of each edge."""
    return settings.workers or len(os.sched_getaffinity(0))


def shield_workers(settings: Settings) -> int:
    """Worker processes of a shield: one where it has zones, whose answers each worker keeps for itself."""
    return 1 if settings.zones else workers(settings)


def addresses(settings: Settings, services: Iterable[str]) -> dict[str, object]:
    """The `ready` line's content: where these services answer."""
    found: dict[str, object] = {}
    for service in services:
        if service == "edge":
            found["edges"] = list(settings.public_bases)
        else:
            found[service] = getattr(settings, service)
    return found


def health_urls(settings: Settings, services: Iterable[str]) -> dict[str, str]:
    """{name: URL that answers 200 once the service serves}, on the addresses they listen on."""
    found: dict[str, str] = {}
    for service in services:
        if service == "edge":
            scheme = "https" if settings.tls_cert else "http"
            for index in range(settings.edges):
                host = settings.reached(settings.host)
                found[f"edge-{index + 1}"] = f"{scheme}://{host}:{settings.edge_port(index)}/healthz"
        else:
            host = settings.reached(settings.service_host)
            found[service] = f"http://{host}:{settings.port_base + _OFFSETS[service]}/healthz"
    return found


def children(settings: Settings, services: Iterable[str]) -> tuple[list[ChildSpec], list[Inherited]]:
    """The processes of these services and what they inherit, which must stay open meanwhile.

    That is the sockets they listen on and, for each edge and a shield, the memory its workers share.

    SettingError when a port cannot be had.
    """
    specs: list[ChildSpec] = []
    sockets: list[Inherited] = []
    given = settings.model_dump_json().encode()
    for service in services:
        if service == "edge":
            for index in range(settings.edges):
                listening = listen(settings.host, settings.edge_port(index), f"edge {index + 1}")
                shared = new_memory()
                sockets += [listening, shared]
                specs += [
                    _spec(f"edge-{index + 1}.{worker}", "edge", listening, given, index, worker, shared)
                    for worker in range(workers(settings))
                ]
        else:
            listening = listen(settings.service_host, settings.port_base + _OFFSETS[service], service)
            sockets.append(listening)
            if service == "shield":
                shared = new_memory()
                sockets.append(shared)
                specs += [
                    _spec(f"shield.{worker}", service, listening, given, 0, worker, shared)
                    for worker in range(shield_workers(settings))
                ]
            else:
                specs.append(_spec(service, service, listening, given))
    return specs, sockets


def cache_workers(settings: Settings, services: Iterable[str]) -> list[str]:
    """Names of the children that are workers of edges, or of the shield."""
    edges = range(settings.edges) if "edge" in services else ()
    names = [f"edge-{index + 1}.{worker}" for index in edges for worker in range(workers(settings))]
    own = shield_workers(settings) if "shield" in services else 0
    return names + [f"shield.{worker}" for worker in range(own)]


def environment() -> dict[str, str]:
    """What Python children need besides: this checkout, and nothing of the folder they start in."""
    return {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def close_all(sockets: Sequence[Inherited]) -> None:
    """Gives ports and memory back."""
    for each in sockets:
        each.close()


def _spec(
    name: str,
    service: str,
    listening: socket.socket,
    given: bytes,
    index: int = 0,
    worker: int = 0,
    shared: io.FileIO | None = None,
) -> ChildSpec:
    fds = [listening.fileno()]
    argv = [sys.executable, "-m", "deploy.serve", service, "--fd", str(fds[0])]
    argv += ["--index", str(index), "--worker", str(worker)]
    if shared is not None:
        fds.append(shared.fileno())
        argv += ["--shared-fd", str(fds[-1])]
    return ChildSpec(name, argv, environment(), fds, given, _STAGES[service])


def listen(host: str, port: int, what: str) -> socket.socket:
    """A socket that listens there, for `what`. SettingError when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # only from here on is the port refused to others that may share a bound one
    except OSError as error:
        listening.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise SettingError(
            f"port-base: port {port} of {host} for {what} {reason}: choose another with --port-base."
        ) from error
    listening.set_inheritable(True)
    return listening
