"""Where bytes and facts rest: blobs and the catalogue."""
