"""Sessions keep which machine their licenses for offline use are for, and until when the last is good."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sessions", sa.Column("offline_device", sa.String(64)))
    op.add_column("sessions", sa.Column("offline_until", sa.BigInteger))
