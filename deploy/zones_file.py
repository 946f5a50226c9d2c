"""The file of zones that the setting `zones` names, as zones. docs/zones.md tells what each key means.

    [zones.press]
    origins = ["https://origin-a.example", "https://origin-b.example"]
    access = "public"

Anything unknown or malformed is one sentence that names the zone, the key and what to write.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from deploy import units
from deploy.layers import SettingError
from deploy.setting_types import is_loopback
from deploy.settings import Settings
from edge.http.entry import GUARDED, Rules
from edge.zone import zone as checks
from edge.zone.zone import FURTHER, MOST_ORIGINS, PASSED, UNDER, Origin, Zone

LISTED_MOST: Final = 32  # hosts, parameters, fields
STALE_MOST_S: Final = 365 * 86_400
LONGEST_WAIT_S: Final = 600


def zones_of(settings: Settings) -> tuple[Zone, ...]:
    """The zones these settings name; none without a file. SettingError."""
    found = read(settings.zones) if settings.zones else ()
    own = [urlsplit(base) for base in settings.public_bases]
    taken = {each.netloc for each in own} | {each.hostname for each in own}
    for zone in found:
        for host in zone.hosts:
            if host in taken:
                raise SettingError(
                    f"zones.{zone.name}.host: {host} is an edge's own name; give the zone another."
                )
    return found


def shield_zones_of(settings: Settings) -> tuple[Zone, ...]:
    """The same zones as a shield has them: for nodes alone, nothing of an answer hidden from them."""
    return tuple(
        replace(
            zone,
            hosts=(),
            signed=False,
            rules=replace(zone.rules, hidden=frozenset()),
            origins=tuple(origin for origin in zone.origins if not origin.shield_of),
        )
        for zone in zones_of(settings)
    )


def read(file: Path) -> tuple[Zone, ...]:
    """The zones of a file, in its order. SettingError."""
    try:
        table = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingError(f"zones: {file} cannot be read as TOML: {error}.") from error
    _known(table, ("zones",), f"zones: {file}")
    rows = table.get("zones")
    if not isinstance(rows, dict) or not rows:
        raise SettingError(f"zones: {file} names no zone; begin one with [zones.NAME].")
    found = []
    for name, row in rows.items():
        try:
            checks.name_of(name)
        except ValueError as error:
            raise SettingError(f"zones: {error}.") from error
        if not isinstance(row, dict):
            raise SettingError(f"zones.{name} must be a table; write [zones.{name}].")
        found.append(_zone(name, row))
    hosts: dict[str, str] = {}
    for zone in found:
        for host in zone.hosts:
            if hosts.setdefault(host, zone.name) != zone.name:
                raise SettingError(
                    f"zones.{zone.name}.host: {host} is the host of {hosts[host]} already; give it to one."
                )
    return tuple(found)


def _zone(name: str, row: Mapping[str, Any]) -> Zone:
    _known(row, KEYS, f"zones.{name}")
    if "origins" not in row:
        raise SettingError(
            f'zones.{name}.origins is missing; write it like origins = ["https://origin.example"].'
        )
    values: dict[str, Any] = {}
    for key, value in row.items():
        try:
            values[KEYS[key].into] = KEYS[key].read(value)
        except ValueError as error:
            raise SettingError(f"zones.{name}.{key}: {error}.") from error
    shields = values.pop("through", ())
    values["origins"] = (
        *(replace(shield, shield_of=name, base=values.get("base", "")) for shield in shields),
        *values["origins"],
    )
    rules: dict[str, Any] = {each: values.pop(each) for each in _RULES if each in values}
    forward = values.get("forward", frozenset())
    made = Zone(f"{UNDER}{name}/", name=name, rules=_rules(forward, rules), **values)
    if made.signed and forward & {b"cookie", b"authorization"}:
        raise SettingError(
            f"zones.{name}.forward: a signed zone passes neither cookie nor authorization on; "
            'its link says who may have what. Leave them out, or write access = "public".'
        )
    return made


def _rules(forward: frozenset[bytes], given: Mapping[str, Any]) -> Rules:
    """Rules in front of origins that know nothing of us; what is passed on selects answers (SECURITY T6)."""
    return replace(GUARDED, varies=tuple(sorted(forward)), request_directives=False, **given)


def _known(row: Mapping[str, object], names: Any, where: str) -> None:
    for key in row:
        if key not in names:
            near = difflib.get_close_matches(key, list(names), 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}."
            raise SettingError(f"{where}: there is no key {key!r}{hint}")


# How each key is read. ValueError says what to write.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text; put it in quotes")
    return value


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ValueError(f'{value!r} is no list of texts; write it like ["one", "two"]')
    if len(texts) > LISTED_MOST or len(set(texts)) < len(texts):
        raise ValueError(f"at most {LISTED_MOST}, each of them once")
    return texts


def _origins(value: object) -> tuple[Origin, ...]:
    texts = _texts(value)
    if not 0 < len(texts) <= MOST_ORIGINS:
        raise ValueError(f'name 1 to {MOST_ORIGINS}, like ["https://origin.example"]')
    return tuple(Origin.parse(text) for text in texts)


def _through(value: object) -> tuple[Origin, ...]:
    for text in _texts(value):
        if text.startswith("http://") and not is_loopback(text):
            raise ValueError(f"{text!r} is another machine: use https://")
    return _origins(value)


def _hosts(value: object) -> tuple[str, ...]:
    return tuple(checks.host_of(text) for text in _texts(value))


def _signed(value: object) -> bool:
    if value not in ("public", "signed"):
        raise ValueError(f'{value!r} is no access; write "public" or "signed"')
    return value == "signed"


def _query(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        if value not in ("all", "none"):
            raise ValueError(f'{value!r} is neither "all" nor "none" nor a list like ["page", "lang"]')
        return None if value == "all" else ()
    return tuple(sorted(checks.parameter_of(text) for text in _texts(value)))


def _forward(value: object) -> frozenset[bytes]:
    return frozenset(checks.field_of(text) for text in _texts(value))


def _methods(value: object) -> frozenset[str]:
    return PASSED | {checks.method_of(text) for text in _texts(value)}


def _duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f'{value!r} is no duration; write it like "10s" or "6h"')
    found = units.seconds(value) if isinstance(value, str) else float(value)
    if not 0 <= found <= STALE_MOST_S:
        raise ValueError(f"{value!r} is not between 0 and a year")
    return int(found)


def wait(value: object) -> int:
    """How long an origin may take until an answer begins, in seconds. ValueError."""
    found = _duration(value)
    if not 1 <= found <= LONGEST_WAIT_S:
        raise ValueError(f"{value!r} is not between 1 s and {LONGEST_WAIT_S} s")
    return found


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value < 0):
        raise ValueError(f'{value!r} is no size; write it like "512M" or "4G"')
    return units.size_bytes(value) if isinstance(value, str) else value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a zone: which field of a Zone or of its Rules it fills, how it is read, what it says."""

    into: str
    read: Callable[[object], Any]
    default: str
    meaning: str


KEYS: Final[Mapping[str, Key]] = {
    "origins": Key(
        "origins", _origins, "–", "base URLs of the origins, in the order in which they are asked"
    ),
    "host": Key("hosts", _hosts, "–", "hosts it answers at besides `/z/<name>/`: one, or a list"),
    "access": Key("signed", _signed, '"public"', '"signed": only with a link (RFC 9246); or "public"'),
    "query": Key(
        "query",
        _query,
        '"all"',
        'parameters that reach the origin and tell answers apart: "all", "none", a list',
    ),
    "forward": Key(
        "forward", _forward, "–", "fields of a request that reach the origin as well; they tell answers apart"
    ),
    "methods": Key("methods", _methods, "–", f"methods passed on besides GET and HEAD: {', '.join(FURTHER)}"),
    "fresh": Key("default_s", _duration, "–", "how long an answer is fresh whose origin does not say"),
    "stale-while-revalidate": Key(
        "stale_while_revalidate_s", _duration, "–", "how long a stale one may be served while it is renewed"
    ),
    "stale-if-error": Key(
        "stale_if_error_s", _duration, "–", "how long a stale one may be served while the origin fails"
    ),
    "largest": Key("body_most", _size, "–", "no longer body is kept; longer ones are passed on"),
    "upload": Key("upload_bytes", _size, '"1M"', "the longest body of a request that is passed on"),
    "host-header": Key(
        "host_header",
        lambda value: checks.host_of(_text(value)),
        "the origin's",
        "Host that origins are asked for",
    ),
    "path": Key(
        "base",
        lambda value: checks.base_of(_text(value)),
        "–",
        "path at the origins under which the zone begins",
    ),
    "private": Key(
        "private", _switch, "false", "true: an origin's name may lead to a private or loopback address"
    ),
    "first-byte": Key(
        "first_byte_s", wait, '"5s"', "how long an origin may take until an answer to GET or HEAD begins"
    ),
    "health": Key(
        "health_path",
        lambda value: checks.health_of(_text(value)),
        "–",
        "path that each origin is asked for every 5 s, to see whether it is well",
    ),
    "through": Key(
        "through", _through, "–", "base URLs of shields that have this zone, asked before the origins"
    ),
}
_RULES: Final = ("default_s", "stale_while_revalidate_s", "stale_if_error_s", "body_most")
