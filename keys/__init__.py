"""Identity, permission, secrets: who may see what. A site mints links with `keys.sign_url` and a key file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keys.limits import Limits
    from keys.signing import SigningKey, sign_url

__all__ = ["Limits", "SigningKey", "sign_url"]


def __getattr__(name: str) -> object:
    # What a site needs, loaded when it asks: importing `keys.names` alone pulls in no cryptography.
    if name in __all__:
        from keys import limits, signing

        return getattr(limits if name == "Limits" else signing, name)
    raise AttributeError(f"module 'keys' has no attribute {name!r}")
