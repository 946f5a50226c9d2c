"""Which stored key is wrapped by which (SECURITY 3.1): root → tenant → a generation's asset and storage key.

The root key wraps, nothing is derived from it; where it is, `keys.root_keys` says. Tenant, asset and storage
keys are random, so deleting one wrapped copy shreds what it sealed, and rotating a key wraps a few hundred
bytes anew while nothing sealed or derived changes. The service's own keys (session tokens, viewer buckets)
are wrapped by the root key too. Rows are `keys.store_keys`'s, derivation is `keys.derive`'s.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from keys.cipher import Secret, unwrap, wrap
from keys.problems import Problem
from keys.root_keys import Context, RootKeys, Wrapped
from keys.store_keys import GenerationRow, TenantKey, WrappedKeys

KEY_BYTES: Final = 32
FIRST_TENANT_VERSION: Final = 1
TRIES: Final = 20  # of a change that another process made first

SESSION_SIGNING: Final = "session-signing"
LINK_SIGNING: Final = "link-signing"
BUCKETS: Final = "buckets"
REGION: Final = "region:"  # and its name


class Rows(Protocol):
    """What this module needs of a store; `keys.store_keys.KeyStore` fits."""

    async def service_key(self, purpose: str) -> Wrapped | None:
        """The wrapped key of one purpose, if there is one."""
        ...

    async def add_service_key(self, purpose: str, wrapped: Wrapped, now: float) -> None:
        """Keep this key unless the purpose has one."""
        ...

    async def replace_service_key(self, purpose: str, old: Wrapped, new: Wrapped) -> bool:
        """Put `new` where `old` is; whether it was."""
        ...

    async def service_purposes(self) -> list[str]:
        """Every purpose that has a key."""
        ...

    async def tenants(self) -> list[str]:
        """Every tenant that has a key."""
        ...

    async def tenant_key(self, tenant: str) -> TenantKey | None:
        """The tenant's wrapped key, if it has one."""
        ...

    async def add_tenant_key(self, tenant: str, key: TenantKey, now: float) -> None:
        """Keep this wrapped key unless the tenant has one."""
        ...

    async def replace_tenant_key(
        self,
        tenant: str,
        old: TenantKey,
        new: TenantKey,
        rewrap: Callable[[GenerationRow], WrappedKeys] | None = None,
    ) -> bool:
        """Put `new` where `old` is, and what `rewrap` makes of each generation's keys; whether it was."""
        ...

    async def next_generation(self, tenant: str, asset: str) -> int:
        """A number never given before."""
        ...

    async def add_generation(self, tenant: str, row: GenerationRow, now: float) -> bool:
        """Keep the wrapped keys of a generation; False when the tenant's key is another by now."""
        ...

    async def generation(
        self, tenant: str, asset: str, generation: int
    ) -> tuple[GenerationRow, TenantKey] | None:
        """The wrapped keys of a generation and the tenant's that opens them, while they are there."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationKeys:
    """The two random keys of one (asset, generation), and what a DRM provider knows of it."""

    asset_key: Secret  # AK: source of every session's keys; never leaves the keys service
    storage_key: Secret  # SK: seals the packaged slices
    drm: Secret | None = None  # a CPIX document with content keys (`keys.drm`)


class Hierarchy:
    """Makes, wraps, opens and rotates stored keys."""

    def __init__(self, root: RootKeys, rows: Rows) -> None:
        self._root = root
        self._rows = rows
        self._opened: dict[tuple[str, str], tuple[bytes, Secret]] = {}  # as stored, and plain

    async def new_generation(
        self, tenant: str, asset: str, now: float, drm: Secret | None = None
    ) -> tuple[int, GenerationKeys]:
        """A new generation with new random keys, stored wrapped. Its number was never used before."""
        generation = await self._rows.next_generation(tenant, asset)
        keys = GenerationKeys(Secret(os.urandom(KEY_BYTES)), Secret(os.urandom(KEY_BYTES)), drm)
        for _ in range(TRIES):
            stored = await self._stored_tenant_key(tenant, now)
            plain = await self._open_tenant_key(tenant, stored)
            wrapped = _wrap_generation(plain, keys, tenant, asset, generation, stored.version)
            row = GenerationRow(asset, generation, stored.version, wrapped)
            if await self._rows.add_generation(tenant, row, now):
                return generation, keys
        raise _busy()

    async def generation(self, tenant: str, asset: str, generation: int) -> GenerationKeys | None:
        """The keys of a stored generation; None when it was deleted. BadWrap under another root key."""
        found = await self._rows.generation(tenant, asset, generation)
        if found is None:
            return None
        row, stored = found
        return _open_generation(await self._open_tenant_key(tenant, stored), tenant, row)

    # ---- the service's own

    async def service_key(self, purpose: str, fresh: Callable[[], bytes], now: float) -> Secret:
        """The stored key of a purpose; what `fresh` gives becomes it when there is none yet."""
        wrapped = await self._rows.service_key(purpose)
        if wrapped is None:
            made = await self._root.wrap(fresh(), "service key", purpose)
            await self._rows.add_service_key(purpose, made, now)
            wrapped = await self._rows.service_key(purpose)  # another process may have been first
            assert wrapped is not None, "the row was inserted above"
        return await self._open(("service key", purpose), wrapped, "service key", purpose)

    async def change_service_key(self, purpose: str, change: Callable[[bytes], bytes]) -> Secret:
        """Puts what `change` makes of a stored key in its place, whoever else changes it meanwhile."""
        for _ in range(TRIES):
            old = await self._rows.service_key(purpose)
            if old is None:
                raise Problem("not_found", f"There is no key for {purpose}.")
            changed = change(await self._root.unwrap(old, "service key", purpose))
            new = await self._root.wrap(changed, "service key", purpose)
            if await self._rows.replace_service_key(purpose, old, new):
                return Secret(changed)
        raise _busy()

    async def bucket_key(self, now: float) -> Secret:
        """The key that makes the names of viewers' buckets opaque, made on first start."""
        return await self.service_key(BUCKETS, lambda: os.urandom(KEY_BYTES), now)

    # ---- rotation

    async def root_version(self) -> str:
        """The label of the root key's newest version."""
        return await self._root.newest()

    async def tenant_version(self, tenant: str) -> int | None:
        """How often the tenant's key was made anew, from 1; None before its first asset."""
        stored = await self._rows.tenant_key(tenant)
        return stored.version if stored else None

    async def rotate_root(self) -> str:
        """A new version of the root key, and everything wrapped anew under it; its label.

        Each row is replaced on its own, and opens at every moment. Interrupted, it may be done again.
        """
        label = await self._root.rotate()
        for tenant in await self._rows.tenants():
            await self._rewrap_tenant(tenant, label)
        for purpose in await self._rows.service_purposes():
            await self.change_service_key(purpose, lambda plain: plain)
        return label

    async def rotate_tenant(self, tenant: str, now: float) -> int:
        """A new key of the tenant; the keys of all its generations are wrapped anew, in one step."""
        for _ in range(TRIES):
            old = await self._stored_tenant_key(tenant, now)
            before, after = await self._open_tenant_key(tenant, old), os.urandom(KEY_BYTES)
            version = old.version + 1
            new = TenantKey(version, await self._root.wrap(after, "tk", tenant, version))

            def rewrap(
                row: GenerationRow, before: bytes = before, after: bytes = after, version: int = version
            ) -> WrappedKeys:
                keys = _open_generation(before, tenant, row)
                return _wrap_generation(after, keys, tenant, row.asset, row.generation, version)

            if await self._rows.replace_tenant_key(tenant, old, new, rewrap):
                return version
        raise _busy()

    async def _rewrap_tenant(self, tenant: str, label: str) -> None:
        for _ in range(TRIES):
            old = await self._rows.tenant_key(tenant)
            if old is None or old.wrapped.root == label:
                return
            plain = await self._root.unwrap(old.wrapped, "tk", tenant, old.version)
            new = TenantKey(old.version, await self._root.wrap(plain, "tk", tenant, old.version))
            if await self._rows.replace_tenant_key(tenant, old, new):
                return
        raise _busy()

    async def _stored_tenant_key(self, tenant: str, now: float) -> TenantKey:
        stored = await self._rows.tenant_key(tenant)
        if stored is None:
            version = FIRST_TENANT_VERSION
            wrapped = await self._root.wrap(os.urandom(KEY_BYTES), "tk", tenant, version)
            await self._rows.add_tenant_key(tenant, TenantKey(version, wrapped), now)
            stored = await self._rows.tenant_key(tenant)  # another process may have been first
            assert stored is not None, "the row was inserted above"
        return stored

    async def _open_tenant_key(self, tenant: str, stored: TenantKey) -> bytes:
        opened = await self._open(("tk", tenant), stored.wrapped, "tk", tenant, stored.version)
        return opened.reveal()

    async def _open(self, name: tuple[str, str], wrapped: Wrapped, *context: Context) -> Secret:
        """Opened once and kept, so that the root key's keeper is asked seldom, and may be away."""
        known = self._opened.get(name)
        if known is None or known[0] != wrapped.data:
            plain = Secret(await self._root.unwrap(wrapped, *context))
            known = self._opened[name] = wrapped.data, plain
        return known[1]


def _wrap_generation(
    tenant_key: bytes, keys: GenerationKeys, tenant: str, asset: str, generation: int, version: int
) -> WrappedKeys:
    of = (tenant, asset, generation, version)
    return WrappedKeys(
        wrap(tenant_key, keys.asset_key.reveal(), "ak", *of),
        wrap(tenant_key, keys.storage_key.reveal(), "sk", *of),
        wrap(tenant_key, keys.drm.reveal(), "drm", *of) if keys.drm else None,
    )


def _open_generation(tenant_key: bytes, tenant: str, row: GenerationRow) -> GenerationKeys:
    of = (tenant, row.asset, row.generation, row.tenant_version)
    return GenerationKeys(
        Secret(unwrap(tenant_key, row.keys.asset_key, "ak", *of)),
        Secret(unwrap(tenant_key, row.keys.storage_key, "sk", *of)),
        Secret(unwrap(tenant_key, row.keys.drm, "drm", *of)) if row.keys.drm else None,
    )


def _busy() -> Problem:
    return Problem("unavailable", "These keys are being changed by others. Try again in a moment.")
