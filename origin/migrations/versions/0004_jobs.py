"""Ingest as a queue in the database: who works on an asset, until when, and how often that was tried."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXTS = ("node", "holder")
NUMBERS = ("fence", "attempts")
TIMES = ("queued", "heartbeat", "lease_until")


def upgrade() -> None:
    """Add the columns; work left from before is anybody's, and first come."""
    for name in TEXTS:
        op.add_column("assets", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name in NUMBERS:
        op.add_column("assets", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    for name in TIMES:
        op.add_column("assets", sa.Column(name, sa.Double, nullable=False, server_default="0"))
    op.create_index("assets_by_state", "assets", ["state", "queued"])
