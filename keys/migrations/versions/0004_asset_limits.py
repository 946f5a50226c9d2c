"""Assets have limits of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; assets that are there limit nothing."""
    op.add_column("assets", sa.Column("limits", sa.JSON))
