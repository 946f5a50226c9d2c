"""Which ffmpeg is used: the configured one, else the one of its Python package. A separate program (GPL)."""

from pathlib import Path

import imageio_ffmpeg

from deploy.settings import Settings


def ffmpeg_path(settings: Settings) -> Path:
    """The program's absolute path."""
    return Path(settings.ffmpeg or imageio_ffmpeg.get_ffmpeg_exe()).resolve()
