"""Which country an address is in, from a file in MaxMind's DB format: MaxMind's own, DB-IP's, IPinfo's.

Read by mapping it into memory, so all workers share one copy; a look-up costs microseconds.
"""

from pathlib import Path
from typing import Any

import maxminddb


class Countries:
    """The countries of one file. OSError or ValueError when it is none."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = maxminddb.open_database(path)
        except maxminddb.InvalidDatabaseError as exc:
            raise ValueError(f"{path} is no file of countries: {exc}") from exc

    def __call__(self, address: str) -> str:
        """The ISO 3166-1 alpha-2 code; "" when the file does not know, or it is no address."""
        try:
            return _code(self._reader.get(address))
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""


def _code(record: Any) -> str:
    """`country.iso_code` (MaxMind, DB-IP), else `country_code`, else `country` (IPinfo)."""
    if not isinstance(record, dict):
        return ""
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, dict) else record.get("country_code", country)
    return code if isinstance(code, str) else ""
