"""A worker as a process of its own, for tests: reads objects as lines on stdin say, answers on stdout."""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.cache.claims import Claims
from edge.cache.library import Library
from edge.cache.redis import RedisSlices
from edge.cache.shared import SharedMemory
from edge.cache.upstream import OriginClient
from keys.problems import Problem


async def main(config: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()

    def count(name: str, by: int) -> None:
        counts[name] += by

    room, node = Path(config["room"]), config["node"]
    store = RedisSlices(config["redis"], count=count) if config["redis"] else None
    packager = Ed25519PublicKey.from_public_bytes(bytes.fromhex(config["packager"]))
    library = Library(
        SharedMemory(room / node, 64 << 20, count=count),
        store,
        Claims(room / f"{node}-claims", store, ttl_ms=config["ttl_ms"], heartbeat_s=0.1, count=count),
        OriginClient(config["origin"], lambda: "node-token", count=count),
        lambda: [packager],
        count=count,
    )
    key = bytes.fromhex(config["storage_key"])
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with library:
        say({"ready": True})
        while line := await lines.readline():
            say(await read(library, json.loads(line)["read"], key) | {"counts": dict(counts)})


async def read(library: Library, name: str, key: bytes) -> dict[str, Any]:
    try:
        opened = await library.open("default", "film", 1, "720p", name, key)
        digest = hashlib.sha256()
        for index in range(opened.slices):
            digest.update(await opened.slice(index))
    except Problem as exc:
        return {"problem": exc.code, "detail": exc.detail}
    return {"sha": digest.hexdigest(), "source": opened.source}


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
