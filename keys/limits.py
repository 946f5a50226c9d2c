"""What a link limits besides its times: streams at once, opens a minute, bytes, speed, countries, one device.

The claim `limits` of a link token, the record of its sessions and their leases carry the same JSON object: a
member for each limit that is set, nothing for the others. Pure. Who counts what: opens and the device are
`keys.sessions`', all else the edges'.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, Final

MOST: Final = 1 << 53
MOST_COUNTRIES: Final = 60  # in one link
SLOWEST: Final = 16 * 1024  # bytes/s: below, a client would think the connection dead

_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one link; None, False and () set none. ValueError for what is no limit."""

    streams: int | None = None  # sessions in use at once: of its viewer, or of the link when it names none
    opens: int | None = None  # sessions the link opens in a minute
    budget: int | None = None  # bytes that all its sessions may take together
    speed: int | None = None  # bytes a second, for all its sessions together
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2: it is good in these only
    device: bool = False  # good only in the browser that opened it first

    def __post_init__(self) -> None:
        for name, least in (("streams", 1), ("opens", 1), ("budget", 1), ("speed", SLOWEST)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not least <= value < MOST):
                raise ValueError(f"{name} is a whole number from {least}")
        if type(self.device) is not bool:
            raise ValueError("device is true or false")
        if len(self.countries) > MOST_COUNTRIES or not all(map(_COUNTRY.fullmatch, self.countries)):
            raise ValueError(f"countries are up to {MOST_COUNTRIES} codes of two letters, such as DE")

    def to_json(self) -> dict[str, Any]:
        """The limits that are set; empty when none is."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if name == "countries" else value
            for name, value in found.items()
            if value not in (None, False, ())
        }

    @classmethod
    def from_json(cls, found: object) -> "Limits":
        """The limits that `to_json` wrote. ValueError for anything else, unknown members too."""
        if not isinstance(found, dict) or not found.keys() <= {f.name for f in fields(cls)}:
            raise ValueError("limits of the wrong shape")
        if not found:
            return NO_LIMITS
        countries = found.get("countries", [])
        if not isinstance(countries, list) or not all(isinstance(each, str) for each in countries):
            raise ValueError("countries is a list of codes")
        return cls(**{**found, "countries": tuple(countries)})


NO_LIMITS: Final = Limits()
