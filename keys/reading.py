"""What a request to the keys service says: its proof, its JSON body, numbers in its query.

Whatever is missing or of another type is Problem `bad_request`, in a sentence that names it.
"""

import math
import re
from typing import Any, Final

from starlette.requests import Request

from keys.names import b64url_decode
from keys.problems import Problem
from keys.sessions import Activity
from keys.strict_json import strict_object

MAX_BODY: Final = 64 * 1024  # bytes
MAX_COUNT: Final = 2**44  # of one report: half a million of them still fit the database's integer

_SID = re.compile(r"[A-Za-z0-9_-]{22}")


def proof(request: Request) -> str | None:
    """The value of the Authorization header, for `keys.access`."""
    return request.headers.get("authorization")


async def body(request: Request) -> dict[str, Any]:
    """The JSON object sent; nothing is an empty one. Problem too_large beyond MAX_BODY, else bad_request."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise Problem("too_large", f"A request body has at most {MAX_BODY} bytes.")
    try:
        return strict_object(bytes(data)) if data else {}
    except ValueError as exc:
        raise Problem("bad_request", "The body must be one JSON object.", detail=str(exc)[:200]) from exc


def text(body: dict[str, Any], name: str) -> str:
    """A member of the body that is a string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Problem("bad_request", f"The body needs {name}, a string.")
    return value


def encoded(body: dict[str, Any], name: str) -> bytes:
    """A member of the body that is bytes, in base64url."""
    try:
        return b64url_decode(text(body, name))
    except ValueError as exc:
        raise Problem("bad_request", f"In the body {name} is base64url.") from exc


def texts(body: dict[str, Any], name: str) -> list[str]:
    """A member of the body that is a list of strings of ASCII; none when it is not there."""
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each.isascii() for each in value):
        raise Problem("bad_request", f"In the body {name} is a list of strings.")
    return value


def member(body: dict[str, Any], name: str) -> dict[str, Any]:
    """A member of the body that is an object."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise Problem("bad_request", f"The body needs {name}, an object.")
    return value


def number(request: Request, name: str, default: float) -> float:
    """A number from 0 in the query."""
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = math.nan
    if not 0 <= value < 2**53:
        raise Problem("bad_request", f"{name} is a number from 0.")
    return value


def seconds(body: dict[str, Any], name: str) -> float | None:
    """A member of the body that is a number of seconds from 0; None when it is not there."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**31:
        raise Problem("bad_request", f"{name} is a number of seconds.")
    return float(value)


def activity(sessions: dict[str, Any]) -> dict[str, Activity]:
    """What an edge tells of sessions, by their IDs."""
    if not all(_SID.fullmatch(sid) for sid in sessions):
        raise Problem("bad_request", "Activity is of sessions, by their IDs.")
    try:
        return {
            sid: Activity(
                _count(seen["at"]),
                int(_count(seen["requests"])),
                int(_count(seen["bytes"])),
                _count(seen["media_s"]),
                again_s=_count(seen.get("again_s", 0)),
                held_s=_count(seen.get("held_s", 0)),
                apart_s=_count(seen.get("apart_s", 0)),
                position_s=_count(seen["position_s"]) if "position_s" in seen else None,
            )
            for sid, seen in sessions.items()
        }
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        told = "at, requests, bytes, media_s, and again_s, held_s, apart_s, position_s where there is any"
        raise Problem("bad_request", f"Activity is {told}, for each session.") from exc


def _count(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= float(value) < MAX_COUNT:
        raise ValueError("not a count")
    return float(value)
