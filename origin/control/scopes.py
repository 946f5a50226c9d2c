"""What an API token may be allowed to do: one word each. Pure.

Tokens themselves are managed with the admin token alone, so that no token can give itself more.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

Scope = Literal[
    "assets:read",
    "assets:write",
    "uploads",
    "links",
    "sessions:read",
    "sessions:write",
    "zones:read",
    "zones:purge",
    "webhooks",
]

SCOPES: Final[tuple[str, ...]] = get_args(Scope)
ADMIN: Final = "admin"  # nobody's scope: the admin token, or who signed in with it

MEANING: Final[dict[str, str]] = {
    "assets:read": "list and read assets and jobs",
    "assets:write": "change titles, delete, cancel and retry",
    "uploads": "upload files, whole or by tus",
    "links": "sign links",
    "sessions:read": "list who watches what",
    "sessions:write": "end sessions, revoke and lift",
    "zones:read": "list zones",
    "zones:purge": "purge what edges keep of zones",
    "webhooks": "add, list, test and remove webhooks",
    ADMIN: "the admin token only",
}


def scopes(words: Iterable[str]) -> tuple[str, ...]:
    """These words as scopes, each once, in the order of SCOPES. ValueError names one that is none."""
    wanted = set(words)
    unknown = sorted(wanted - set(SCOPES))
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is no scope; there are {', '.join(SCOPES)}")
    if not wanted:
        raise ValueError(f"name at least one scope of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)
