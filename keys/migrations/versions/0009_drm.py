"""Assets whose content keys a DRM provider knows, and which content key is whose."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table; generations that are there have no such keys."""
    op.add_column("generations", sa.Column("wrapped_drm", sa.LargeBinary))
    op.create_table(
        "drm_keys",
        sa.Column("kid", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
    )
