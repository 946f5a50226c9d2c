"""How stored objects are asked for: which object a path names, which bytes a Range. Pure.

An origin and a shield answer the same questions (docs/architecture.md), so both read them here.
"""

import re
from typing import Final

from keys.names import asset_id, object_name, rendition_id
from keys.problems import Problem

PREFIX: Final = "/v1/blobs/"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_GENERATION: Final = re.compile(r"[1-9]\d{0,17}")

Name = tuple[str, int, str, str]  # asset, generation, rendition, object


def parse_name(path: str) -> Name:
    """What object a path names. Problem not_found for anything else."""
    parts = path.removeprefix(PREFIX).split("/")
    if len(parts) != 4 or not _GENERATION.fullmatch(parts[1]):
        raise Problem("not_found")
    try:
        return asset_id(parts[0]), int(parts[1]), rendition_id(parts[2]), object_name(parts[3])
    except Problem as problem:
        raise Problem("not_found", detail=problem.detail) from problem


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of the range asked for; None for the whole (H4); empty when there is none (H3)."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return min(int(first), size), min(int(last) + 1, size) if last else size
