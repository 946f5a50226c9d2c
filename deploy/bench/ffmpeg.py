"""ffmpeg as the benchmark needs it: it makes the film, and reads again what the edge protected."""

import asyncio
from pathlib import Path


async def run(program: Path, *arguments: str, data: bytes | None = None) -> bytes:
    """What it writes to its output; `data` goes to its input. RuntimeError when it fails."""
    process = await asyncio.create_subprocess_exec(
        *(str(program), "-v", "error", *(() if data is not None else ("-nostdin",)), *arguments),
        stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    found, _ = await process.communicate(data)
    if process.returncode != 0:
        raise RuntimeError("ffmpeg could not make, or read, the benchmark's film")
    return found


async def packets(program: Path, media: bytes, key: bytes | None = None) -> str:
    """The SHA-256 of every picture's bytes, one after another, decrypted with `key` where there is one.

    `media` is an init segment and all segments. Common Encryption is undone by ffmpeg's own code, which
    goes by what the segments say of themselves, and knows nothing of protection maps.
    """
    opening = ("-decryption_key", key.hex()) if key is not None else ()
    reading = (*opening, "-f", "mov", "-i", "pipe:0", "-map", "0:v", "-c", "copy")
    found = await run(program, *reading, "-f", "hash", "-hash", "sha256", "pipe:1", data=media)
    return found.decode("ascii").strip()
