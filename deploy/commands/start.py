"""`sluice up`, and each service alone: run until told to end."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import click

from deploy import launch
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
edge = _alone("edge", "edges")


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
