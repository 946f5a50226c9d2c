"""What alembic runs: the migrations over the connection that `origin.migrations.upgrade` handed in."""

from alembic import context

from origin.migrations import VERSION_TABLE
from origin.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
