"""`sluice edge --plain`: a shared HTTP cache for zones, in this process, with nothing beside it.

It listens, prints one line `ready {…}` and serves until SIGTERM or Ctrl-C; then it finishes what is under
way. Its log goes to stderr. It reads of the settings: host, tls-cert, tls-key, l1-memory, node-name,
trusted-proxies, connections, connections-per-client, drain-limit and log-level.
"""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import click

from deploy import launch, observe, tls_pair, zones_file
from deploy.http_limits import Loop, guard_of
from deploy.layers import SettingError
from deploy.settings import Settings
from edge.deliver.clients import networks
from edge.zone.app import ZoneApp
from edge.zone.zone import Zone

ZONE_HELP: Final = (
    "Paths and the origin that answers for them, as /=http://127.0.0.1:8000; more origins after commas."
    " May be repeated."
)
FIRST_BYTE_HELP: Final = (
    "How long an origin may take until an answer to GET or HEAD begins."
    " [60s for a zone with one origin, 5s where there is another to go to]"
)
PATIENT_S: Final = 60.0  # with one origin: to give up early gains nothing. What nginx and other proxies wait


@dataclass(frozen=True, slots=True)
class Plain:
    """What is to run."""

    zones: tuple[Zone, ...]
    port: int
    settings: Settings


def wanted(
    texts: Sequence[str],
    port: str | None,
    settings: Settings,
    *,
    alone: bool,
    first_byte: str | None = None,
) -> Plain:
    """What these options ask for. SettingError."""
    if not alone or not texts:
        raise SettingError(
            "zone, port, first-byte: give --plain and at least one --zone; zones beside media are in the file"
            " of --zones."
        )
    if settings.zones:
        raise SettingError("zones: a plain edge is told its zones by --zone; leave this setting out.")
    try:
        zones = tuple(Zone.parse(text, private=True) for text in texts)
    except ValueError as error:
        raise SettingError(f"zone: {error}.") from error
    try:
        limit_s = None if first_byte is None else float(zones_file.wait(first_byte))
    except ValueError as error:
        raise SettingError(f"first-byte: {error}.") from error
    zones = tuple(_patient(zone, limit_s) for zone in zones)
    if len({zone.prefix for zone in zones}) < len(zones):
        raise SettingError("zone: two of them have the same prefix: give each its own.")
    if port is not None and not (port.isdigit() and 0 < int(port) < 1 << 16):
        raise SettingError(f"port: {port!r} is no port from 1 to 65535.")
    return Plain(zones, int(port) if port else settings.edge_port(0), settings)


def _patient(zone: Zone, limit_s: float | None) -> Zone:
    """The zone with the limit that was asked for; else with that which fits the number of its origins."""
    if limit_s is None and len(zone.origins) > 1:
        return zone
    return replace(zone, first_byte_s=PATIENT_S if limit_s is None else limit_s)


def run(plain: Plain) -> int:
    """Serves until a signal; the exit code."""
    observe.set_up("edge", plain.settings.log_level)
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(_serve(plain))


async def _serve(plain: Plain) -> int:
    from deploy.serve import Server, config

    settings = plain.settings
    app = ZoneApp(
        plain.zones,
        name=f"{settings.node_name}-edge-1",
        memory_bytes=settings.l1_memory,
        now=time.time,
        trusted=networks(map(str, settings.trusted_proxies)),
    )
    tls = None
    if settings.tls_cert and settings.tls_key:
        tls_pair.check(settings.tls_cert, settings.tls_key)
        tls = (str(settings.tls_cert), str(settings.tls_key))
    guard = guard_of(app, settings, "edge", plain=True)
    listening = launch.listen(settings.host, plain.port, "this edge")

    class Announced(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            address = f"{'https' if tls else 'http'}://{settings.reached(settings.host)}:{plain.port}"
            click.echo(f"ready {json.dumps({'edges': [address]})}")

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Ended by a signal, it has ended as it was told to: the signal is not raised again."""
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    server = Announced(config(app, tls=tls, guard=guard, finish_s=settings.drain_limit))
    await server.serve(sockets=[listening])
    return 0 if server.started else 1
