"""A link that is good in one browser only: the cookie by which that browser is known again.

Keys makes its value, another for each link, and says it in every lease of the link's sessions. The cookie
is for this host only, out of scripts' reach, and goes with every request of the player page. Players without
cookies cannot use such a link: it is for browsers. Pure.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

from keys.names import b64url
from keys.problems import Problem

MOST: Final = 16  # cookies of ours that are looked at: a browser has one for each bound link it opened

_COOKIE = re.compile(rb"(?:^|[;,])[ \t]*sluice_([A-Za-z0-9_-]{8})=([A-Za-z0-9_-]{43})(?=[ \t]*(?:[;,]|$))")


def cookies_in(headers: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """The values of our cookies in a request, the first MOST. `headers` by lower-case name."""
    found = _COOKIE.findall(headers.get(b"cookie", b""))
    return tuple(value.decode() for name, value in found if name.decode() == _name(value.decode()))[:MOST]


def device_cookie(value: str, lasts_s: int, *, secure: bool) -> tuple[bytes, bytes]:
    """The header that gives a browser its cookie."""
    text = f"sluice_{_name(value)}={value}; Max-Age={lasts_s}; Path=/; HttpOnly; SameSite=Lax"
    return b"set-cookie", (text + ("; Secure" if secure else "")).encode()


def check_device(headers: Mapping[bytes, bytes], value: str) -> None:
    """Problem limit unless the request has the cookie with this value."""
    if not any(hmac.compare_digest(found, value) for found in cookies_in(headers)):
        raise Problem("limit", limit="device", detail="another browser than the first")


def _name(value: str) -> str:
    """One for each link, so that a browser has all its cookies. Tells nothing of the value."""
    return b64url(hashlib.sha256(value.encode()).digest())[:8]
