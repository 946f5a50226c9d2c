"""Links that must open nothing: altered, expired, revoked. Tried at every edge, beside one that opens."""

import asyncio
import time
from typing import Final

import httpx

from deploy.demo.check.ground import Ground
from deploy.demo.check.report import NotShown, Report
from deploy.demo.check.viewer import Viewer
from keys.container import split_token
from keys.jws import parse
from keys.strict_json import strict_object

REVOKED_WITHIN_S: Final = 10.0  # on every edge
LOOK_EVERY_S: Final = 0.1
LONG_AGO_S: Final = 3 * 3600
KINDS: Final = ("altered", "expired", "revoked")


async def refuse(ground: Ground, asset: str, report: Report) -> None:
    """Tries the three kinds of links and reports how many were refused everywhere."""
    async with Viewer(ground.link(asset, "check-refusals")) as good:
        await good.opened()  # else a refusal would show nothing
        altered = [_altered(ground.link(asset, "check-altered")), _other_asset(good.link, asset)]
        expired = [ground.link(asset, "check-expired", now=time.time() - LONG_AGO_S)]
        refused = {
            "altered": await _all_forbidden(ground, altered),
            "expired": await _all_forbidden(ground, expired),
        }
        took_s = await _revoked(ground, good)
    refused["revoked"] = took_s <= REVOKED_WITHIN_S
    count = sum(refused.values())
    report.fields["refused"] = count
    report.more["revoked_within_seconds"] = round(took_s, 2)
    missed = ", ".join(kind for kind in KINDS if not refused[kind])
    report.found(
        "refusals",
        "altered, expired and revoked links are refused with 403, at every edge",
        count == len(KINDS),
        f"not refused: {missed}" if missed else f"{count} kinds; the revoked one after {took_s:.1f} s",
        f"{len(KINDS)} kinds; {REVOKED_WITHIN_S:.0f} s",
    )


def _altered(link: str) -> str:
    """The link with one character of its payload changed."""
    token = split_token(link)[1]
    head, payload, signature = token.split(".")
    middle = len(payload) // 2
    other = "A" if payload[middle] != "A" else "B"
    return link.replace(token, f"{head}.{payload[:middle]}{other}{payload[middle + 1 :]}.{signature}")


def _other_asset(link: str, asset: str) -> str:
    """The link's token on the path of another asset."""
    return link.replace(f"/{asset}/", f"/{asset}x/")


async def _all_forbidden(ground: Ground, links: list[str]) -> bool:
    """Whether each link is refused with 403 at each edge."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        found = [
            (await client.get(_at(ground, link, edge))).status_code for link in links for edge in ground.edges
        ]
    return set(found) == {httpx.codes.FORBIDDEN}


def _at(ground: Ground, link: str, edge: str) -> str:
    """The link at another edge."""
    return link.replace(ground.edges[0], edge, 1)


async def _revoked(ground: Ground, viewer: Viewer) -> float:
    """Revokes the link of an open session; seconds until link and session are refused at every edge."""
    claims = strict_object(parse(split_token(viewer.link)[1]).payload)
    rendition = viewer.videos[0]
    await viewer.cipher(rendition, 0)
    session = viewer.segment_url(rendition, 0)
    began = time.monotonic()
    await ground.revoke("lid", str(claims["lid"]))
    while not await _all_forbidden(ground, [viewer.link, session]):
        if time.monotonic() - began > 2 * REVOKED_WITHIN_S:
            raise NotShown(f"A revoked link still plays after {2 * REVOKED_WITHIN_S:.0f} s.")
        await asyncio.sleep(LOOK_EVERY_S)
    return time.monotonic() - began
