"""What came of one request to the origin on behalf of a cache (`filling`)."""

from dataclasses import dataclass

from edge.http.storing import NotStored
from edge.zone.store import Held
from edge.zone.upstream import NoAnswer, Reply


@dataclass(frozen=True, slots=True)
class Passed:
    """Not kept: pass it on, then close it."""

    reply: Reply
    reason: NotStored | None  # None: nobody asked whether it may be


@dataclass(frozen=True, slots=True)
class Kept:
    """It is being kept: its body comes to `held`. `reply` is its head, as it came."""

    reply: Reply
    held: Held


@dataclass(frozen=True, slots=True)
class Holds:
    """The origin says that the entry holds."""

    held: Held


@dataclass(frozen=True, slots=True)
class Failed:
    """It gave an error of RFC 5861, or no answer."""

    status: int | None
    error: NoAnswer | None = None
    reply: Reply | None = None  # of the error, still to be passed on or closed


Outcome = Passed | Kept | Holds | Failed
