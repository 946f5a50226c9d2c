"""What a `moof` says of its samples (ISO/IEC 14496-12 §8.8): decode time, duration, how many, does it start
in sync.

CMAF (ISO/IEC 23000-19 §7.3): a fragment has exactly one track. Durations and times are ticks of the track's
timescale. Per-sample values come from `trun`, else `tfhd`, else the init segment's `trex`. Counts given by
the bytes are checked against the bytes that are there before anything is read by them.
"""

import struct
from dataclasses import dataclass

from origin.media.boxes import BadBox, Box, Data, Fields, boxes, find, need

# §8.8.7 tfhd and §8.8.8 trun flags
TFHD_BASE_DATA_OFFSET, TFHD_DESCRIPTION_INDEX = 0x1, 0x2
TFHD_DURATION, TFHD_SIZE, TFHD_FLAGS = 0x8, 0x10, 0x20
TRUN_DATA_OFFSET, TRUN_FIRST_FLAGS = 0x1, 0x4
TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION = 0x100, 0x200, 0x400, 0x800
TRUN_PER_SAMPLE = (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION)  # in the order of the fields

NOT_SYNC = 0x10000  # §8.8.3.1 sample_is_non_sync_sample


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for samples of a track that say nothing themselves."""

    duration: int = 0  # ticks
    size: int = 0  # bytes
    flags: int = 0  # §8.8.3.1


@dataclass(frozen=True, slots=True)
class Fragment:
    """One `moof`, read."""

    sequence: int  # mfhd sequence number
    track_id: int
    decode_time: int  # ticks
    duration: int  # ticks: sum over its samples
    samples: int
    starts_with_sync: bool


@dataclass(frozen=True, slots=True)
class _Run:
    duration: int
    samples: int
    first_flags: int


def timescale(init: Data) -> int:
    """Ticks a second of the first track of an init segment (mdhd). BadBox when there is none, or it is 0."""
    return media_timescale(init, need(init, "moov", "trak"))


def media_timescale(init: Data, trak: Box) -> int:
    """Ticks a second of that track (§8.4.2 mdhd)."""
    fields = Fields(init, need(init, "mdia", "mdhd", parent=trak))
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)  # creation and modification time
    ticks = fields.uint(4)
    if ticks == 0:
        raise BadBox("mdhd has timescale 0")
    return ticks


def track_defaults(init: Data) -> dict[int, Defaults]:
    """The `trex` defaults of each track ID of an init segment (§8.8.3). BadBox when it is not fragmented."""
    mvex = need(init, "moov", "mvex")
    found: dict[int, Defaults] = {}
    for box in boxes(init, mvex):
        if box.type == "trex":
            fields = Fields(init, box)
            fields.version_and_flags()
            track_id, _, duration, size, flags = (fields.uint(4) for _ in range(5))
            found[track_id] = Defaults(duration, size, flags)
    return found


def read_fragment(data: Data, defaults: dict[int, Defaults], *, at: Box | None = None) -> Fragment:
    """The fragment whose `moof` is `at`, else the first. BadBox unless it is one track with samples."""
    moof = at or need(data, "moof")
    mfhd = Fields(data, need(data, "mfhd", parent=moof))
    mfhd.version_and_flags()
    trafs = [box for box in boxes(data, moof) if box.type == "traf"]
    if len(trafs) != 1:
        raise BadBox(f"a fragment has one track, this one has {len(trafs)}")
    track_id, track = track_header(data, need(data, "tfhd", parent=trafs[0]), defaults)
    runs = [_run(data, box, track) for box in boxes(data, trafs[0]) if box.type == "trun"]
    samples = sum(run.samples for run in runs)
    if samples == 0:
        raise BadBox("a fragment without samples")
    first_flags = next(run.first_flags for run in runs if run.samples)
    return Fragment(
        sequence=mfhd.uint(4),
        track_id=track_id,
        decode_time=_decode_time(data, trafs[0]),
        duration=sum(run.duration for run in runs),
        samples=samples,
        starts_with_sync=not first_flags & NOT_SYNC,
    )


def _decode_time(data: Data, traf: Box) -> int:
    """§8.8.12 tfdt; CMAF demands it."""
    tfdt = find(data, "tfdt", parent=traf)
    if tfdt is None:
        raise BadBox("a fragment without a decode time")
    fields = Fields(data, tfdt)
    version, _ = fields.version_and_flags()
    return fields.uint(8 if version == 1 else 4)


def track_header(data: Data, tfhd: Box, defaults: dict[int, Defaults]) -> tuple[int, Defaults]:
    """Track ID, and the defaults in force: tfhd over trex (§8.8.7). BadBox when the track is unknown."""
    fields = Fields(data, tfhd)
    _, flags = fields.version_and_flags()
    track_id = fields.uint(4)
    base = defaults.get(track_id)
    if base is None:
        raise BadBox(f"track {track_id} is not in the init segment")
    fields.take(8 if flags & TFHD_BASE_DATA_OFFSET else 0)
    fields.take(4 if flags & TFHD_DESCRIPTION_INDEX else 0)
    duration = fields.uint(4) if flags & TFHD_DURATION else base.duration
    size = fields.uint(4) if flags & TFHD_SIZE else base.size
    return track_id, Defaults(duration, size, fields.uint(4) if flags & TFHD_FLAGS else base.flags)


def _run(data: Data, trun: Box, defaults: Defaults) -> _Run:
    """§8.8.8: sum the durations of one run. Its rows must fill the box exactly."""
    fields = Fields(data, trun)
    _, flags = fields.version_and_flags()
    samples = fields.uint(4)
    fields.take(4 if flags & TRUN_DATA_OFFSET else 0)
    first_flags = fields.uint(4) if flags & TRUN_FIRST_FLAGS else None
    present = [flag for flag in TRUN_PER_SAMPLE if flags & flag]
    if len(fields) != samples * 4 * len(present):
        raise BadBox(f"trun of {samples} samples has {len(fields)} bytes of them")
    rows = list(struct.iter_unpack(f">{len(present)}I", fields.take(len(fields)))) if present else []
    duration = samples * defaults.duration
    if TRUN_DURATION in present:
        duration = sum(row[0] for row in rows)  # the first field of a row when it is there
    if first_flags is None:
        per_sample = rows[0][present.index(TRUN_FLAGS)] if rows and TRUN_FLAGS in present else None
        first_flags = defaults.flags if per_sample is None else per_sample
    return _Run(duration, samples, first_flags)
