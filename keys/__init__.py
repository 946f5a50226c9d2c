"""Identity, permission, secrets: who may see what. A site mints links with `keys.sign_url` and a key file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keys.signing import SigningKey, sign_url

__all__ = ["SigningKey", "sign_url"]


def __getattr__(name: str) -> object:
    # What a site needs, loaded when it asks: importing `keys.names` alone pulls in no cryptography.
    if name in __all__:
        from keys import signing

        return getattr(signing, name)
    raise AttributeError(f"module 'keys' has no attribute {name!r}")
