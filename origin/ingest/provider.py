"""Asks a DRM provider for the content keys of an asset and what its players are told (SPEKE v2.0).

One key for the picture and one for sound, under IDs made here; Widevine and PlayReady are asked about, and
FairPlay with `cbcs`, which is all it plays. The exchange is `origin.drm_server`'s.
"""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from keys.cpix import AUDIO, FAIRPLAY, PLAYREADY, VIDEO, WIDEVINE, ContentKey, Document, DrmSystem, UsageRule
from keys.cpix_xml import write_cpix
from keys.problems import Problem
from keys.secrets import BadSecret
from origin.drm_server import NoKeys, ask

SYSTEMS: Final = {"cbcs": (WIDEVINE, PLAYREADY, FAIRPLAY), "cenc": (WIDEVINE, PLAYREADY)}


@dataclass(frozen=True, slots=True)
class Provider:
    """One origin's way to its provider. `auth` says what opens which host, and is read when it is needed."""

    auth: Callable[[], str]
    scheme: str = "cbcs"

    async def __call__(self, asset: str, url: str) -> bytes:
        """The CPIX document the provider answers with. Problem, with a sentence, when it gives none."""
        try:
            auth = auth_for(url, self.auth())
            return write_cpix(await ask(url, question(asset, self.scheme), auth=auth))
        except NoKeys as exc:
            raise Problem("bad_upstream", f"The DRM provider gave no keys. {exc}") from exc
        except (BadSecret, ValueError) as exc:
            raise Problem("unavailable", f"The DRM provider cannot be asked. {exc}") from exc


def auth_for(url: str, line: str) -> str:
    """What `drm_server.ask` is told of who asks, from a line of a host and that. ValueError for another host.

    Whoever may add films names the address; what opens the provider goes nowhere else.
    """
    host, _, auth = line.strip().partition(" ")
    asked = urlsplit(url).netloc.rpartition("@")[2]
    if host and host.lower() != asked.lower():
        raise ValueError(f"secrets/drm-auth is for {host}, and this address is of {asked}.")
    return auth.strip()


def question(asset: str, scheme: str) -> Document:
    """What is asked of an asset: values of keys, and all that players of each system need.

    A manifest has nothing for FairPlay.
    """
    made = new_document(asset, scheme, lambda: None)
    asked = (
        DrmSystem(each.kid, each.system_id, hls_media="", hls_multivariant="")
        if each.system_id == FAIRPLAY
        else DrmSystem(each.kid, each.system_id, b"", "", "", "")
        for each in made.systems
    )
    return replace(made, systems=tuple(asked))


def new_document(content_id: str, scheme: str, key: Callable[[], bytes | None]) -> Document:
    """A key for the picture and one for sound, under new IDs, and every system that plays the scheme."""
    kids = {VIDEO: uuid.uuid4(), AUDIO: uuid.uuid4()}
    iv = os.urandom(16) if scheme == "cbcs" else None
    keys = tuple(ContentKey(kid, key(), scheme, iv) for kid in kids.values())
    systems = tuple(DrmSystem(kid, each) for each in SYSTEMS[scheme] for kid in kids.values())
    return Document(content_id, keys, systems, tuple(UsageRule(kid, track) for track, kid in kids.items()))
