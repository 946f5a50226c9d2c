"""How the samples of a track are protected: the scheme, under which key ID and IV, with which key.

Under `cbcs` and `cenc` all of it is derived, the key from the session. Under `drm` it is as the asset's DRM
provider said: the public part stands in the descriptor, the key comes with the lease, the same for every
session, and no viewer gets it from here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from edge.deliver.key import track_key, track_key_id
from edge.deliver.path import DRM
from keys.derive import cbcs_iv
from keys.leases import Lease
from keys.names import b64url_decode
from keys.problems import Problem
from origin.media.asset import Descriptor
from origin.media.drm import Drm

REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Samples:
    """The public part. `iv`: 16 bytes with `cbcs`, else empty; `pssh`: boxes for the init segment."""

    scheme: str
    kid: bytes
    iv: bytes
    pssh: tuple[bytes, ...] = ()


def samples_of(descriptor: Descriptor, track: str, protection: str) -> Samples:
    """How a track is protected under a protection that the asset has."""
    if protection == DRM and descriptor.drm is not None:
        return _provided(descriptor.drm, track)
    return _derived(descriptor.tenant, descriptor.asset, descriptor.generation, track, protection)


def sample_key(lease: Lease, track: str, protection: str, samples: Samples) -> bytes:
    """With which key. Problem unavailable when a lease of before came without it."""
    if protection != DRM:
        return track_key(lease, track, protection)
    key = lease.drm.get(samples.kid)
    if key is None:
        raise Problem("unavailable", detail=f"{lease.asset}: a lease without the content key of {track}")
    return key


@lru_cache(REMEMBERED)
def _provided(drm: Drm, track: str) -> Samples:
    key = drm.key(track)
    pssh = dict.fromkeys(b64url_decode(each.pssh) for each in drm.of(track) if each.pssh)
    return Samples(drm.scheme, b64url_decode(key.kid), b64url_decode(key.iv), tuple(pssh))


@lru_cache(REMEMBERED)
def _derived(tenant: str, asset: str, generation: int, track: str, protection: str) -> Samples:
    kid = track_key_id(tenant, asset, generation, track, protection)
    return Samples(protection, kid, cbcs_iv(kid) if protection == "cbcs" else b"")
