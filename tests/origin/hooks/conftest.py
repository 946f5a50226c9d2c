"""The databases of the catalogue's own tests."""

from tests.origin.store.conftest import database_url, postgresql_url

__all__ = ["database_url", "postgresql_url"]
