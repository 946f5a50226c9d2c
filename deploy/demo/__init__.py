"""The demonstration: a sample film of our own making, and everything started around it."""
