"""How an edge is asked for its health and its metrics, for `sluice stats` and the admin page.

Metrics are for the edge's own machine: the public way, which may lead through a proxy, is tried first, then
where an edge of this machine listens on loopback.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deploy.counters import read_counters
from deploy.histograms import read_buckets
from deploy.settings import FIRST_EDGE_PORT
from deploy.stats import EDGE, EdgeRead, Metrics
from deploy.zone_stats import read_zones
from deploy.zone_tops import Said

ANSWER_S: Final = 2.0
FIRST_BYTE: Final = "first_byte_seconds"
AWAY: Final = "no answer"


@dataclass(frozen=True, slots=True)
class Health:
    """What /healthz/new says."""

    status: str  # ok, limited (no new sessions), unable; or no answer
    new_sessions: bool
    node: str = ""  # the edge's name among nodes, which every answer of it carries
    wrong: tuple[str, ...] = ()  # what is not as it should be, such as "keys: …"


def client() -> httpx.AsyncClient:
    """For our own listening sockets: whose certificate they show does not matter."""
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=ANSWER_S)  # noqa: S501


async def read_edge(http: httpx.AsyncClient, public: str, index: int, port_base: int | None) -> EdgeRead:
    """The edge of this index; `port_base` is the port base of this machine, None when none is known."""
    return (await read_edge_and_health(http, public, index, port_base))[0]


async def read_edge_and_health(
    http: httpx.AsyncClient, public: str, index: int, port_base: int | None
) -> tuple[EdgeRead, Health]:
    """The same, and all it says of its health: that goes the public way too, without metrics."""
    for base in (public, *_here(index, port_base)):
        text = await metrics_text(http, base)
        metrics = named(text, EDGE)
        if metrics is not None:
            health = await _health(http, base)
            first_byte, zones = read_buckets(text, EDGE + FIRST_BYTE, "class"), read_zones(text)
            return EdgeRead(public, health.status, metrics, first_byte, health.node, zones), health
    health = await _health(http, public)
    return EdgeRead(public, health.status, None, node=health.node), health


async def metrics_text(http: httpx.AsyncClient, base: str) -> str:
    """What /metrics says; empty when it does not."""
    try:
        answer = await http.get(f"{base}/metrics")
    except (httpx.HTTPError, OSError):
        return ""
    return answer.text if answer.status_code == httpx.codes.OK else ""


def named(text: str, prefix: str) -> Metrics | None:
    """The numbers of Prometheus text with this prefix, which is cut off; None when there are none."""
    found = read_counters(text)
    mine = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    return mine or None


async def read_tops(http: httpx.AsyncClient, public: str, index: int, port_base: int | None) -> Said:
    """What the edge of this index tells of its zones besides numbers; nothing where it does not."""
    for base in (public, *_here(index, port_base)):
        try:
            answer = await http.get(f"{base}/metrics/zones")
            if answer.status_code == httpx.codes.OK:
                return dict(answer.json()["zones"])
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def by_edge(sessions: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many of these sessions were last seen at each edge, by its name among nodes."""
    return Counter(str(each["edge"]) for each in sessions if each["edge"])


def _here(index: int, port_base: int | None) -> list[str]:
    if port_base is None:
        return []
    return [f"{scheme}://127.0.0.1:{port_base + FIRST_EDGE_PORT + index}" for scheme in ("http", "https")]


async def _health(http: httpx.AsyncClient, base: str) -> Health:
    try:
        answer = await http.get(f"{base}/healthz/new")
        said, node = answer.json(), answer.headers.get("cache-status", "").partition(";")[0]
        wrong = tuple(f"{name}: {what}" for name, what in said["checks"].items() if what != "ok")
        return Health(str(said["status"]), said["new_sessions"] is True, node, wrong)
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return Health(AWAY, False)
