"""The tables of the catalogue, as SQLAlchemy Core sees them. `origin.migrations` makes them, `catalogue` uses
them.

Times are seconds since the epoch as floats. No secret and no media is in here: keys are kept by `keys`, bytes
by `blobs`.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData()

assets: Final = Table(
    "assets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("source_name", Text, nullable=False),  # what the file was called, for people only
    Column("state", String(16), nullable=False),
    Column("progress", Double, nullable=False),  # 0 to 1
    Column("rate", Double, nullable=False),  # media seconds a second
    Column("eta_s", Double),
    Column("error", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("upload_path", Text, nullable=False),  # empty when the upload is gone
    Column("upload_bytes", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),  # the published one; 0 before the first
    Column("duration", Double, nullable=False),  # seconds
    Column("width", BigInteger, nullable=False),  # pixels of the largest rendition
    Column("height", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # stored, over all renditions
    Column("renditions", JSON, nullable=False),
    Column("download", String(16), nullable=False),  # what may be taken away whole; empty: nothing
    Column("downloads", JSON, nullable=False),  # those files: name, size, type
    Column("drm", Text, nullable=False, server_default=""),  # where content keys come from (`origin.drm`)
    # Its place in the queue of ingest (`claims`); times are the database's.
    Column(
        "node", Text, nullable=False, server_default=""
    ),  # whose disk the upload is on; empty: all reach it
    Column("holder", Text, nullable=False, server_default=""),  # the worker that has it; empty: none
    Column("fence", BigInteger, nullable=False, server_default="0"),  # how often it was taken, ever
    Column(
        "attempts", BigInteger, nullable=False, server_default="0"
    ),  # taken and neither ended nor given back
    Column("queued", Double, nullable=False, server_default="0"),  # when it was put in line
    Column("heartbeat", Double, nullable=False, server_default="0"),  # when its worker was last heard of
    Column("lease_until", Double, nullable=False, server_default="0"),  # from then on it is anybody's
    Index("assets_by_created", "created"),
    Index("assets_by_state", "state", "queued"),
)

objects: Final = Table(  # K1: what each object of a generation is, for ever
    "objects",
    metadata,
    Column("asset", String(64), ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
    Column("generation", BigInteger, primary_key=True),
    Column("rendition", String(32), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("sha256", LargeBinary, nullable=False),  # of the stored bytes
)

posters: Final = Table(
    "posters",
    metadata,
    Column("asset", String(64), ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
)
