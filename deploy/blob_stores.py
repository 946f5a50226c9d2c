"""Where blobs lie, by settings or by an address given on the command line: a folder, or a bucket."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from keys import secrets as secret_files
from origin.store.blobs import BlobStore, LocalBlobs
from origin.store.s3_address import S3Address, S3Login

Opened = tuple[BlobStore, Callable[[], Awaitable[None]]]


def media_blobs(settings: Settings) -> Opened:
    """The store of an installation's media, and what closes it. SettingError."""
    layout = Layout(settings)
    if not settings.blobs:
        return LocalBlobs(layout.blobs), _nothing
    return _bucket(settings.blobs, layout.secrets)


def blobs_at(place: str, secrets: Path) -> Opened:
    """The store at a folder's path or an s3:// address. SettingError."""
    if not place.startswith("s3://"):
        return LocalBlobs(Path(place)), _nothing
    return _bucket(place, secrets)


def _bucket(text: str, secrets: Path) -> Opened:
    from origin.store.s3_blobs import S3Blobs  # here: its library is for those who have a bucket

    path = secrets / secret_files.S3_AUTH
    line = usable(lambda: secret_files.read_line(path))
    if not line:
        raise SettingError(f"blobs: put ACCESS_KEY SECRET_KEY of the bucket in {path}, mode 0600.")
    try:
        address, login = S3Address.parse(text), S3Login.parse(line)
    except ValueError as error:
        raise SettingError(f"blobs: {error}.") from error
    blobs = S3Blobs(address, login)
    return blobs, blobs.close


async def _nothing() -> None:
    """A folder needs no closing."""
