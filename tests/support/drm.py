"""CPIX documents as DRM providers make them, with keys of the test's own."""

import random
import uuid
from typing import Final

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, ContentKey, Document, DrmSystem, UsageRule
from keys.drm_signalling import signalled

SYSTEMS: Final = {"cbcs": (WIDEVINE, PLAYREADY, FAIRPLAY), "cenc": (WIDEVINE, PLAYREADY)}


def document(scheme: str = "cbcs", seed: str = "film") -> Document:
    """Keys for picture and sound, and what the DRM systems of a scheme are told of them.

    With cbcs the picture has an explicit IV, sound has none.
    """
    make = random.Random(f"{seed}/{scheme}")
    kids = {track: uuid.UUID(bytes=make.randbytes(16)) for track in (VIDEO, AUDIO)}
    ivs = {track: make.randbytes(16) if scheme == "cbcs" and track == VIDEO else None for track in kids}
    keys = tuple(ContentKey(kid, make.randbytes(16), scheme, ivs[track]) for track, kid in kids.items())
    rules = tuple(UsageRule(kid, track) for track, kid in kids.items())
    systems = tuple(DrmSystem(kid, each) for each in SYSTEMS[scheme] for kid in kids.values())
    return signalled(Document(seed, keys, systems, rules))


def key_of(found: Document, track: str) -> bytes:
    """The content key of VIDEO or AUDIO."""
    kid = next(rule.kid for rule in found.rules if rule.track_type == track)
    key = next(each.key for each in found.keys if each.kid == kid)
    assert key is not None
    return key
