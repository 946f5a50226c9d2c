"""JSON from strangers, read so that no two readers can understand it differently.

Answers: the object these bytes spell, or ValueError. Refused: names said twice, NaN and Infinity, numbers
too large for a double, text that is no Unicode, nesting deeper than MAX_DEPTH. Knows nothing of tokens (RFC
8259 §4, RFC 8725 §2.4).
"""

import json
import math
import re
from typing import Never

MAX_DEPTH = 8  # objects and lists inside one another

# Linear in any text: what was read as part of a string, closed or not, is never read again.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_LONGEST_INTEGER = 32  # digits; no claim of ours is longer than 16


def strict_object(data: bytes) -> dict[str, object]:
    """The JSON object in `data`. ValueError for anything else, and for all the module refuses."""
    text = data.decode("utf-8")
    _check_depth(text)
    found = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_integer,
    )
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    # A lone surrogate (`"\ud800"`) parses but is no text: it would fail later, far from here.
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is said twice")
    return found


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError("a number is too long")
    return int(text)
