"""Where things lie in the data directory (docs/architecture.md): one name for each place."""

import hashlib
import os
from pathlib import Path

from deploy.settings import Settings


class Layout:
    """The places of one installation. Making them is whose they are; all are private to the user."""

    def __init__(self, settings: Settings) -> None:
        self.data = settings.data.absolute()
        self._l1_dir = settings.l1_dir

    @property
    def secrets(self) -> Path:
        """Secret files (`keys.secrets`)."""
        return self.data / "secrets"

    @property
    def logs(self) -> Path:
        """Logs of the children."""
        return self.data / "logs"

    @property
    def keys(self) -> Path:
        """The keys service's own."""
        return self.data / "keys"

    @property
    def origin(self) -> Path:
        """The origin's own: catalogue, blobs, uploads, node.json."""
        return self.data / "origin"

    @property
    def incoming(self) -> Path:
        """Uploads until they are published."""
        return self.origin / "incoming"

    @property
    def blobs(self) -> Path:
        """Sealed objects."""
        return self.origin / "blobs"

    def edge(self, index: int) -> Path:
        """An edge's own: node.json, claims, counters. `index` from 0; the folder counts from 1."""
        return self.data / f"edge-{index + 1}"

    @property
    def shield(self) -> Path:
        """The shield's own: node.json, claims, counters."""
        return self.data / "shield"

    def l1(self, index: int) -> Path:
        """An edge's first cache level, in shared memory; the name is this installation's and this user's."""
        return self._memory / f"edge-{index + 1}"

    @property
    def shield_l1(self) -> Path:
        """The shield's, likewise."""
        return self._memory / "shield"

    @property
    def _memory(self) -> Path:
        installation = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return self._l1_dir / f"sluice-{os.geteuid()}-{installation}"
