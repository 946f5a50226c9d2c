"""Assets whose content keys a DRM provider knows: where those come from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; assets of before have keys of their sessions alone."""
    op.add_column("assets", sa.Column("drm", sa.Text, nullable=False, server_default=""))
