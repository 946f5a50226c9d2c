"""Which version of the root key, and of the tenant's key, wrapped what."""

import sqlalchemy as sa
from alembic import op

revision = "0003_key_versions"
down_revision = "0002_session_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything there is was wrapped by the first version of each."""
    for table in ("service_keys", "tenants"):
        op.add_column(table, sa.Column("root", sa.String(64), nullable=False, server_default="1"))
    op.add_column("tenants", sa.Column("version", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column(
        "generations", sa.Column("tenant_version", sa.BigInteger, nullable=False, server_default="1")
    )
