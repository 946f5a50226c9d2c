"""Assets that may be taken away whole: what their publisher chose, and the files there are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; assets of before offer nothing."""
    op.add_column("assets", sa.Column("download", sa.String(16), nullable=False, server_default=""))
    op.add_column("assets", sa.Column("downloads", sa.JSON, nullable=False, server_default="[]"))
