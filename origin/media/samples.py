"""Where the samples of a segment lie: one `moof`, one `mdat` after it, samples from its first byte to its
last.

CMAF (ISO/IEC 23000-19 §7.3.2.3) has one track to a fragment and offsets from the `moof`. A segment laid out
otherwise is refused, as what changes its head could not keep its offsets right. Sizes claimed by the bytes
are checked against the bytes that are there before anything is made of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from origin.media.boxes import BadBox, Box, Data, Fields, boxes, need
from origin.media.fragments import (
    TFHD_BASE_DATA_OFFSET,
    TFHD_DESCRIPTION_INDEX,
    TRUN_DATA_OFFSET,
    TRUN_FIRST_FLAGS,
    TRUN_PER_SAMPLE,
    TRUN_SIZE,
    Defaults,
    track_header,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """A segment's boxes that say where its samples are, and how long each sample is."""

    moof: Box
    traf: Box
    runs: tuple[Box, ...]  # trun
    payload: int  # where the payload of mdat starts
    sizes: tuple[int, ...]  # bytes of each sample, from `payload` on without a gap


def read_layout(segment: Data, defaults: dict[int, Defaults]) -> Layout:
    """The layout of one segment. BadBox when it is not one moof and mdat whose samples fill the mdat."""
    top = list(boxes(segment))
    moof, mdat = need(segment, "moof"), top[-1]
    if [box.type for box in top if box.type in ("moof", "mdat")] != ["moof", "mdat"] or mdat.type != "mdat":
        raise BadBox("a segment is one moof and one mdat at its end")
    trafs = [box for box in boxes(segment, moof) if box.type == "traf"]
    if len(trafs) != 1:
        raise BadBox(f"a fragment has one track, this one has {len(trafs)}")
    tfhd = need(segment, "tfhd", parent=trafs[0])
    _check_header(segment, tfhd)
    _, track = track_header(segment, tfhd, defaults)
    runs = tuple(box for box in boxes(segment, trafs[0]) if box.type == "trun")
    sizes: list[int] = []
    left = mdat.end - mdat.body
    for run in runs:
        offset = mdat.end - left - moof.start
        for size in _sizes(segment, run, track.size, offset, left, first=run is runs[0]):
            sizes.append(size)
            left -= size
        if left < 0:
            raise BadBox("the samples of a segment are longer than its mdat")
    if left or not sizes:
        raise BadBox(f"{left} bytes of mdat are no samples")
    return Layout(moof, trafs[0], runs, mdat.body, tuple(sizes))


def _check_header(segment: Data, tfhd: Box) -> None:
    fields = Fields(segment, tfhd)
    _, flags = fields.version_and_flags()
    if flags & TFHD_BASE_DATA_OFFSET:  # ISO/IEC 23000-19 §7.5.16: offsets are from the moof
        raise BadBox("a fragment with a base data offset")
    fields.take(4)
    if flags & TFHD_DESCRIPTION_INDEX and fields.uint(4) != 1:
        raise BadBox("a fragment with another sample description than the first")


def _sizes(segment: Data, run: Box, default: int, offset: int, left: int, *, first: bool) -> Iterator[int]:
    """The sizes of the samples of a run (§8.8.8), which must start `offset` bytes after the moof."""
    fields = Fields(segment, run)
    _, flags = fields.version_and_flags()
    count = fields.uint(4)
    given = fields.uint(4) if flags & TRUN_DATA_OFFSET else None
    if given != offset and (first or given is not None):
        raise BadBox("the samples of a run are not where the ones before end")
    fields.take(4 if flags & TRUN_FIRST_FLAGS else 0)
    present = [flag for flag in TRUN_PER_SAMPLE if flags & flag]
    if len(fields) != count * 4 * len(present):
        raise BadBox(f"trun of {count} samples has {len(fields)} bytes of them")
    if TRUN_SIZE not in present:
        if count * max(1, default) > left:  # of samples without a size there may not be more than bytes
            raise BadBox("the samples of a segment are longer than its mdat")
        yield from (default for _ in range(count))
        return
    before = 4 * present.index(TRUN_SIZE)
    for _ in range(count):
        fields.take(before)
        yield fields.uint(4)
        fields.take(4 * len(present) - before - 4)
