"""A showing: many sessions on two edges play a film nobody has asked for yet, each to its end.

Shows that every frame arrives, that no two sessions get the same bytes, and that the origin is asked once.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from deploy.demo.check import ledger
from deploy.demo.check.film import Film
from deploy.demo.check.ground import Ground
from deploy.demo.check.progress import Tell
from deploy.demo.check.report import NotShown, Report
from deploy.demo.check.seats import Seat, played, seated


async def show(ground: Ground, film: Film, sessions: int, report: Report, tell: Tell) -> None:
    """Plays the film with so many sessions; reports on frames, ciphertexts and the origin's ledger."""
    before = await ledger.reading(ground)
    edges = range(len(ground.edges))
    async with seated(ground, film.asset, sessions, "session", edges=edges) as seats:
        await played(seats, film.true, film.fps, tell)
        _tell_frames(seats, film, report)
        await _tell_ciphertexts(seats, film, report)
        # Players need not have asked for all there is: what is left is asked for at both edges at once.
        await asyncio.gather(*(_take_all(seat, film) for seat in seats[: len(ground.edges)]))
    ledger.tell(report, ledger.between(before, await ledger.reading(ground), film.true.stored))


def _tell_frames(seats: Sequence[Seat], film: Film, report: Report) -> None:
    trouble = [told for seat in seats if (told := seat.trouble(film.true))]
    frames = sum(len(seat.player.decoded.video) for seat in seats)
    wanted = sum(len(seat.wanted(film.true)) for seat in seats)
    complete = len(seats) - len(trouble)
    report.fields["sessions"] = complete
    report.fields["frames_ok"] = not trouble
    edges = len({seat.edge for seat in seats})
    report.found(
        "frames",
        f"{len(seats)} sessions on {edges} edges play the whole film at reading pace",
        not trouble,
        trouble[0] if trouble else f"{complete} sessions, {frames} frames equal",
        f"{wanted} packaged frames, and the sound",
    )


async def _tell_ciphertexts(seats: Sequence[Seat], film: Film, report: Report) -> None:
    """Every session asks for one segment: all bodies differ, and each decrypts to the packaged segment."""
    rendition = seats[0].rendition
    segments = await seats[0].viewer.segments(rendition)
    segment = segments[len(segments) // 2]
    bodies = await asyncio.gather(*(seat.viewer.cipher(rendition, segment.number) for seat in seats))
    distinct = len({hashlib.sha256(body).digest() for body in bodies})
    same_film = 0
    for seat, body in zip(seats, bodies, strict=True):
        plain = await seat.viewer.plain(rendition, segment, body)
        same_film += film.true.is_segment(rendition, segment.number, plain)
    report.fields["distinct_ciphertexts"] = distinct
    report.found(
        "ciphertexts",
        "no two sessions get the same bytes of a segment, and each opens to the packaged one",
        distinct == same_film == len(seats),
        f"{distinct} different, {same_film} open to the film",
        f"{len(seats)} sessions",
    )


async def _take_all(seat: Seat, film: Film) -> None:
    """Every object of every rendition, each compared with what was packaged."""
    viewer = seat.viewer
    for rendition in (*viewer.videos, *viewer.audios):
        await viewer.init(rendition)
        for segment in await viewer.segments(rendition):
            body = await viewer.cipher(rendition, segment.number)
            plain = await viewer.plain(rendition, segment, body)
            if not film.true.is_segment(rendition, segment.number, plain):
                raise NotShown(f"Segment {rendition}/{segment.number} is not the packaged one.")
