"""What the check stands on: the running system with its operator's rights, its site's key, its processes.

The system must run on this machine under one supervisor (`sluice up` or `sluice demo`), because the check
reads its files and signals its processes.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deploy.commands.links import make_link
from deploy.commands.operator import Operator
from deploy.counters import read_counters
from deploy.demo.check.report import NotShown
from keys.client import KeysClient, node_credential
from keys.container import split_token
from keys.leases import Lease
from keys.nodes import NodeIdentity

EDGES: Final = 2
_SERVE: Final = re.compile(rb"deploy\.serve\0(\w+)\0.*?--index\0(\d+)\0", re.DOTALL)


@dataclass(frozen=True)
class Ground:
    """A running system and the film the check plays on it."""

    operator: Operator
    ffmpeg: str
    asset: str = ""

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.operator.running.data

    @property
    def edges(self) -> tuple[str, ...]:
        """Base URLs of the edges the check uses."""
        return self.operator.running.edges[:EDGES]

    def link(self, asset: str, viewer: str, *, first: int = 0, **how: Any) -> str:
        """A signed link that begins at edge `first` (from 0) and is good at all edges."""
        every = self.operator.running.edges
        order = [every[first], *(edge for edge in every if edge != every[first])]
        return make_link(self.data, asset, order, viewer=viewer, **how)

    async def revoke(self, kind: str, value: str) -> None:
        """Takes back what this names, as an operator does."""
        body = {"kind": kind, "value": value}
        await asyncio.to_thread(self.operator.keys, "POST", "/v1/revocations", json=body)

    async def lease(self, url: str) -> Lease:
        """What an edge is lent for a session: from it come the pace and the viewer in force.

        `url` is the session's own playlist. Asks with the identity of the first edge.
        """
        file = self.data / "edge-1" / "node.json"
        identity = NodeIdentity.load_or_create(file, json.loads(file.read_text())["name"], "edge")
        plain, token = split_token(url)
        base = self.operator.running.keys
        if base is None:
            raise NotShown("No keys service runs here.")
        async with KeysClient(base, node_credential(identity, time.time)) as keys:
            return await keys.lease(token, plain)

    async def counters(self, base: str) -> dict[str, float]:
        """The Prometheus counters a service shows, labels left out."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return read_counters((await client.get(f"{base}/metrics")).text)

    def workers(self, edge: int) -> list[int]:
        """Process IDs of the workers of an edge, by its index."""
        return self._processes("edge", edge)

    def origin_process(self) -> int:
        """Process ID of the origin. NotShown when it does not run here."""
        found = self._processes("origin", 0)
        if not found:
            raise NotShown("The origin's process is not on this machine.")
        return found[0]

    def on_loopback(self) -> bool:
        """Whether the edges are reached over 127.0.0.0/8, where a client may choose its network."""
        return all((urlsplit(edge).hostname or "").startswith("127.") for edge in self.edges)

    def _processes(self, service: str, index: int) -> list[int]:
        found = []
        for pid in children(self.operator.running.pid):
            try:
                words = _SERVE.search(Path(f"/proc/{pid}/cmdline").read_bytes())
            except OSError:
                continue  # it ended while we looked
            if words and (words[1].decode(), int(words[2])) == (service, index):
                found.append(pid)
        return found


def children(pid: int) -> list[int]:
    """The processes a process started that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue  # a thread that ended
    return found
