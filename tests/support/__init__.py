"""Helpers that several test folders share: a viewer, the packaged film, playlists read back."""
