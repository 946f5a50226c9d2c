"""`sluice revoke`: taking back a session, a link, a viewer, an asset, a signing key, or all of a tenant."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any, Final

import click

from deploy.commands.links import LOOK_BACK_S
from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from keys.names import DEFAULT_TENANT
from keys.revocation import FOREVER

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_TOKEN: Final = re.compile(r"[;?&][A-Za-z0-9_]+=([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)(?=[/?#&]|$)")
_KINDS: Final = {
    "session": "sid",
    "link": "lid",
    "viewer": "viewer",
    "asset": "asset",
    "signing-key": "kid",
    "kid": "kid",
    "slow": "slow",
}


class TakesIds(click.Command):
    """A command whose argument may be an ID: one in 64 of those begins with a dash, and is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click. IDs that look like options go behind a `--`."""
        valued = {
            name
            for each in self.params
            if isinstance(each, click.Option) and not each.is_flag
            for name in each.opts
        }
        ids = [
            number
            for number, word in enumerate(args)
            if word.startswith("-") and _ID.fullmatch(word) and (not number or args[number - 1] not in valued)
        ]
        if ids and "--" not in args:
            args = [word for n, word in enumerate(args) if n not in ids] + ["--", *(args[n] for n in ids)]
        return super().parse_args(ctx, args)


@click.command(cls=TakesIds)
@click.argument("what", required=False)
@click.option("--session", "sid", metavar="ID", help="A session.")
@click.option("--link", "lid", metavar="ID", help="All that a link opened, and may open.")
@click.option("--viewer", metavar="ID", help="All sessions of a viewer, and his links.")
@click.option(
    "--sessions-of",
    metavar="ID",
    help="Only what this viewer watches now. His links stay good: he may come again.",
)
@click.option("--asset", metavar="ASSET", help="All sessions of an asset, and its links.")
@click.option(
    "--signing-key", "kid", metavar="ID", help="All that this key signed: `sluice rotate` lists them."
)
@click.option("--tenant-epoch", "epoch", is_flag=True, help="All links signed and sessions opened until now.")
@click.option("--undo", is_flag=True, help="Lift it again: what was ended stays ended, but links open anew.")
@data_option
def revoke(
    what: str | None,
    sid: str | None,
    lid: str | None,
    viewer: str | None,
    sessions_of: str | None,
    asset: str | None,
    kid: str | None,
    epoch: bool,
    undo: bool,
    data: Path,
) -> int:
    """Take back WHAT, on every edge within seconds: a session or link ID, a link itself, viewer:ID, asset:ID.

    slow:ID takes nothing back: this viewer, or link that names none, gets media at real time, for as long as
    a session may last.

    It counts until the last link and session it concerns have expired, a signing key's for ever. A viewer,
    asset, link, key of a site, or the tenant epoch can be lifted again with --undo.
    """
    given = {"sid": sid, "lid": lid, "viewer": viewer, "asset": asset, "kid": kid}
    named = [(kind, value) for kind, value in given.items() if value]
    named += [("epoch", DEFAULT_TENANT)] if epoch else []
    if not what and not named and not sessions_of:
        raise click.UsageError("Say what is to be taken back.")
    if sessions_of and undo:
        raise click.UsageError("Sessions that were ended stay ended: --undo is not for --sessions-of.")
    with Operator(data) as operator:
        if sessions_of:
            ended = operator.keys("DELETE", "/v1/sessions", params={"viewer": sessions_of})["ended"]
            click.echo(
                f"ended {len(ended)} session{'' if len(ended) == 1 else 's'} of {sessions_of}", err=True
            )
        if what:
            named += targets(operator, what)
        for kind, value in named:
            body = {"kind": kind, "value": value, "lift": undo}
            entry = operator.keys("POST", "/v1/revocations", json=body)
            click.echo(_told(entry, undo), err=True)
    return 0


def _told(entry: dict[str, Any], undo: bool) -> str:
    name = f"{entry['kind']} {entry['value']}"
    if entry["kind"] == "slow" and undo:
        return f"lifted {name}: paced like others again"
    if undo:
        return f"lifted {name}: links open anew"
    if entry["until"] >= FOREVER:
        return f"revoked {name} for ever"
    done = name if entry["kind"] == "slow" else f"revoked {name}"
    return f"{done} until {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(entry['until']))}"


def targets(operator: Operator, what: str) -> list[tuple[str, str]]:
    """(kind, value) of what is meant. UsageError when nothing is."""
    kind, _, value = what.partition(":")
    if kind in _KINDS and value:
        return [(_KINDS[kind], value)]
    if in_link := _TOKEN.search(what):
        return [_named_in(in_link[1])]
    if not _ID.fullmatch(what):
        raise click.UsageError("Give a session or link ID (22 characters), a link, viewer:ID or asset:ID.")
    seen = operator.keys("GET", f"/v1/sessions?live_within_s={LOOK_BACK_S}")["sessions"]
    if any(session["sid"] == what for session in seen):
        return [("sid", what)]
    return [("lid", what)]  # random IDs: an unknown one can only be a link nobody opened


def _named_in(token: str) -> tuple[str, str]:
    """The session or link a token is about. What keys believes of it is keys' affair; this only reads."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if "sid" in claims:
            return "sid", str(claims["sid"])
        return "lid", str(claims.get("lid") or claims["jti"])
    except (IndexError, ValueError, KeyError, AttributeError) as error:
        raise click.UsageError("This link holds no token that can be read.") from error
