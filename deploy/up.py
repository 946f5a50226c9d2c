"""A running system: Redis servers, services and edges under one supervisor, from settings to the end.

    async with started(settings, services) as system: ...

Entering returns when everything answers; leaving ends it all. Signals and printing are the commands'.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx

from deploy import counters, launch, redis, running
from deploy.assemble import counters_of
from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.supervise import Supervisor
from keys import secrets as secret_files

READY_WITHIN_S: Final = 60.0


@dataclass
class System:
    """What runs: its addresses as `run.json` has them, and the supervisor to wait on."""

    settings: Settings
    layout: Layout
    addresses: dict[str, object]
    supervisor: Supervisor
    started_s: float  # seconds it took until everything answered

    def ready_line(self) -> str:
        """What `sluice up` prints once everything serves."""
        return f"ready {json.dumps(self.addresses)}"


@contextlib.asynccontextmanager
async def started(
    settings: Settings, services: Sequence[str], ended: asyncio.Event | None = None
) -> AsyncIterator[System]:
    """These services, running and answering. SettingError or ChildFailed when that cannot be.

    `ended` is set by whoever wants the end (Stopped if that is before everything answers), or by a failure.
    """
    began = time.monotonic()
    layout = Layout(settings)
    what = "up" if set(services) == set(launch.ALL_SERVICES) else "-".join(services)
    with contextlib.ExitStack() as stack:
        stack.enter_context(running.alone(layout.data, what))
        supervisor = Supervisor(layout.logs, ended=ended, echo=settings.verbose)
        try:
            effective = await _prepare(settings, layout, services, supervisor)
            specs, sockets = launch.children(effective, services)
            stack.callback(launch.close_all, sockets)
            supervisor.add(specs)
            for name, url in launch.health_urls(effective, services).items():
                await _answering(supervisor, name, url)
            addresses = launch.addresses(effective, services)
            stack.enter_context(running.announced(layout.data, addresses))
            yield System(effective, layout, addresses, supervisor, time.monotonic() - began)
        finally:
            await supervisor.stop()
            _clear_memory(settings, layout, services)


async def _prepare(
    settings: Settings, layout: Layout, services: Sequence[str], supervisor: Supervisor
) -> Settings:
    """Secrets, counters and Redis before the services; the settings with the Redis addresses in them."""
    if "keys" in services:
        try:
            secret_files.load_or_create(layout.secrets)
        except secret_files.BadSecret as error:
            raise SettingError(str(error)) from error
        counters.clear(layout.keys / "counters")
    if "edge" not in services:
        return settings
    for index in range(settings.edges):
        counters.clear(counters_of(layout, index))
    plan = redis.plan(settings)
    supervisor.add(plan.children)
    for url in {plan.cache_url, plan.control_url} - {None}:
        if url and url.startswith("unix://") and plan.children:
            await supervisor.wait_until(partial(redis.answers, url), "Redis", READY_WITHIN_S)
    effective = {"redis": plan.cache_url or "none", "redis_control": plan.control_url or "none"}
    return settings.model_copy(update=effective)


async def _answering(supervisor: Supervisor, name: str, url: str) -> None:
    # Asks our own listening socket whether anybody serves on it: whose certificate that is does not matter.
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=2.0) as client:  # noqa: S501

        async def healthy() -> bool:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except (httpx.HTTPError, OSError):
                return False

        await supervisor.wait_until(healthy, name, READY_WITHIN_S)


def _clear_memory(settings: Settings, layout: Layout, services: Sequence[str]) -> None:
    """Gives the RAM of the first cache level back: a tmpfs would hold it after we ended."""
    if "edge" in services:
        for index in range(settings.edges):
            shutil.rmtree(layout.l1(index), ignore_errors=True)
        with contextlib.suppress(OSError):
            layout.l1(0).parent.rmdir()


def free_port_base(edges: int, first: int = 20_000, last: int = 60_000) -> int:
    """A port base at which every port this system needs is free now; for tests and the demo."""
    for base in range(first, last, 20):
        ports = [base, base + 1, base + 2, *(base + 10 + i for i in range(edges))]
        if all(_free(port) for port in ports):
            return base
    raise SettingError("port-base: no free ports were found.")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
