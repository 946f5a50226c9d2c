"""Makes a node known to the keys service: its own key in a file, its name enrolled with the join token.

Several workers of one edge share an identity; the keys service may still be starting, so enrolment is tried
until it is taken. A name that another key holds cannot be had: that is a mistake in the settings.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from keys.client import KeysClient
from keys.nodes import NodeIdentity
from keys.problems import Problem

FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 5.0

log = logging.getLogger("sluice.enrol")


def identity(directory: Path, name: str, role: str) -> NodeIdentity:
    """This node's identity in `directory/node.json`, made once. ValueError when the file is another's."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(directory / "node.lock"):
        return NodeIdentity.load_or_create(directory / "node.json", name, role)


async def enrol(keys: KeysClient, node: NodeIdentity, join_token: str) -> None:
    """Returns once keys knows the node. Problem conflict when the name is another's."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            await keys.enrol(node, join_token)
            return
        except Problem as problem:
            if problem.code == "conflict":
                raise
            if problem.code == "unauthenticated" and await _is_known(keys):
                return  # the join token is another by now; who is enrolled needs none
            log.info("%s is not enrolled yet: %s", node.name, problem.message)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(LAST_PAUSE_S, pause * 2)


async def _is_known(keys: KeysClient) -> bool:
    """Whether keys knows the node this client speaks for."""
    try:
        await keys.trust()
    except Problem:
        return False
    return True


@contextlib.asynccontextmanager
async def enrolling(keys: KeysClient, node: NodeIdentity, join_token: str) -> AsyncIterator[None]:
    """Enrols in the background while entered."""
    task = asyncio.create_task(_logged(keys, node, join_token))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _logged(keys: KeysClient, node: NodeIdentity, join_token: str) -> None:
    try:
        await enrol(keys, node, join_token)
    except Problem as problem:
        log.error("%s cannot enrol: %s", node.name, problem.message)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)  # also unlocks
