"""Encrypts by protection maps, plainly (ISO/IEC 23001-7), and decrypts with other people's programs."""

import platform
import subprocess
from pathlib import Path
from typing import Final

import imageio_ffmpeg
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keys.derive import cbcs_iv
from origin.media.protection import ProtectionMap, sample_iv

_BINARIES: Final = {
    ("Linux", "x86_64"): "linux-x64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "osx-x64",
    ("Darwin", "arm64"): "osx-arm64",
}
_BINARY: Final = _BINARIES.get((platform.system(), platform.machine()), "none")
_PACKAGE: Final = Path(__file__).parents[2] / ".tools" / "npm" / "node_modules" / "shaka-packager"
PACKAGER: Final = _PACKAGE / "bin" / f"packager-{_BINARY}"
BLOCK: Final = 16


def encrypted(
    segment: bytes, found: ProtectionMap, scheme: str, *, key: bytes, kid: bytes, index: int, position: int
) -> bytes:
    """The protected segment of a clear one. `index`: the rendition's; `position`: the segment's."""
    payload = bytearray(segment[found.payload :])
    if scheme == "cenc":
        for number, ranges in enumerate(found.cenc.samples):
            _count(payload, ranges, key, sample_iv(index, position, number))
        return found.cenc.head + payload
    for ranges in found.cbcs.samples:
        for start, length in ranges:
            _chain(payload, start, length, found.skip, key, cbcs_iv(kid))
    return found.cbcs.head + payload


def _count(payload: bytearray, ranges: tuple[tuple[int, int], ...], key: bytes, iv: bytes) -> None:
    """AES-CTR over the ranges of a sample as if they were one (§9.5)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv + bytes(8))).encryptor()
    for start, length in ranges:
        payload[start : start + length] = encryptor.update(bytes(payload[start : start + length]))


def _chain(payload: bytearray, start: int, length: int, skip: int, key: bytes, iv: bytes) -> None:
    """AES-CBC over the first of every `skip` + 1 whole blocks of a range (§9.6)."""
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    for at in range(start, start + length - BLOCK + 1, BLOCK * (skip + 1)):
        payload[at : at + BLOCK] = encryptor.update(bytes(payload[at : at + BLOCK]))


def frames(path: Path, kind: str, key: bytes | None = None, *, number: int = 0) -> list[str]:
    """The MD5 of every frame ffmpeg decodes of one stream of a kind ("v" or "a"), decrypted with `key`."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-nostdin"]
    option = "-cenc_decryption_key" if path.suffix == ".mpd" else "-decryption_key"
    command += [option, key.hex()] if key else []
    command += ["-i", str(path), "-map", f"0:{kind}:{number}", "-f", "framemd5", "-"]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert not found.stderr
    return [line for line in found.stdout.splitlines() if not line.startswith("#")]


def unpackaged(path: Path, out: Path, kind: str, key: bytes, kid: bytes) -> Path:
    """The track as Shaka Packager decrypts it, which reads subsamples and patterns by code of its own."""
    stream = {"v": "video", "a": "audio"}[kind]
    command = [str(PACKAGER), f"in={path},stream={stream},output={out}", "--enable_raw_key_decryption"]
    command += ["--keys", f"label=:key_id={kid.hex()}:key={key.hex()}", "--quiet"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return out
