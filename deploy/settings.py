"""Every setting, once: name, type, unit, default, meaning, and which services read it.

`--help`, the README (`deploy.settings_table`) and the code share it; `deploy.layers` fills it from flags, the
environment and `sluice.toml`. Durations are seconds, sizes bytes. Secrets are never settings: they
are files under the data directory.
"""

import ipaddress
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.setting_types import (
    Addresses,
    Attribute,
    Bucket,
    Count,
    Database,
    DrmScheme,
    Duration,
    File,
    Folder,
    Host,
    Level,
    Networks,
    Number,
    OneRedis,
    Port,
    Program,
    Redis,
    RipperAction,
    Service,
    Services,
    Size,
    Switch,
    Text,
    TransitKey,
)

ALL: Final = ("keys", "origin", "ingest", "admin", "edge", "shield")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the system's tmpfs, used with a private directory in it
FIRST_EDGE_PORT: Final = 10  # edges listen on port-base + 10, + 11, …


def _row(default: object, unit: str, services: tuple[str, ...], meaning: str, **bounds: Any) -> Any:
    extra: dict[str, Any] = {"unit": unit, "services": list(services)}
    return Field(default=default, description=meaning, json_schema_extra=extra, **bounds)


class Settings(BaseModel):
    """The table. Attributes are named as the settings, with `_` for `-`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    data: Folder = _row(
        Path("data"), "", ALL, "directory that holds everything: secrets, databases, media, logs"
    )
    config: File | None = _row(None, "", ALL, "settings file; otherwise sluice.toml in the data directory")
    log_level: Level = _row("info", "", ALL, "how much is logged: debug, info, warning or error")
    verbose: Switch = _row(False, "", ALL, "show the logs of all services on stderr as well")

    host: Host = _row("127.0.0.1", "", ("keys", "admin", "edge"), "address the edges listen on")
    service_host: Host = _row(
        "127.0.0.1",
        "",
        ("keys", "origin", "ingest", "admin", "shield"),
        "address keys, origin, ingest, admin and shield listen on",
    )
    port_base: Port = _row(
        8000,
        "",
        ALL,
        "keys listens here, origin on + 1, admin + 2, shield + 3, ingest + 4, edges on + 10, + 11, …",
    )
    node_name: Text = _row(
        "sluice", "", ALL, "this installation's name among nodes; its edges add -edge-1, …"
    )
    edges: Count = _row(1, "", ("keys", "admin", "edge"), "how many edges there are", ge=1, le=50)
    workers: Count = _row(
        0,
        "processes",
        ("edge", "shield"),
        "worker processes of each edge, and of a shield; 0: one a core",
        ge=0,
        le=256,
    )
    public_edges: Addresses = _row(
        (), "", ALL, "public base addresses of the edges, in order; otherwise where they listen"
    )
    keys_url: Service | None = _row(
        None, "", ("origin", "ingest", "admin", "edge", "shield"), "where keys is; otherwise on this machine"
    )
    origin_url: Service | None = _row(
        None, "", ("admin", "edge", "shield"), "where origin is; otherwise on this machine"
    )
    origin_further: Services = _row(
        (), "", ("edge", "shield"), "further addresses of the origin, asked in this order when that is away"
    )
    shields: Services = _row(
        (), "", ("edge",), "shields edges ask before the origin: each thing has its own, then the next"
    )
    tls_cert: File | None = _row(None, "", ("edge",), "certificate chain (PEM): the edges then speak TLS")
    tls_key: File | None = _row(None, "", ("edge",), "private key (PEM) that belongs to tls-cert")
    trusted_proxies: Networks = _row(
        (), "", ("edge",), "networks of front proxies whose X-Forwarded-For names the viewer"
    )
    connections: Count = _row(
        10_000, "", ALL, "connections each process takes; those above get 503", ge=10, le=1_000_000
    )
    connections_per_client: Count = _row(
        500,
        "",
        ("edge",),
        "connections each process takes from one address (not this machine's, not trusted proxies')",
        ge=1,
    )

    drain_limit: Duration = _row(
        "25s",
        "seconds",
        ("edge", "shield"),
        "how long a worker told to end finishes the answers under way",
        ge=1,
    )
    drain_notice: Duration = _row(
        "0s", "seconds", ("edge",), "how long /healthz says 503 before edges stop accepting at the end"
    )
    overload_lag: Duration = _row(
        "80ms", "seconds", ("edge",), "lateness of a worker from which new sessions get 503", ge=0.01, le=10
    )
    overload_wait: Duration = _row(
        "1s", "seconds", ("edge",), "wait for keys from which new sessions get 503", ge=0.1, le=3
    )

    cors_origins: Addresses = _row((), "", ("edge",), "sites whose pages may play from the edges")
    framed_by: Addresses = _row((), "", ("edge",), "sites that may show the player page in a frame")

    keys_database: Database = _row(
        "", "", ("keys",), "database of keys; otherwise SQLite in the data directory"
    )
    catalogue_database: Database = _row(
        "", "", ("origin", "ingest"), "database of the catalogue; otherwise SQLite in the data directory"
    )

    blobs: Bucket = _row(
        "",
        "",
        ("origin", "ingest"),
        "bucket that holds the media, s3://…; otherwise a folder in the data directory",
    )

    redis: Redis = _row(
        "auto",
        "",
        ("edge", "shield"),
        "second cache level: auto starts a server (not for a shield), none: without; also redis+cluster://a,b",
    )
    redis_control: OneRedis = _row(
        "auto", "", ("edge",), "pacing state shared by workers and edges: auto, none, address"
    )
    redis_memory: Size = _row("256M", "bytes", ("edge",), "memory of the Redis cache started here")
    redis_server: Program = _row(
        "", "", ("edge",), "Redis server program; otherwise one on the PATH, else the embedded one"
    )
    l1_memory: Size = _row(
        "512M",
        "bytes",
        ("edge", "shield"),
        "RAM of the first cache level, for each edge and shield; half of it for zones where there are any",
    )
    zones: File | None = _row(None, "", ("edge", "shield"), "TOML file of zones that are served beside media")
    l1_dir: Folder = _row(SHARED_MEMORY, "", ("edge", "shield"), "tmpfs that holds the first cache level")

    ffmpeg: Program = _row(
        "", "", ("origin", "ingest"), "ffmpeg program; otherwise the one of its Python package"
    )
    require_jail: Switch = _row(
        False, "", ("origin", "ingest"), "refuse to ingest where ffmpeg cannot be jailed fully"
    )
    ingest_jobs: Count = _row(
        1,
        "jobs",
        ("origin", "ingest"),
        "films ingested at the same time in each process; 0: none",
        ge=0,
        le=32,
    )
    uploads_shared: Switch = _row(
        False, "", ("origin",), "uploads lie where every machine that ingests reaches them, at the same path"
    )
    upload_limit: Size = _row("64G", "bytes", ("origin",), "largest file that may be uploaded")
    webhook_networks: Networks = _row(
        (), "", ("origin",), "networks webhooks may reach besides public addresses, by http too"
    )
    segment_duration: Duration = _row(
        "4s", "seconds", ("origin", "ingest"), "length of a media segment", gt=0, le=20, multiple_of=1
    )
    key_period: Duration = _row(
        "60s", "seconds", ("origin", "ingest"), "length of media one content key covers", ge=4, le=300
    )

    drm_scheme: DrmScheme = _row(
        "cbcs", "", ("origin", "ingest"), "what a DRM provider is asked keys for: cbcs (FairPlay too) or cenc"
    )

    pace_burst: Duration = _row(
        "300s", "seconds of media", ("keys",), "media handed out at once at the start"
    )
    pace_rate: Number = _row(2.0, "× real time", ("keys",), "media handed out after that", gt=1.0, le=100)
    pace_jump: Duration = _row("8s", "seconds of media", ("keys",), "media handed out at once after a seek")
    pace_jumps: Count = _row(
        10, "seeks", ("keys",), "seeks in store; one comes back each minute", ge=0, le=1000
    )

    session_limit: Duration = _row("12h", "seconds", ("keys",), "longest session any link may open", ge=60)
    opens_per_minute: Count = _row(30, "sessions", ("keys",), "sessions one link may open in a minute", ge=1)
    streams: Count = _row(
        0,
        "sessions",
        ("keys",),
        "sessions of one viewer in use at once where his link says nothing; 0: any",
        ge=0,
    )
    ripper_action: RipperAction = _row(
        "log", "", ("keys",), "what is done with viewers who look like rippers: log, slow or revoke"
    )
    ripper_score: Count = _row(
        60, "points of 100", ("keys",), "score from which a viewer looks like a ripper", ge=1, le=100
    )
    geoip: File | None = _row(
        None, "", ("edge",), "file in MaxMind's DB format that says which country an address is in"
    )
    stream_idle: Duration = _row(
        "30s", "seconds", ("edge",), "after which a session that asks for nothing is not in use", ge=1, le=600
    )
    token_name: Attribute = _row(
        "URISigningPackage", "", ("edge",), "what a token's attribute may be called besides URISigningPackage"
    )
    issuers: File | None = _row(None, "", ("keys",), "JSON file of further sites whose links are believed")
    kms: TransitKey = _row(
        "",
        "",
        ("keys",),
        "transit key (Vault, OpenBao) that keeps the root key; otherwise in secrets/root.key",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.port_base + FIRST_EDGE_PORT + self.edges > 65_535:
            raise ValueError("port-base: the edges' ports would lie above 65535")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls-cert and tls-key belong together: one of them is missing")
        if self.public_edges and len(self.public_edges) != self.edges:
            raise ValueError(f"public-edges: {len(self.public_edges)} addresses for {self.edges} edges")
        if not self.public_edges and ipaddress.ip_address(self.host).is_unspecified:
            raise ValueError(
                f"public-edges: with host {self.host} say under which addresses viewers reach the edges"
            )
        return self

    @property
    def keys(self) -> str:
        """The base URL of the keys service."""
        return self.keys_url or self._service(0)

    @property
    def origin(self) -> str:
        """The base URL of the origin service."""
        return self.origin_url or self._service(1)

    @property
    def admin(self) -> str:
        """The base URL of the admin console."""
        return self._service(2)

    @property
    def shield(self) -> str:
        """The base URL of the shield that runs here."""
        return self._service(3)

    @property
    def ingest(self) -> str:
        """The base URL of the worker on the queue that runs here: its health alone."""
        return self._service(4)

    def _service(self, offset: int) -> str:
        return f"http://{self.reached(self.service_host)}:{self.port_base + offset}"

    @staticmethod
    def reached(host: str) -> str:
        """How this machine itself reaches what listens on that address, as it stands in a URL."""
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            return "127.0.0.1" if address.version == 4 else "[::1]"
        return _bracketed(host)

    def edge_port(self, index: int) -> int:
        """The port the edge with this index (from 0) listens on."""
        return self.port_base + FIRST_EDGE_PORT + index

    @property
    def public_bases(self) -> tuple[str, ...]:
        """The public base URL of every edge: what links begin with and tokens are checked against."""
        if self.public_edges:
            return self.public_edges
        scheme = "https" if self.tls_cert else "http"
        return tuple(f"{scheme}://{_bracketed(self.host)}:{self.edge_port(i)}" for i in range(self.edges))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
