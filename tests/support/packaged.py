"""The packaged film at the origin, as `sluice demo --check` reads it: what viewers must see."""

import asyncio
from pathlib import Path

from deploy.demo.check.packaged import Packaged, storage_key

__all__ = ["Packaged", "packaged", "storage_key"]


def packaged(data: Path, asset: str) -> Packaged:
    """The same for a test that is not asynchronous."""
    return asyncio.run(Packaged.of(data, asset))
