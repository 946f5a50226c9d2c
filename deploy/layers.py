"""Where a setting's value comes from: a flag, else a SLUICE_* variable, else sluice.toml, else the default.

Anything unknown or malformed stops the start with one sentence that names the setting and where it was given.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deploy.settings import Settings

PREFIX = "SLUICE_"
_PASSWORD = re.compile(r"://[^/\s'\"]*@")  # in an address: never shown again


class SettingError(Exception):
    """A setting that cannot be used. The text is a sentence for the operator that names it."""


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], defaults: Mapping[str, Any] | None = None
) -> Settings:
    """The settings in force. `flags` holds attribute names with the values given; None means not given.

    `defaults` stand in for the table's where a command has other ones. Raises SettingError.
    """
    usual = dict(defaults or {})
    given = {name: value for name, value in flags.items() if value is not None}
    variables = _from_environment(environment)
    sources = {name: f"--{name.replace('_', '-')}" for name in given}
    file = _file({**usual, **variables, **given})
    written = _from_file(file) if file else {}
    for name in variables:
        sources.setdefault(name, PREFIX + name.upper())
    for name in written:
        sources.setdefault(name, f"{name.replace('_', '-')} in {file}")
    try:
        return Settings.model_validate({**usual, **written, **variables, **given})
    except ValidationError as error:
        raise SettingError(_sentence(error, sources)) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and value != "":
            name = variable.removeprefix(PREFIX).lower()
            _must_exist(name, variable, lambda known: PREFIX + known.upper())
            found[name] = value
    return found


def _file(said: Mapping[str, Any]) -> Path | None:
    """The settings file: the named one must exist, the one in the data directory may."""
    named = said.get("config")
    if named:
        if not Path(named).is_file():
            raise SettingError(f"config: there is no file {str(named)!r}.")
        return Path(named)
    usual = Path(said.get("data", Settings.model_fields["data"].default)) / "sluice.toml"
    return usual if usual.is_file() else None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingError(f"{file} cannot be read as TOML: {error}.") from error
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        _must_exist(name, f"{key} in {file}", lambda known: known.replace("_", "-"))
        # TOML has booleans and numbers of its own; lists stand for what flags separate by commas
        found[name] = ",".join(map(str, value)) if isinstance(value, list) else value
    return found


def _must_exist(name: str, where: str, spelled: Any) -> None:
    if name not in Settings.model_fields:
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f"; did you mean {spelled(near[0])}?" if near else "; `sluice settings` lists them all."
        raise SettingError(f"{where}: there is no such setting{hint}")


def _sentence(error: ValidationError, sources: Mapping[str, str]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    reason = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"{reason}."
    where = sources.get(name, name.replace("_", "-"))
    got = first.get("input")
    got = _PASSWORD.sub("://…@", got) if isinstance(got, str) else got
    reason = _PASSWORD.sub("://…@", reason)
    shown = f" (got {got!r})" if isinstance(got, str | int | float) and repr(got) not in reason else ""
    return f"{where}: {reason[:1].lower()}{reason[1:]}{shown}."
