"""The first schema: nodes, wrapped keys, assets and their generations, sessions, used links, revocations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of an empty database."""
    _tables_of_keys()
    _tables_of_assets()
    _tables_of_sessions()


def _tables_of_keys() -> None:
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("jwk", sa.JSON, nullable=False),
        sa.Column("enrolled", sa.Double, nullable=False),
    )
    op.create_table(
        "service_keys",
        sa.Column("purpose", sa.String(32), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )


def _tables_of_assets() -> None:
    op.create_table(
        "assets",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("asset", sa.String(64), primary_key=True),
        sa.Column("last_generation", sa.BigInteger, nullable=False),
        sa.Column("published", sa.BigInteger),
        sa.Column("pace", sa.JSON),
    )
    op.create_table(
        "generations",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("asset", sa.String(64), primary_key=True),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("wrapped_asset_key", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_storage_key", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("superseded", sa.Double),
        sa.ForeignKeyConstraint(
            ["tenant", "asset"], ["assets.tenant", "assets.asset"], name="generations_asset"
        ),
    )


def _tables_of_sessions() -> None:
    op.create_table(
        "used_links",
        sa.Column("iss", sa.String(256), primary_key=True),
        sa.Column("link_id", sa.String(128), primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("sid", sa.String(32), primary_key=True),
        sa.Column("iss", sa.String(256), nullable=False),
        sa.Column("kid", sa.String(128), nullable=False),
        sa.Column("link_id", sa.String(128), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("viewer", sa.String(256)),
        sa.Column("network", sa.String(64)),
        sa.Column("client_ip", sa.String(64), nullable=False),
        sa.Column("client_network", sa.String(64), nullable=False),
        sa.Column("opened", sa.Double, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("edge", sa.String(64), nullable=False),
        sa.Column("pace", sa.JSON),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("media_s", sa.Double, nullable=False, server_default="0"),
    )
    op.create_index("sessions_by_link", "sessions", ["iss", "link_id", "opened"])
    op.create_index("sessions_by_last_seen", "sessions", ["last_seen"])
    op.create_index("sessions_by_asset", "sessions", ["tenant", "asset"])
    op.create_index("sessions_by_expiry", "sessions", ["expires"])
    op.create_table(
        "revocations",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.String(512), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_index("revocations_by_name", "revocations", ["kind", "value"])
