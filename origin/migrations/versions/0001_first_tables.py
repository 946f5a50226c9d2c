"""The first schema: assets, the digests of their objects, posters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of an empty database."""
    op.create_table(
        "assets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("source_name", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("rate", sa.Double, nullable=False),
        sa.Column("eta_s", sa.Double),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("upload_path", sa.Text, nullable=False),
        sa.Column("upload_bytes", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.Double, nullable=False),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("renditions", sa.JSON, nullable=False),
    )
    op.create_index("assets_by_created", "assets", ["created"])
    op.create_table(
        "objects",
        _asset_column(),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("rendition", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "posters",
        _asset_column(),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
    )


def _asset_column() -> sa.Column[str]:
    return sa.Column("asset", sa.String(64), sa.ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
