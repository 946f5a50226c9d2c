"""The tables of the keys database, as SQLAlchemy Core sees them; `keys.migrations` makes them.

Times are seconds since the epoch. Wrapped keys are `keys.hierarchy`'s: none opens without the root key.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata: Final = MetaData()

nodes: Final = Table(
    "nodes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("jwk", JSON, nullable=False),
    Column("enrolled", Double, nullable=False),
    Column("last_seen", Double),  # when it last asked for something; written now and then
)

service_keys: Final = Table(  # the service's own keys, wrapped by the root key
    "service_keys",
    metadata,
    Column("purpose", String(32), primary_key=True),
    Column("root", String(64), nullable=False, server_default="1"),  # the root key's version
    Column("wrapped", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
)

tenants: Final = Table(
    "tenants",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False, server_default="1"),
    Column("root", String(64), nullable=False, server_default="1"),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
)

assets: Final = Table(  # outlives its generations: a number is never given twice
    "assets",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("asset", String(64), primary_key=True),
    Column("last_generation", BigInteger, nullable=False),
    Column("published", BigInteger),  # the generation new sessions pin
    Column("pace", JSON),
    Column("limits", JSON),
)

generations: Final = Table(
    "generations",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("asset", String(64), primary_key=True),
    Column("generation", BigInteger, primary_key=True),
    Column("tenant_version", BigInteger, nullable=False, server_default="1"),
    Column("wrapped_asset_key", LargeBinary, nullable=False),
    Column("wrapped_storage_key", LargeBinary, nullable=False),
    Column("wrapped_drm", LargeBinary),  # the document of its DRM provider, where there is one
    Column("created", Double, nullable=False),
    Column("superseded", Double),  # when a later one was published
    ForeignKeyConstraint(["tenant", "asset"], ["assets.tenant", "assets.asset"], name="generations_asset"),
)

drm_keys: Final = Table(  # in CTR no key may encrypt twice: a row outlives its film
    "drm_keys",
    metadata,
    Column("kid", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("asset", String(64), nullable=False),
    Column("generation", BigInteger, nullable=False),
)

used_links: Final = Table(  # single-use links that were opened; a row may go when the link has expired
    "used_links",
    metadata,
    Column("iss", String(256), primary_key=True),
    Column("link_id", String(128), primary_key=True),
    Column("until", Double, nullable=False),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("sid", String(32), primary_key=True),
    Column("iss", String(256), nullable=False),
    Column("kid", String(128), nullable=False),
    Column("link_id", String(128), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("asset", String(64), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("viewer", String(256)),
    Column("network", String(64)),
    Column("client_ip", String(64), nullable=False),
    Column("client_network", String(64), nullable=False),
    Column("opened", Double, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("edge", String(64), nullable=False),
    Column("pace", JSON),
    Column("limits", JSON),
    Column("state", String(16), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("media_s", Double, nullable=False, server_default="0"),
    Column("again_s", Double, nullable=False, server_default="0"),
    Column("held_s", Double, nullable=False, server_default="0"),
    Column("apart_s", Double, nullable=False, server_default="0"),
    Column("position_s", Double),  # in the film, of the last segment
    Column("ripper_score", BigInteger, nullable=False, server_default="0"),  # of its viewer
    Column("ripper_signals", JSON),  # {signal: points}
    Column("ripper_acted", String(16)),  # what was done about it
    Column("offline_device", String(64)),  # thumbprint of the machine its offline licenses are for
    Column("offline_until", BigInteger),  # when the last of them ends
    Index("sessions_by_link", "iss", "link_id", "opened"),
    Index("sessions_by_last_seen", "last_seen"),
    Index("sessions_by_asset", "tenant", "asset"),
    Index("sessions_by_expiry", "expires"),
)

revocations: Final = Table(
    "revocations",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("value", String(512), nullable=False),
    Column("until", Double, nullable=False),
    Column("created", Double, nullable=False),
    Index("revocations_by_name", "kind", "value"),
)

purges: Final = Table(  # of zones' answers; only the latest are kept
    "purges",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("zone", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", String(2048), nullable=False),
    Column("soft", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)
