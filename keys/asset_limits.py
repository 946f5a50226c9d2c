"""What an asset limits by itself, whatever its links say: streams at once, of everybody and of each viewer.

The operator sets both when he adds the asset, or later; they survive its generations and go with it. What a
link says about streams and what its asset says both count: the smaller number wins. The value is pure;
`AssetLimiter` keeps it.
"""

import logging
from dataclasses import dataclass, fields
from typing import Any, Final

from keys.limits import MOST
from keys.names import DEFAULT_TENANT, asset_id
from keys.problems import Problem
from keys.store_keys import KeyStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AssetLimits:
    """The limits of one asset; None sets none. ValueError for what is no limit."""

    streams: int | None = None  # sessions of the asset in use at once, of all viewers
    viewer_streams: int | None = None  # sessions a viewer of it may have in use at once

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and (type(value) is not int or not 1 <= value < MOST):
                raise ValueError(f"{each.name} is a whole number from 1")

    def to_json(self) -> dict[str, int]:
        """The limits that are set; empty when none is."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_json(cls, found: object) -> "AssetLimits":
        """The limits that `to_json` wrote; a member that is null sets none. ValueError for anything else."""
        if not isinstance(found, dict) or not found.keys() <= {each.name for each in fields(cls)}:
            raise ValueError("limits of an asset are streams and viewer_streams")
        return cls(**found)


NO_ASSET_LIMITS: Final = AssetLimits()


class AssetLimiter:
    """Sets and tells the limits of assets."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def get(self, asset: str) -> AssetLimits:
        """The limits of an asset: none for one that has none, or that nobody heard of."""
        return AssetLimits.from_json(await self._keys.asset_limits(DEFAULT_TENANT, asset_id(asset)) or {})

    async def change(self, asset: str, wanted: dict[str, Any]) -> AssetLimits:
        """Changes the limits that `wanted` names, null lifts one; all of them afterwards.

        They count for leases given from now on. The asset need not be there yet: an upload is limited before
        it is published. Problem bad_request for what is no limit.
        """
        before = await self.get(asset)
        try:
            limits = AssetLimits.from_json({**before.to_json(), **wanted})
        except ValueError as exc:
            raise Problem("bad_request", f"This sets no limit: {exc}.") from exc
        await self._keys.limit_asset(DEFAULT_TENANT, asset, limits.to_json() or None)
        log.info("limits asset=%s %s", asset, limits.to_json())
        return limits


def smaller(one: int | None, other: int | None) -> int | None:
    """The smaller of two limits, either of which may set none."""
    return min((each for each in (one, other) if each is not None), default=None)
