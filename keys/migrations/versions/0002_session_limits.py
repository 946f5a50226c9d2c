"""Sessions keep the limits of their link."""

import sqlalchemy as sa
from alembic import op

revision = "0002_session_limits"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; sessions that run have no limits."""
    op.add_column("sessions", sa.Column("limits", sa.JSON))
