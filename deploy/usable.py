"""A secret, an identity or a file that cannot be used stops the start, with a sentence."""

from collections.abc import Callable
from typing import TypeVar

from deploy.layers import SettingError
from keys.secrets import BadSecret

Made = TypeVar("Made")


def usable(make: Callable[[], Made]) -> Made:
    """What `make` makes; SettingError, with what was wrong, when it cannot."""
    try:
        return make()
    except (BadSecret, ValueError, OSError) as error:
        raise SettingError(str(error)) from error
