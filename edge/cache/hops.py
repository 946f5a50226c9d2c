"""By which caches a request came: CDN-Loop (RFC 8586) on every request between tiers (SECURITY T22).

A fill is done for whoever asked first, in a task of its own; what that request came by is remembered in its
context, so that the request a fill sends tells all of it. Who finds its own name there is asked in a circle.
"""

from contextvars import ContextVar
from typing import Final

CDN_LOOP: Final = "cdn-loop"
_came_by: ContextVar[str] = ContextVar("came_by", default="")


def came_by(caches: str) -> None:
    """From here on in this task, and in those it begins, requests are made for one that came by these."""
    _came_by.set(caches)


def onward(name: str) -> dict[str, str]:
    """The field a request of the cache of this name carries on; none without a name."""
    if not name:
        return {}
    earlier = _came_by.get()
    return {CDN_LOOP: f"{earlier}, {name}" if earlier else name}
