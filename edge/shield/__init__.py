"""A tier between edges and the origin: sealed slices, fetched once for all edges behind it."""
