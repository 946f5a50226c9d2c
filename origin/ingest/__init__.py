"""The way in: upload, probe, ladder, segments, sealed slices, catalogue."""
