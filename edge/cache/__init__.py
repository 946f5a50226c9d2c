"""Shared form of what is delivered, kept as slices: L1 memory, L2 Redis, one fill for each object."""
