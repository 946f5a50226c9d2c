"""A running system: Redis servers, services and edges under one supervisor, from settings to the end.

    async with started(settings, services) as system: ...

Entering returns when everything answers; leaving ends it all. Signals and printing are the commands'.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx

from deploy import counters, launch, redis, running, tls_pair
from deploy.assemble import counters_of
from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.supervise import Supervisor
from deploy.zones_file import zones_of
from keys import secrets as secret_files

READY_WITHIN_S: Final = 60.0
GRACE_S: Final = 5.0  # beyond drain-limit, before a child is killed
NOTICE: Final = signal.SIGUSR1  # to a worker: say that you are going to end, and go on

log = logging.getLogger("sluice.up")


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

    async def replace_workers(self) -> list[str]:
        """Replaces every worker of the edges, one after the other, without a failed request; their names.

        ChildFailed when a new one does not come to serve: that one and those after it stay as they were.
        """
        for name in (names := self._cache_workers()):
            await self.supervisor.replace(name)
            log.info("%s replaced", name)
        return names

    def _cache_workers(self) -> list[str]:
        services = [
            name for name in ("edge", "shield") if {"edge": "edges"}.get(name, name) in self.addresses
        ]
        return launch.cache_workers(self.settings, services)

    async def give_notice(self) -> None:
        """Has the edges tell load balancers that they are going to end, for as long as the settings say."""
        if self.settings.drain_notice and not self.supervisor.failed and self._cache_workers():
            for name in self._cache_workers():
                self.supervisor.signal(name, NOTICE)
            await asyncio.sleep(self.settings.drain_notice)


@contextlib.asynccontextmanager
async def started(
    settings: Settings, services: Sequence[str], ended: asyncio.Event | None = None
) -> AsyncIterator[System]:
    """These services, running and answering. SettingError or ChildFailed when that cannot be.

    `ended` is set by whoever wants the end (Stopped if that is before everything answers), or by a failure.
    """
    began = time.monotonic()
    layout = Layout(settings)
    if "edge" in services:
        zones_of(settings)  # said before anything starts
    if "edge" in services and settings.tls_cert and settings.tls_key:
        tls_pair.check(settings.tls_cert, settings.tls_key)
    with contextlib.ExitStack() as stack:
        stack.enter_context(running.alone(layout.data, services))
        grace_s = settings.drain_limit + GRACE_S
        supervisor = Supervisor(layout.logs, ended=ended, echo=settings.verbose, grace_s=grace_s)
        inherited: list[launch.Inherited] = []
        try:
            effective = await _prepare(settings, layout, services, supervisor)
            specs, inherited = launch.children(effective, services)
            supervisor.add(specs)
            for name, url in launch.health_urls(effective, services).items():
                await _answering(supervisor, name, url)
            addresses = launch.addresses(effective, services)
            stack.enter_context(running.announced(layout.data, addresses | _further(effective, services)))
            system = System(effective, layout, addresses, supervisor, time.monotonic() - began)
            yield system
            await system.give_notice()
        finally:
            ending = asyncio.ensure_future(supervisor.stop())
            await asyncio.sleep(0)  # from here on nothing is started that would inherit these
            launch.close_all(inherited)  # so that who comes now is refused, not left in the queue
            await ending
            _clear_memory(settings, layout, services)


def _further(settings: Settings, services: Sequence[str]) -> dict[str, object]:
    """What commands are to know besides the addresses."""
    if "edge" in services:
        return {"port_base": settings.port_base}
    return {"known_edges": list(settings.public_bases)} if "keys" in services else {}


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
    if "shield" in services:
        counters.clear(layout.shield / "counters")
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
    if "shield" in services:
        shutil.rmtree(layout.shield_l1, ignore_errors=True)
        with contextlib.suppress(OSError):
            layout.shield_l1.parent.rmdir()


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
