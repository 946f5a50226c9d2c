"""Which stored key is wrapped by which (SECURITY 3.1): root → tenant → a generation's asset and storage key.

The root key wraps, nothing is derived from it. Tenant, asset and storage keys are random, so deleting one
wrapped copy shreds what it sealed. The service's own keys (session tokens, viewer buckets) are wrapped by
the root key too. Rows are `keys.store_keys`'s, derivation from an asset key is `keys.derive`'s.
"""

import os
from dataclasses import dataclass
from typing import Final, Protocol

from keys.cipher import Secret, unwrap, wrap
from keys.keyring import Keyring
from keys.signing import SigningKey
from keys.store_keys import WrappedKeys
from keys.tokens import SESSION_ISSUER

KEY_BYTES: Final = 32
ROOT_VERSION: Final = 1
TENANT_VERSION: Final = 1

SESSION_SIGNING: Final = "session-signing"
BUCKETS: Final = "buckets"


class Rows(Protocol):
    """What this module needs of a store; `keys.store_keys.KeyStore` fits."""

    async def service_key(self, purpose: str) -> bytes | None:
        """The wrapped key of one purpose, if there is one."""
        ...

    async def add_service_key(self, purpose: str, wrapped: bytes, now: float) -> None:
        """Keep this key unless the purpose has one."""
        ...

    async def tenant_key(self, tenant: str) -> bytes | None:
        """The tenant's wrapped key, if it has one."""
        ...

    async def add_tenant_key(self, tenant: str, wrapped: bytes, now: float) -> None:
        """Keep this wrapped key unless the tenant has one."""
        ...

    async def next_generation(self, tenant: str, asset: str) -> int:
        """A number never given before."""
        ...

    async def add_generation(
        self, tenant: str, asset: str, generation: int, keys: WrappedKeys, now: float
    ) -> None:
        """Keep the wrapped keys of a generation."""
        ...

    async def generation(self, tenant: str, asset: str, generation: int) -> WrappedKeys | None:
        """The wrapped keys of a generation, while it is there."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationKeys:
    """The two random keys of one (asset, generation)."""

    asset_key: Secret  # AK: source of every session's keys; never leaves the keys service
    storage_key: Secret  # SK: seals the packaged slices


class Hierarchy:
    """Makes, wraps and opens stored keys. `root_key` is 32 bytes."""

    def __init__(self, root_key: bytes, rows: Rows) -> None:
        if len(root_key) != KEY_BYTES:
            raise ValueError(f"a root key is {KEY_BYTES} bytes")
        self._root = Secret(root_key)
        self._rows = rows

    async def new_generation(self, tenant: str, asset: str, now: float) -> tuple[int, GenerationKeys]:
        """A new generation with new random keys, stored wrapped. Its number was never used before."""
        tenant_key = await self._tenant_key(tenant, now)
        generation = await self._rows.next_generation(tenant, asset)
        keys = GenerationKeys(Secret(os.urandom(KEY_BYTES)), Secret(os.urandom(KEY_BYTES)))
        of = (tenant, asset, generation, TENANT_VERSION)
        wrapped = WrappedKeys(
            wrap(tenant_key, keys.asset_key.reveal(), "ak", *of),
            wrap(tenant_key, keys.storage_key.reveal(), "sk", *of),
        )
        await self._rows.add_generation(tenant, asset, generation, wrapped, now)
        return generation, keys

    async def generation(self, tenant: str, asset: str, generation: int) -> GenerationKeys | None:
        """The keys of a stored generation; None when it was deleted. BadWrap under another root key."""
        wrapped = await self._rows.generation(tenant, asset, generation)
        tenant_wrapped = await self._rows.tenant_key(tenant)
        if wrapped is None or tenant_wrapped is None:
            return None
        tenant_key = self._open_tenant_key(tenant, tenant_wrapped)
        of = (tenant, asset, generation, TENANT_VERSION)
        return GenerationKeys(
            Secret(unwrap(tenant_key, wrapped.asset_key, "ak", *of)),
            Secret(unwrap(tenant_key, wrapped.storage_key, "sk", *of)),
        )

    async def session_keyring(self, now: float) -> Keyring:
        """The keys that sign session tokens, made on first start."""
        fresh = Keyring.of(SigningKey.generate(SESSION_ISSUER, viewer_key=False))
        return Keyring.from_json(await self._service_key(SESSION_SIGNING, fresh.to_json(), now))

    async def bucket_key(self, now: float) -> Secret:
        """The key that makes the names of viewers' buckets opaque, made on first start."""
        return Secret(await self._service_key(BUCKETS, os.urandom(KEY_BYTES), now))

    async def _service_key(self, purpose: str, fresh: bytes, now: float) -> bytes:
        """The stored key of a purpose; `fresh` becomes it when there is none yet."""
        wrapped = await self._rows.service_key(purpose)
        if wrapped is None:
            fresh = wrap(self._root.reveal(), fresh, "service key", purpose, ROOT_VERSION)
            await self._rows.add_service_key(purpose, fresh, now)
            wrapped = await self._rows.service_key(purpose)  # another process may have been first
            assert wrapped is not None, "the row was inserted above"
        return unwrap(self._root.reveal(), wrapped, "service key", purpose, ROOT_VERSION)

    async def _tenant_key(self, tenant: str, now: float) -> bytes:
        wrapped = await self._rows.tenant_key(tenant)
        if wrapped is None:
            fresh = wrap(
                self._root.reveal(), os.urandom(KEY_BYTES), "tk", tenant, TENANT_VERSION, ROOT_VERSION
            )
            await self._rows.add_tenant_key(tenant, fresh, now)
            wrapped = await self._rows.tenant_key(tenant)  # another process may have been first
            assert wrapped is not None, "the row was inserted above"
        return self._open_tenant_key(tenant, wrapped)

    def _open_tenant_key(self, tenant: str, wrapped: bytes) -> bytes:
        return unwrap(self._root.reveal(), wrapped, "tk", tenant, TENANT_VERSION, ROOT_VERSION)
