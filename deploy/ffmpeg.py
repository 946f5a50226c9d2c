"""Which ffmpeg is used: the configured one, else the one of its Python package. A separate program (GPL)."""

from pathlib import Path

from deploy.settings import Settings


def ffmpeg_path(settings: Settings) -> Path:
    """The program's absolute path."""
    if settings.ffmpeg:
        return Path(settings.ffmpeg).resolve()
    import imageio_ffmpeg  # here: only the origin has to load it

    return Path(imageio_ffmpeg.get_ffmpeg_exe()).resolve()
