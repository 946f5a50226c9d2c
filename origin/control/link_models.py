"""Links as the API takes and gives them. Pure."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from keys.claims import OFFLINE_LONGEST_S
from keys.limits import MOST as MOST_COUNT
from keys.limits import MOST_COUNTRIES, SLOWEST
from keys.signing import MAX_VIEWER
from origin.control.operation import LINE, AssetName, Model

_LONGEST_S = 10 * 365 * 86_400
Period = Annotated[int, Field(ge=1, le=_LONGEST_S)]
Count = Annotated[int, Field(ge=1, lt=MOST_COUNT)]


class LinkPace(Model):
    """How fast media is handed out under the link, where not as usual."""

    burst: float | None = Field(default=None, ge=0, le=86_400, description="Seconds of media at once.")
    rate: float | None = Field(default=None, gt=1, le=100, description="Times real time after that.")
    jumps: int | None = Field(default=None, ge=0, le=1000, description="Seeks in store.")


class LinkLimits(Model):
    """What the link limits besides its times."""

    streams: Count | None = Field(default=None, description="Sessions in use at once.")
    opens: Count | None = Field(default=None, description="Sessions it opens in a minute.")
    budget: Count | None = Field(default=None, description="Bytes all its sessions may take.")
    speed: int | None = Field(default=None, ge=SLOWEST, lt=MOST_COUNT, description="Bytes a second.")
    countries: list[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = Field(
        default=[], max_length=MOST_COUNTRIES, description="Good in these countries only (ISO 3166-1)."
    )
    device: bool = Field(default=False, description="Good only in the browser that opens it first.")


class LinkRequest(Model):
    """A link that is wanted: to an asset, to a download of one, or to a path of a signed zone."""

    asset: AssetName | None = Field(default=None, description="The asset; or else `zone`.")
    download: Annotated[str, StringConstraints(max_length=132, pattern=LINE)] | None = Field(
        default=None, description="A download of the asset by name, or `*`: the first there is."
    )
    zone: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[!-~]+$")] | None = Field(
        default=None, description="A path of a signed zone, `zone/path`."
    )
    below: bool = Field(default=False, description="Of a zone: all in the path's folder and below.")
    start_within_s: Period = Field(default=7200, description="Seconds in which it has to be opened.")
    session_s: Period = Field(default=21600, description="Seconds the session may last.")
    viewer: Annotated[str, StringConstraints(min_length=1, max_length=MAX_VIEWER, pattern=LINE)] | None = (
        Field(default=None, description="Your ID of who watches; hidden in the link.")
    )
    network: Annotated[str, StringConstraints(max_length=64, pattern=LINE)] | None = Field(
        default=None, description="Good from this address or CIDR only."
    )
    once: bool = Field(default=False, description="Good for one opening.")
    link_id: (
        Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.~-]+$")] | None
    ) = Field(default=None, description="What revocation knows it by; otherwise a random one.")
    pace: LinkPace | None = Field(default=None, description="Instead of the usual pace.")
    limits: LinkLimits | None = Field(default=None, description="What else it limits.")
    renew: Literal["cookie", "redirect"] | None = Field(
        default=None, description="Of a download or zone: keep its token short-lived, and renew it so."
    )
    renew_s: Period = Field(default=60, description="Seconds each renewal lasts.")
    offline_s: int | None = Field(
        default=None, ge=1, le=OFFLINE_LONGEST_S, description="Seconds a license for offline use lasts."
    )
    edge: (
        Annotated[str, StringConstraints(max_length=300, pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$")] | None
    ) = Field(
        default=None,
        description="Base URL of the edge it is for; otherwise the first known, and good at all.",
    )


class LinkAnswer(Model):
    """A signed link. Whoever has it can open it."""

    url: str
    page: str | None = Field(description="A page that plays or decrypts it; null for a zone's.")
    link_id: str
    expires: float = Field(description="When it can no longer be opened; seconds since 1970.")
