"""The command line: `sluice COMMAND`. Commands live in `deploy.commands`; here is what they share with the
shell.

Exit codes: 0 done, 1 failed, 2 wrong usage or a setting that cannot be used, 3 no running system. A user's
mistake is one sentence on stderr, never a traceback.
"""

import sys
from importlib import import_module
from typing import Any, Final

import click

from deploy.layers import SettingError
from deploy.running import NotRunning
from deploy.supervise import ChildFailed
from keys.problems import Problem

FAILED, USAGE, NOTHING_RUNS = 1, 2, 3


# Each command and the module of `deploy.commands` it is in. Only the one that runs is imported: starting a
# system needs libraries that a link does not.
COMMANDS: Final = {
    "up": "start",
    "keys": "start",
    "origin": "start",
    "ingest": "start",
    "edge": "start",
    "admin": "start",
    "shield": "start",
    "restart": "restart",
    "backup": "backup",
    "restore": "backup",
    "doctor": "doctor",
    "add": "media",
    "link": "links",
    "drm": "drm",
    "limit": "limit",
    "nodes": "nodes",
    "purge": "purge",
    "revoke": "revoke",
    "rotate": "rotate",
    "sessions": "links",
    "tokens": "tokens",
    "webhooks": "webhooks",
    "stats": "stats",
    "assets": "media",
    "jobs": "jobs",
    "rm": "media",
    "fetch": "fetch",
    "settings": "show",
    "metrics": "show",
    "zones": "zones",
    "demo": "demo",
}


class Commands(click.Group):
    """The commands, imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        module = COMMANDS.get(cmd_name)
        found: Any = module and getattr(import_module(f"deploy.commands.{module}"), cmd_name)
        return found or None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def sluice() -> None:
    """Sluice: an edge cache for video that encrypts every stream with keys of its own.

    `sluice demo` shows everything on this machine. `sluice up` runs it; `add`, `link`, `revoke`, `purge`,
    `sessions`, `rotate`, `stats`, `assets`, `jobs`, `limit`, `drm`, `nodes`, `tokens`, `webhooks` and `rm`
    then speak to what runs in the data directory (--data or SLUICE_DATA). `fetch` downloads what a link
    offers, from anywhere.
    """


def main() -> int:
    """Runs the command line of this process; the exit code."""
    try:
        result = sluice.main(prog_name="sluice", standalone_mode=False)
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return FAILED
    except SettingError as error:
        return _told(str(error), USAGE)
    except NotRunning as error:
        return _told(str(error), NOTHING_RUNS)
    except ChildFailed as error:
        return _told(str(error), USAGE if error.usage else FAILED)
    except Problem as problem:
        return _told(problem.message, FAILED)
    return result if isinstance(result, int) else 0


def _told(sentence: str, code: int) -> int:
    click.echo(f"sluice: {sentence}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
