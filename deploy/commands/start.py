"""`sluice up`, and each service alone: run until told to end."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import click

from deploy import launch, plain
from deploy.commands.options import setting_options, settings_from
from deploy.commands.restart import Restarting
from deploy.settings import Settings
from deploy.supervise import Stopped
from deploy.up import started


@click.command()
@setting_options(None)
def up(**given: Any) -> int:
    """Run everything: keys, origin, admin console, edges with their workers, Redis.

    Prints one line `ready {…}` on stdout when everything answers. Ends on SIGTERM or Ctrl-C, after the
    answers under way. On SIGHUP every worker of the edges is replaced, one after the other.
    """
    return run(settings_from(given), launch.ALL_SERVICES)


def _alone(service: str, does: str) -> click.Command:
    def command(**given: Any) -> int:
        return run(settings_from(given), (service,))

    command.__doc__ = f"Run {does} alone, the same way `up` does."
    return click.command(name=service)(setting_options(service)(command))


keys = _alone("keys", "the keys service")
origin = _alone("origin", "the origin service")
admin = _alone("admin", "the admin console")


@click.command()
@setting_options("ingest")
def ingest(**given: Any) -> int:
    """Work on the queue of ingest and nothing else: a second process, or another machine, beside the origin.

    It needs the origin's catalogue and blobs. Uploads of this machine, or with `uploads-shared` of all, it
    takes from the folder where they lie; docs/deployment.md tells how machines share that. Its /healthz is at
    port-base + 4.
    """
    return run(settings_from(given), ("ingest",))


@click.command()
@setting_options("shield")
def shield(**given: Any) -> int:
    """Run a shield: a cache of sealed media between edges and the origin.

    Edges that have its address in `shields` ask it first; it asks the origin once for all of them. It holds
    no keys, enrols with the join token of edges, and listens on port-base + 3. docs/deployment.md tells where
    one is worth it.
    """
    return run(settings_from(given), ("shield",))


@click.command()
@click.option("--zone", "plain_zones", multiple=True, metavar="PREFIX=URL", help=plain.ZONE_HELP)
@click.option("--plain", "alone", is_flag=True, help="Be a cache for zones and nothing else.")
@click.option("--port", metavar="PORT", help="Where a plain edge listens. [port-base + 10]")
@click.option("--first-byte", metavar="DURATION", help=plain.FIRST_BYTE_HELP)
@setting_options("edge")
def edge(
    plain_zones: tuple[str, ...], alone: bool, port: str | None, first_byte: str | None, **given: Any
) -> int:
    """Run edges alone, the same way `up` does; or, with --plain, a shared HTTP cache in one process.

    `sluice edge --port 8080 --zone /=http://127.0.0.1:8000 --plain` is a reverse-proxy cache in front of any
    HTTP origin: no keys service, no tokens, no Redis, nothing on disk. docs/zones.md says what it does.
    """
    if alone or plain_zones or port is not None or first_byte is not None:
        return plain.run(
            plain.wanted(plain_zones, port, settings_from(given), alone=alone, first_byte=first_byte)
        )
    return run(settings_from(given), ("edge",))


def run(settings: Settings, services: Sequence[str]) -> int:
    """Runs these services until a signal; the exit code."""
    return asyncio.run(_run(settings, services))


def ended_by_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. In a running loop."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended


async def _run(settings: Settings, services: Sequence[str]) -> int:
    ended = ended_by_signals()
    try:
        async with started(settings, services, ended) as system:
            if "admin" in services:
                click.echo(f"The admin token is in {system.layout.secrets / 'admin-token'}", err=True)
            click.echo(f"Logs are in {system.layout.logs}", err=True)
            terminal = 0 if os.isatty(0) else None
            restarting = Restarting(system, terminal, ended)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, restarting)
            click.echo(f"ready {json.dumps(system.addresses)}")
            await ended.wait()
            if system.supervisor.failed:
                click.echo(f"sluice: {system.supervisor.failed}", err=True)
                return 1
    except Stopped:
        return 0
    return 0
