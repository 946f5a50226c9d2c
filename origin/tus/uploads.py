"""Resumable uploads from creation to asset, exactly once: how many there may be, how long they stay.

    created → receiving ⇄ at rest → complete → an asset, or refused → forgotten a day later
                            └→ forgotten a day after the last bytes, or ended by its sender

A complete upload is looked at and handed to ingest where the plain upload is (`origin.uploads`). If the
service dies on the way, the next one finds out whether an asset owns the file, and hands it over only if none
does. What could not be handed over (ingest is away) is tried again, and stays until it is.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from keys.problems import Problem
from keys.tasks import end_tasks
from origin.incoming import STEP, Incoming
from origin.tus.folder import Folder, Record
from origin.tus.protocol import JOINED, PART, WHOLE, Chunk, Creation, read_metadata, wishes
from origin.tus.receiving import LOCKED, OVERRUN, Live, Receiver, in_thread
from origin.uploads import STALL_S, Intake, submit

STAYS_S: Final = 24 * 3600.0  # after the last bytes (SECURITY T15); what ended is told for as long
MAX_UNFINISHED: Final = 100
MAX_KNOWN: Final = 10_000  # those that ended included
SWEEP_S: Final = 300.0

_LOG: Final = logging.getLogger(__name__)


class Resumables:
    """All resumable uploads. `open` first; `running` finishes what an earlier run left, and sweeps.

    `now` is seconds since the epoch; `count` adds to a counter of `origin.metrics`.
    """

    def __init__(
        self,
        incoming: Incoming,
        intake: Intake,
        *,
        now: Callable[[], float],
        count: Callable[[str], None],
        stall_s: float = STALL_S,
    ) -> None:
        self._incoming = incoming
        self._intake = intake
        self._now = now
        self._count = count
        self._stall_s = stall_s
        self._folder = Folder(incoming.directory / "resumable")
        self._known: dict[str, Live] = {}

    @property
    def max_bytes(self) -> int:
        """The largest upload."""
        return self._incoming.max_bytes

    def open(self, owned: Set[Path]) -> None:
        """Takes up what an earlier run left. `owned`: the files of assets."""
        for record in self._folder.load(owned):
            live = self._known[record.id] = Live(record)
            if record.ended is None and record.length is not None:
                live.promised = max(0, record.length - record.offset)
                self._incoming.hold(live.promised)
        for live in [live for live in self._known.values() if self._is_joined(live.record)]:
            for part in live.record.parts:  # the data were joined, the parts not yet forgotten
                if left := self._known.pop(part, None):
                    self._incoming.release(left.promised)
                    self._folder.forget(part)
                    self._folder.drop_data(part)

    def _is_joined(self, record: Record) -> bool:
        """Whether its parts are in it: those of one that was not are what is left."""
        whole = record.ended is not None or self._folder.data(record.id).exists()
        return record.kind == JOINED and whole

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweeps while entered, for the first time at once."""
        sweeping = asyncio.create_task(self._sweeping())
        try:
            yield
        finally:
            await end_tasks([sweeping, *(live.finishing for live in self._known.values() if live.finishing)])

    def expires(self, record: Record) -> float:
        """When the upload will be forgotten, in seconds since the epoch."""
        return (record.touched if record.ended is None else record.ended) + STAYS_S

    def find(self, id: str) -> Live:
        """The upload. Problem not_found; gone when its time is over or it was refused."""
        live = self._known.get(id)
        if live is None:
            raise Problem("not_found", "There is no such upload.")
        if live.record.refused:
            raise Problem("gone", live.record.refused)
        if self._is_over(live):
            raise Problem("gone", "This upload was not finished in time. Start it anew.")
        return live

    async def create(self, wanted: Creation) -> Live:
        """A new upload. Problem too_many, too_large, disk_full; of parts: conflict, locked, not_found."""
        wish = wishes(read_metadata(wanted.metadata)).asset
        if wish and wanted.kind != PART and await self._intake.taken(wish):
            raise Problem("conflict", f"There is an asset “{wish}” already. Choose another ID.")
        record = Record(
            secrets.token_hex(16),
            wanted.kind,
            wanted.length,
            wanted.metadata,
            wanted.parts,
            touched=self._now(),
        )
        if wanted.kind == JOINED:
            return await self._join(record)
        if wanted.kind == WHOLE and wanted.length == 0:
            raise Problem("not_media", "This file is empty.")
        if sum(live.record.ended is None for live in self._known.values()) >= MAX_UNFINISHED:
            raise Problem(
                "too_many",
                "There are too many unfinished uploads. Finish or end some of them first.",
                retry_after_s=int(SWEEP_S),
            )
        room = min(STEP, self.max_bytes) if record.length is None else record.length
        self._incoming.reserve(room)
        live = self._add(record)
        live.promised = room
        try:
            await in_thread(self._folder.create, record)
        except BaseException:
            self._drop(live)
            raise
        return live

    async def append(
        self, live: Live, chunk: Chunk, body: AsyncIterator[bytes], announced: int | None
    ) -> None:
        """Adds a request's bytes, durably; a complete film becomes an asset.

        Problem forbidden for a joined upload, locked, conflict for another offset, too_large, disk_full,
        bad_checksum; not_media and others of ingest, when the bytes were the last.
        """
        record = live.record
        if record.kind == JOINED:
            raise Problem("forbidden", "This upload was made of parts; nothing can be added to it.")
        async with live.alone():
            if chunk.offset != record.offset:
                raise Problem("conflict", f"This upload goes on at byte {record.offset}.")
            await self._set_length(live, chunk.length)
            room = (self.max_bytes if record.length is None else record.length) - record.offset
            if announced is not None and announced > room:
                raise Problem("too_large", OVERRUN)
            pieces = live.pieces(body, self._stall_s)
            if room:
                await Receiver(live, self._folder, self._incoming, chunk).receive(pieces, room, self._now)
            else:
                async for _ in pieces:
                    raise Problem("too_large", OVERRUN)
        await self.finish(live)

    async def finish(self, live: Live) -> None:
        """Returns when a complete film is an asset; at once for a part, or when bytes are missing.

        Problem not_media and others that say no for good. What only failed (ingest is away) is tried again by
        `sweep`: the bytes are here, and nobody need wait. It goes on also when nobody does.
        """
        record = live.record
        if not (record.complete and record.ended is None and record.kind != PART):
            return
        task = self._finishing(live)
        await asyncio.wait([task])
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Problem) and failure.status < 500:
            raise failure

    async def settled(self, live: Live) -> Record:
        """How far it is, durably. Whoever is sending bytes is interrupted. Problem not_found."""
        async with live.taken_over():
            return live.record

    async def remove(self, live: Live) -> None:
        """Ends it and forgets it; an asset it became stays. Problem locked while that is being decided."""
        if live.submitting:
            raise Problem("locked", LOCKED)
        live.unwanted = True  # no asset from here on, also not of the last bytes that just came
        try:
            if live.finishing is not None:
                await end_tasks([live.finishing])
            async with live.taken_over():
                await self._forget(live)
        finally:
            live.unwanted = False

    async def sweep(self) -> None:
        """Forgets what is over, and tries again to finish what is complete."""
        for live in list(self._known.values()):
            record = live.record
            if live.busy:
                continue
            if record.ended is None and record.complete and record.kind != PART:
                await asyncio.wait(
                    [self._finishing(live)]
                )  # one after the other: each is looked at in a jail
            elif self._is_over(live):
                with contextlib.suppress(Problem):  # it was removed meanwhile
                    async with live.taken_over():
                        await self._forget(live)

    def _is_over(self, live: Live) -> bool:
        record = live.record
        waits = record.ended is None and record.complete and record.kind != PART
        return not live.busy and not waits and self._now() >= self.expires(record)

    async def _sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                _LOG.exception("sweeping the resumable uploads failed")
            await asyncio.sleep(SWEEP_S)

    async def _set_length(self, live: Live, length: int | None) -> None:
        record = live.record
        if length is None or length == record.length:
            return
        if record.length is not None:
            raise Problem("bad_request", "The length of an upload cannot be changed.")
        if length < record.offset:
            raise Problem("bad_request", "There are more bytes already than this length.")
        if length > self.max_bytes:
            self._incoming.check(length)
        missing = length - record.offset - live.promised
        if missing > 0:
            self._incoming.reserve(missing)
        else:
            self._incoming.release(-missing)
        live.promised += missing
        await in_thread(self._folder.save, replace(record, length=length))
        record.length = length

    async def _join(self, record: Record) -> Live:
        parts = [self.find(id) for id in record.parts]
        if any(part.record.kind != PART for part in parts):
            raise Problem("bad_request", "Only partial uploads can be put together.")
        async with contextlib.AsyncExitStack() as alone:
            for part in parts:
                await alone.enter_async_context(part.alone())
            if not all(part.record.complete for part in parts):
                raise Problem("conflict", "A part is not complete yet.")
            total = record.length = sum(part.record.offset for part in parts)
            if not total:
                raise Problem("not_media", "This file is empty.")
            self._incoming.reserve(total)
            live = self._add(record)  # beyond MAX_UNFINISHED too: its parts go
            live.promised = total
            try:
                await in_thread(self._folder.join, record)
            except BaseException:
                self._drop(live)
                raise
            self._incoming.release(total)
            live.promised = 0
            for part in parts:
                await self._forget(part)
        return live

    def _add(self, record: Record) -> Live:
        live = self._known[record.id] = Live(record)
        if len(self._known) > MAX_KNOWN:
            oldest = next(each for each in self._known.values() if each.record.ended is not None)
            del self._known[oldest.record.id]
            self._folder.forget(oldest.record.id)
        return live

    def _drop(self, live: Live) -> None:
        """Takes back one that could not be made."""
        del self._known[live.record.id]
        self._incoming.release(live.promised)
        self._folder.forget(live.record.id)
        self._folder.drop_data(live.record.id)

    async def _forget(self, live: Live) -> None:
        """Of one that is entered alone: its record and its data, unless that is an asset's."""
        record = live.record
        path = self._folder.data(record.id)
        mine = record.ended is None and await self._intake.owner(path) is None
        live.removed = True
        self._known.pop(record.id, None)
        self._incoming.release(live.promised)
        live.promised = 0
        await in_thread(self._folder.forget, record.id)
        if mine:
            await in_thread(self._folder.drop_data, record.id)

    def _finishing(self, live: Live) -> "asyncio.Task[None]":
        """The one task that finishes it."""
        if live.finishing is None or live.finishing.done():
            live.finishing = asyncio.create_task(self._finish(live))
            live.finishing.add_done_callback(_note)
        return live.finishing

    async def _finish(self, live: Live) -> None:
        record, path = live.record, self._folder.data(live.record.id)
        if live.unwanted or live.removed:
            return
        asset = await self._intake.owner(path)
        if asset is None and path.exists():  # no file: an asset had it, and is done with it
            wish = wishes(read_metadata(record.metadata))
            try:
                if not record.length:
                    raise Problem("not_media", "This file is empty.")
                await self._intake.inspect(path)
                live.submitting = True
                asset = await submit(self._intake, wish.asset, wish.title, path, wish.download)
            except Problem as problem:
                if problem.status < 500:
                    await self._end(live, refused=problem.message)
                    await in_thread(self._folder.drop_data, record.id)
                    self._count("uploads_refused")
                raise
            finally:
                live.submitting = False
            self._count("uploads")
        await self._end(live, asset=asset or "")

    async def _end(self, live: Live, *, asset: str = "", refused: str = "") -> None:
        live.record.asset, live.record.refused, live.record.ended = asset, refused, self._now()
        await in_thread(self._folder.save, live.record)


def _note(task: "asyncio.Task[None]") -> None:
    """For the log: often nobody waits for it."""
    if not task.cancelled() and (failure := task.exception()):
        trace = None if isinstance(failure, Problem) else failure
        _LOG.warning("a resumable upload was not taken: %s", failure, exc_info=trace)
