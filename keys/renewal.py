"""How a token that is used is renewed (RFC 9246 §3): for how long, and how the new one reaches the client.

Answers what the three claims cdnistt, cdniets and cdnistd ask for, which cookie or which target carries the
new token. Who may mint it, and until when, is for `keys.opening`: the new end counts from the moment of the
renewal and never lies beyond the session's. Pure.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

COOKIE: Final = 1  # cdnistt
REDIRECT: Final = 2
WAYS: Final = {"cookie": COOKIE, "redirect": REDIRECT}  # as `sign_url` names them


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a token asks for."""

    by: int  # COOKIE or REDIRECT
    extend_s: int  # seconds a new token is good for, from when it is made
    depth: int = 0  # leading path segments it is bound to; 0: any path

    def claims(self) -> dict[str, int]:
        """The claims, as every new token repeats them (RFC 9246 §3.1)."""
        return {"cdnistt": self.by, "cdniets": self.extend_s, "cdnistd": self.depth}

    def is_due(self, expires: int, now: float) -> bool:
        """Whether half of a token's time has gone: a redirect costs a round trip, so not every time."""
        return expires - now <= self.extend_s / 2

    def cookie_path(self, path: str) -> str | None:
        """The cookie's Path for a request of `path` (canonical, without its token).

        None when the path has fewer segments than it should be bound to: no token is issued then.
        """
        segments = path.split("/")[1:]
        if len(segments) < self.depth:
            return None
        return "/" + "/".join(segments[: self.depth])


def cookie(name: str, token: str, path: str, *, secure: bool) -> str:
    """The Set-Cookie value of a renewed token: for this browser's session, out of reach of scripts (H39)."""
    return f"{name}={token}; Path={path}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def cookie_tokens(names: Collection[str], header: str) -> list[tuple[str, str]]:
    """(name, token) of the tokens in a Cookie header, that of the longest path first (RFC 6265 §5.4)."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [(name, value) for name, _, value in pairs if name in names]
