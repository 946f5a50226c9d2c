"""When nodes were last seen."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody knows of those that are enrolled."""
    op.add_column("nodes", sa.Column("last_seen", sa.Double))
