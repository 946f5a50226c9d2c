"""Sessions keep what the ripper score is made of, the score, and what was done about it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of sessions that run nothing is known so far."""
    for name in ("again_s", "held_s", "apart_s"):
        op.add_column("sessions", sa.Column(name, sa.Double, nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("position_s", sa.Double))
    op.add_column("sessions", sa.Column("ripper_score", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("ripper_signals", sa.JSON))
    op.add_column("sessions", sa.Column("ripper_acted", sa.String(16)))
