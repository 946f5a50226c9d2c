"""Links in the API: signed with the site's key where that lies on the origin's machine.

The key is in `secrets/issuer.json` of the data directory. An origin elsewhere has none; then the API says
where links are signed instead.
"""

import ipaddress
import secrets as random
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from keys.container import canonical_uri
from keys.limits import Limits
from keys.names import b64url
from keys.problems import Problem
from keys.secrets import BadSecret
from keys.signing import SigningKey, sign_url
from origin.control.link_models import LinkAnswer, LinkRequest
from origin.control.operation import Call, Operation, Reply, invalid
from origin.store.catalogue import Catalogue

FIRST: Final = "*"
KEYLESS: Final = (
    "The key that signs links is not on the origin's machine. Sign with `sluice link` where "
    "secrets/issuer.json lies, or put a copy of it, mode 0600, into secrets/ here."
)

Issuer = Callable[[], SigningKey]  # raises BadSecret or OSError where there is none


class LinkOperations:
    """The row."""

    def __init__(
        self,
        catalogue: Catalogue,
        issuer: Issuer,
        edges: Callable[[], Sequence[str]],
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._issuer = issuer
        self._edges = edges
        self._now = now

    def rows(self) -> list[Operation]:
        """Of the document."""
        return [
            Operation(
                "POST", "/links", "signLink", "links", "links", "Sign a link",
                self.sign, body=LinkRequest, answer=LinkAnswer, status=201, problems=(404, 409),
                description="All that `docs/links.md` tells of links. A link is good at every edge that is "
                "known here, unless `edge` names one.",
                example={"asset": "film", "viewer": "customer-4711", "session_s": 21600},
            )
        ]  # fmt: skip

    async def sign(self, call: Call) -> Reply:
        """`POST /links`."""
        asked = call.sent(LinkRequest)
        try:
            issuer = self._issuer()
        except (BadSecret, OSError) as exc:
            raise Problem("conflict", KEYLESS, detail=type(exc).__name__) from exc
        edges = [asked.edge] if asked.edge else [edge.rstrip("/") for edge in self._edges()]
        if not edges:
            raise Problem("conflict", "No edge is known here: name one with `edge`.")
        place = await self._place(asked)
        link_id = asked.link_id or b64url(random.token_bytes(16))
        now = self._now()
        try:
            _usable(edges[0])
            url = sign_url(f"{edges[0]}/{place}", issuer, hosts=edges[1:], now=now, **_how(asked, link_id))
        except (ValueError, Problem) as exc:
            told = exc.message if isinstance(exc, Problem) else str(exc)
            raise invalid(f"this link cannot be made: {told}") from exc
        page = None
        if asked.zone is None:
            page = f"{edges[0]}/watch/{'download.html' if asked.download else ''}#{url}"
        return Reply(LinkAnswer(url=url, page=page, link_id=link_id, expires=now + _opens_for(asked)))

    async def _place(self, asked: LinkRequest) -> str:
        """The path that is signed. Problem not_found, conflict or invalid."""
        if (asked.asset is None) == (asked.zone is None):
            raise invalid("a link is to an `asset` or to a path of a `zone`: name one of them")
        if asked.zone is not None:
            if asked.download is not None or asked.offline_s is not None:
                raise invalid("a zone has no downloads: leave `download` and `offline_s` out")
            return _below_zone(asked.zone)
        if asked.below:
            raise invalid("only a zone's link is for what lies below a path")
        assert asked.asset is not None
        asset = await self._catalogue.get(asked.asset)
        if asset.state != "published":
            raise Problem("conflict", f"{asset.id} is not published: it is {asset.state}.")
        if asked.download is None:
            return f"v/{asset.id}/main.m3u8"
        names = [_where(each) for each in asset.downloads]
        meant = [name for name in names if asked.download in (FIRST, name, name.removeprefix("ece/"))]
        if not meant:
            there = f"There is {', '.join(names)}." if names else "It may not be downloaded."
            raise Problem("not_found", f"{asset.id} has no such download. {there}")
        return f"d/{asset.id}/{meant[0]}"


def _below_zone(wanted: str) -> str:
    """The path of a zone's thing. Problem invalid where dots in it lead out of the zone."""
    place = f"z/{wanted.lstrip('/')}"
    name = place.split("/", 2)[1]
    base = "http://edge.invalid/"
    try:
        canonical = canonical_uri(base + place)
    except ValueError as exc:
        raise invalid(f"`zone` is no path: {exc}") from exc
    if not name or "?" in name or not canonical.startswith(f"{base}z/{name}/"):
        raise invalid("`zone` is a zone's name, a slash and a path in it")
    return place


def _where(download: dict[str, Any]) -> str:
    name, protection = str(download["name"]), download.get("protection", "clear")
    return name if protection == "clear" else f"{protection}/{name}"


def _opens_for(asked: LinkRequest) -> int:
    """Seconds in which it can be opened: a zone's that is not renewed is good, not opened."""
    return asked.session_s if asked.zone is not None and asked.renew is None else asked.start_within_s


def _how(asked: LinkRequest, link_id: str) -> dict[str, Any]:
    """As `keys.sign_url` takes it."""
    if asked.network is not None:
        ipaddress.ip_network(asked.network, strict=False)
    limits = asked.limits.model_dump() if asked.limits else {}
    countries = tuple(limits.pop("countries", ()))
    return {
        "start_within_s": _opens_for(asked),
        "session_s": asked.session_s,
        "viewer": asked.viewer,
        "network": asked.network,
        "once": asked.once,
        "pace": (asked.pace.model_dump(exclude_none=True) or None) if asked.pace else None,
        "link_id": link_id,
        "limits": Limits(**limits, countries=countries),
        "renew": asked.renew,
        "renew_s": asked.renew_s,
        "offline_s": asked.offline_s,
        "below": asked.below,
    }


def _usable(edge: str) -> None:
    """Returns for a base URL that has a host, and a port that is one. ValueError."""
    parts = urlsplit(edge)
    if not parts.hostname or parts.port == 0:
        raise ValueError("`edge` is a base URL such as https://edge.example")
