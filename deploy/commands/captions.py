"""Captions given with `sluice add --captions LANG=FILE`: read from the command line, sent to the origin."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from deploy.commands.operator import Operator
from keys.problems import Problem
from origin.captions import Told, told
from origin.media.captions import BadCaptions
from origin.media.captions_reading import read_captions


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file of captions that can be read."""

    what: Told
    data: bytes


def given_captions(text: str) -> GivenFile:
    """What `en=film.en.srt` or `de,forced=signs.srt` names. UsageError when it cannot be read as captions."""
    said, equals, name = text.partition("=")
    language, *more = said.split(",")
    if not equals or not set(more) <= {"forced", "default"}:
        raise click.UsageError(f"--captions {text}: say LANG=FILE, such as en=film.en.srt.")
    try:
        data = Path(name).read_bytes()
        read_captions(data)
        return GivenFile(told(language, forced="forced" in more, default="default" in more), data)
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror}.") from error
    except BadCaptions as error:
        raise click.UsageError(f"{name}: {error}") from error
    except Problem as problem:
        raise click.UsageError(f"--captions {text}: {problem.message}") from problem


def send_captions(operator: Operator, asset: str, files: Sequence[GivenFile]) -> None:
    """Hands them over before the asset can be published. Problem when the origin refuses one."""
    for file in files:
        flags = {"forced": file.what.forced, "default": file.what.default}
        query = {name: "1" for name, wanted in flags.items() if wanted}
        path = f"/v1/assets/{asset}/captions/{file.what.language}"
        operator.origin("PUT", path, params=query, content=file.data)
