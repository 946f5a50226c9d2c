"""Who keeps the root key: its files, or a KMS that the settings name."""

import contextlib
from contextlib import AbstractAsyncContextManager

from deploy.layers import SettingError
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from keys import secrets as secret_files
from keys.problems import Problem
from keys.root_keys import Moved, RootKeys
from keys.root_transit import TransitRootKeys


async def root_keys(
    settings: Settings, layout: Layout, secrets: secret_files.Secrets
) -> tuple[RootKeys, list[AbstractAsyncContextManager[object]]]:
    """Who keeps the root key, and what closes it. What files wrapped before a move, files still open."""
    if not settings.kms:
        return secrets.root, []
    token = layout.secrets / secret_files.KMS_TOKEN
    usable(lambda: secret_files.read_token(token, shortest=1))
    kms = usable(lambda: TransitRootKeys(settings.kms, lambda: secret_files.read_token(token, shortest=1)))
    try:
        await kms.newest()
    except (ValueError, Problem) as error:
        raise SettingError(f"kms: {settings.kms}: {error}") from error
    return Moved(kms, [secrets.root]), [contextlib.aclosing(kms)]
