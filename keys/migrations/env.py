"""What alembic runs: the migrations over the connection that `keys.migrations.upgrade` handed in."""

from alembic import context

from keys.migrations import VERSION_TABLE
from keys.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
