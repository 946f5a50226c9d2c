"""What a CPIX document says: content keys, and how DRM systems are told of them (DASH-IF CPIX 2.3).

Values only; `cpix_xml` reads and writes them.
"""

import uuid
from dataclasses import dataclass, field
from typing import Final

WIDEVINE: Final = uuid.UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed")
PLAYREADY: Final = uuid.UUID("9a04f079-9840-4286-ab92-e65be0885f95")
FAIRPLAY: Final = uuid.UUID("94ce86fb-07ff-4f43-adb8-93d2fa968ca2")

VIDEO: Final = "VIDEO"
AUDIO: Final = "AUDIO"


class BadCpix(ValueError):
    """A document that cannot be used here; the text is a sentence for people, without any key."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """One key. `key` None: who reads the document is to fill it in."""

    kid: uuid.UUID
    key: bytes | None = field(default=None, repr=False)  # 16 bytes
    scheme: str = "cbcs"  # or cenc
    explicit_iv: bytes | None = None  # 16 bytes


@dataclass(frozen=True, slots=True)
class DrmSystem:
    """What players of one DRM system are told of one key. None: not said; empty: to be filled in."""

    kid: uuid.UUID
    system_id: uuid.UUID
    pssh: bytes | None = None  # a whole box
    content_protection: str | None = None  # an XML fragment, inside the ContentProtection of a manifest
    hls_media: str | None = None  # lines of a media playlist
    hls_multivariant: str | None = None  # lines of a multivariant playlist


@dataclass(frozen=True, slots=True)
class UsageRule:
    """Which tracks a key is for: "VIDEO", "AUDIO"; None: of any type."""

    kid: uuid.UUID
    track_type: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A CPIX document."""

    content_id: str
    keys: tuple[ContentKey, ...] = ()
    systems: tuple[DrmSystem, ...] = ()
    rules: tuple[UsageRule, ...] = ()
