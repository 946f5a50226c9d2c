"""The table of settings as a person reads it: rows for `--help`, `sluice settings` and the README."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

from deploy import units
from deploy.settings import ALL, Settings

BEGIN: Final = "<!-- settings: written by `sluice settings --readme` -->"
END: Final = "<!-- /settings -->"


@dataclass(frozen=True)
class Row:
    """One setting as it is shown. `default` is text, empty where there is none."""

    name: str  # as on the command line, without --
    attribute: str
    type: str
    unit: str
    default: str
    meaning: str
    services: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "SLUICE_" + self.attribute.upper()


def rows() -> list[Row]:
    """Every setting in the order of the table."""
    hints = get_type_hints(Settings, include_extras=True)
    return [_row(attribute, hints[attribute]) for attribute in Settings.model_fields]


def rows_for(service: str | None) -> list[Row]:
    """The settings this service reads; all of them for None (what `up` takes)."""
    return [row for row in rows() if service is None or service in row.services]


def markdown() -> str:
    """The README's table."""
    lines = ["| setting | type | default | read by | meaning |", "|---|---|---|---|---|"]
    for row in rows():
        kind = f"{row.type}, {row.unit}" if row.unit and row.unit not in ("seconds", "bytes") else row.type
        read_by = "all" if row.services == ALL else ", ".join(row.services)
        default = f"`{row.default}`" if row.default else "–"
        lines.append(f"| `{row.name}` | {kind} | {default} | {read_by} | {row.meaning} |")
    return "\n".join(lines)


def write_into(readme: Path) -> None:
    """Puts the table between its markers in this file. ValueError when they are missing."""
    write_between(readme, BEGIN, END, markdown())


def write_between(page: Path, begin: str, end: str, table: str) -> None:
    """Puts a table between two markers in a page. ValueError when they are missing."""
    text = page.read_text()
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no {begin} … {end}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{table}\n{end}", text))


def _row(attribute: str, hint: Any) -> Row:
    field = Settings.model_fields[attribute]
    extra = cast("dict[str, Any]", field.json_schema_extra)
    kind = _type_name(hint)
    return Row(
        name=attribute.replace("_", "-"),
        attribute=attribute,
        type=kind,
        unit=extra["unit"],
        default=_shown(field.default, kind),
        meaning=field.description or "",
        services=tuple(extra["services"]),
    )


def _type_name(hint: Any) -> str:
    """The name that ends the annotation, also inside `… | None`."""
    if get_origin(hint) is Annotated:
        return str(hint.__metadata__[-1])
    return next(_type_name(part) for part in get_args(hint) if get_origin(part) is Annotated)


def _shown(default: object, kind: str) -> str:
    if default is None or default == () or default == "":
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, int | float) and kind == "duration":
        return units.show_seconds(default)
    if isinstance(default, int) and kind == "size":
        return units.show_bytes(default)
    return f"{default:g}" if isinstance(default, float) else str(default)
