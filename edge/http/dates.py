"""HTTP-dates in their three forms (RFC 9110 §5.6.7), strictly but for case; written in the one that is good.

RFC 9111 §4.2 has caches treat a date that is not valid as long past, so what is let through here is fresh and
what is not is stale: other time zones, two digits of year in the first form, or more spaces are not dates.
The day's name is checked to be one, not to be the right one. Seconds since the epoch.
"""

import calendar
import re
import time
from typing import Final

_MOST_BYTES: Final = 40
_MONTHS: Final = {
    name: number + 1 for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split())
}
_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTH_NAMES: Final = tuple(name.capitalize() for name in _MONTHS)

_DAY = rb"(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY = rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTH = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_TIME = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT",
        _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT",
        _DAY + rb" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
    )
]


def parse(value: bytes | None, now: float) -> float | None:
    """Seconds since the epoch; None for no value and for what is no HTTP-date.

    Two digits of year are of the century that puts them at most 50 years after `now`.
    """
    if value is None or len(value) > _MOST_BYTES:
        return None
    found = next((match for form in _FORMS if (match := form.fullmatch(value)) is not None), None)
    if found is None:
        return None
    year, month = int(found["year"]), _MONTHS[found["month"].lower()]
    day, hour, minute, second = (int(found[part]) for part in ("day", "hour", "minute", "second"))
    if len(found["year"]) == 2:
        year = _century(year, now)
    if (
        year < 1
        or not 1 <= day <= calendar.monthrange(year, month)[1]
        or hour > 23
        or minute > 59
        or second > 60
    ):
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def write(at: float) -> bytes:
    """An IMF-fixdate."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(at)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[weekday],
        day,
        _MONTH_NAMES[month - 1],
        year,
        hour,
        minute,
        second,
    )


def _century(year: int, now: float) -> int:
    this = time.gmtime(now).tm_year
    full = this - this % 100 + year
    return full - 100 if full > this + 50 else full
