"""When a message is sent again, when it is given up, and when its webhook is disabled. Pure.

Times are seconds since the epoch. Waits grow until a day has gone by; each is spread by a tenth, so that
many messages of one outage do not come back as one.
"""

from typing import Final

# Seconds after each failed attempt; the sum is a day.
WAITS_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 37_045)
SPREAD: Final = 0.1
DISABLED_AFTER_S: Final = 3 * 86_400.0  # of nothing but failures
GONE: Final = 410  # a receiver that answers so wants no more (Standard Webhooks)


def next_attempt(attempts: int, now: float, spread: float) -> float | None:
    """When to try again after so many failed attempts; None: not at all. `spread` is from -1 to 1."""
    if attempts > len(WAITS_S):
        return None
    return now + WAITS_S[attempts - 1] * (1 + SPREAD * spread)


def disabling(status: int, failing_since: float, now: float, last: str) -> str:
    """The sentence with which a webhook is disabled after a failure; empty while it is not."""
    if status == GONE:
        return "It answered 410 Gone: it wants no more messages."
    if now - failing_since >= DISABLED_AFTER_S:
        days = int((now - failing_since) // 86_400)
        return f"It took no message for {days} days; the last time: {last}"
    return ""


def succeeded(status: int) -> bool:
    """Whether a receiver took the message. A redirect is none that is followed."""
    return 200 <= status < 300


def failure(status: int) -> str:
    """The sentence for an answer that is no success."""
    if 300 <= status < 400:
        return f"It answered {status}: redirects are not followed. Add the address it leads to."
    return f"It answered {status}."
