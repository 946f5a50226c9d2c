"""Resumable uploads: tus 1.0.0 with all its extensions but the checksum in a trailer."""
