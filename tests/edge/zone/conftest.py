"""Redis below zones is the one below media: a server, and a cluster."""

from tests.edge.cache.conftest import clusters, redis_server

__all__ = ["clusters", "redis_server"]
