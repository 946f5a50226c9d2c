"""Assets and jobs as the API shows them, and what it takes about them. Pure."""

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, StringConstraints

from origin.control.operation import LINE, Line, Model
from origin.control.paging import Paged
from origin.store.catalogue import Asset

State = Literal["uploading", "queued", "ingesting", "published", "failed", "cancelled"]
JobState = Literal["uploading", "queued", "ingesting", "failed", "cancelled"]
JOB_STATES: Final[tuple[str, ...]] = get_args(JobState)

Seconds = Annotated[float, Field(description="Seconds.")]
Time = Annotated[float, Field(description="Seconds since 1970.")]


class Download(Model):
    """A file that viewers may take away whole."""

    name: str
    size: int = Field(description="Bytes.")
    type: str = Field(description="Media type.")
    protection: Literal["clear", "ece"] = "clear"


class AssetView(Model):
    """One published work, or what is to become one."""

    id: str
    title: str
    source_name: str = Field(description="What its file was called.")
    state: State
    progress: float = Field(description="Of its ingest, 0 to 1.")
    rate: float = Field(description="Media seconds that are ingested in a second.")
    eta_s: float | None = Field(description="Seconds its ingest has still to go.")
    error: str = Field(description="Why it failed, a sentence; else empty.")
    created: Time
    updated: Time
    generation: int = Field(description="The published generation; 0: none.")
    duration: Seconds
    width: int
    height: int
    bytes: int = Field(description="Stored, over all renditions.")
    upload_bytes: int
    renditions: list[str]
    download: str
    downloads: list[Download]
    drm: str


class AssetList(Model):
    """A page of assets, the newest first."""

    items: list[AssetView]
    next: str | None = Field(description="Cursor of the next page; null: this is the last.")


class AssetQuery(Paged):
    """Which assets."""

    state: State | None = None
    q: Line = Field(default="", description="Part of the ID or title.")


class UploadQuery(Model):
    """What is said of a file that is uploaded."""

    name: Line = Field(default="", description="What the file is called.")
    id: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$", description="Of the new asset.")
    title: Line = ""
    download: Literal["", "original", "renditions", "both", "original-ece", "renditions-ece", "both-ece"] = (
        Field(default="", description="What viewers may take away whole.")
    )
    drm: Annotated[str, StringConstraints(max_length=1024, pattern=LINE)] = Field(
        default="", description="Where content keys of a DRM provider come from."
    )


class AssetChange(Model):
    """What is to be another."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=LINE)]


class JobView(Model):
    """The ingest of an asset that is not published."""

    asset: str
    state: JobState
    progress: float
    rate: float
    eta_s: float | None
    error: str
    created: Time
    updated: Time


class JobList(Model):
    """A page of jobs, those of the newest assets first."""

    items: list[JobView]
    next: str | None = Field(description="Cursor of the next page; null: this is the last.")


class JobQuery(Paged):
    """Which jobs."""

    state: JobState | None = None


def asset_view(asset: Asset) -> AssetView:
    """The asset as it is shown."""
    known: dict[str, Any] = asset.public()
    return AssetView.model_validate({name: known[name] for name in AssetView.model_fields})


def job_view(asset: Asset) -> JobView:
    """Its ingest as it is shown."""
    known: dict[str, Any] = asset.public() | {"asset": asset.id}
    return JobView.model_validate({name: known[name] for name in JobView.model_fields})
