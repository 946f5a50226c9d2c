"""Pure media formats: bytes in, bytes out; no clock, no I/O. The only part of origin the edge may import."""
