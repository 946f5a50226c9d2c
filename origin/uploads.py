"""Uploads: bytes of a request to a whole file, an inspected film and a queued asset; or to nothing at all.

Two shapes, one path: the raw body of `POST /v1/uploads`, and the files of a form at `POST /upload`. A form's
files are accepted together when the form is complete, each with its own outcome. Names from clients are text
for people (`origin.filenames`), never paths.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from starlette.requests import ClientDisconnect, Request

from keys.names import asset_id
from keys.problems import Problem
from origin.downloads import choice
from origin.drm import source
from origin.filenames import clean_line, display_name, id_of, title_of
from origin.forms import Field, FileBegin, FileData, FileEnd, FormReader
from origin.incoming import Draft, Incoming

STALL_S: Final = 60.0  # silence after which an upload counts as cut


class Intake(Protocol):
    """What uploads need of ingest."""

    async def inspect(self, path: Path) -> None:
        """Problem not_media unless the file holds video or audio that can be played."""

    async def submit(self, asset: str, title: str, path: Path, download: str = "", drm: str = "") -> None:
        """Queues the file as a new asset; owns it from then on. Problem conflict when the ID is taken."""

    async def taken(self, asset: str) -> bool:
        """Whether there is an asset of this ID."""

    async def owner(self, path: Path) -> str | None:
        """The asset that owns the file; None when none does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: an asset, or the reason there is none."""

    name: str
    asset: str | None
    problem: Problem | None = None

    def row(self) -> dict[str, object]:
        """As JSON for the page."""
        if self.problem is None:
            return {"name": self.name, "asset": self.asset, "state": "queued"}
        return {"name": self.name, "code": self.problem.code, "message": self.problem.message}


@dataclass(frozen=True, slots=True)
class _Named:
    """A whole draft and what its sender called it."""

    draft: Draft
    name: str
    title: str
    asset: str | None
    download: str  # what viewers may take away whole
    drm: str = ""  # where content keys come from (`origin.drm`)


class Uploads:
    """Takes uploads in."""

    def __init__(self, incoming: Incoming, intake: Intake, *, stall_s: float = STALL_S) -> None:
        self._incoming = incoming
        self._intake = intake
        self._stall_s = stall_s

    def check(self, length: int) -> None:
        """Returns when an upload of `length` bytes would be taken now.

        Problem too_large or disk_full otherwise.
        """
        self._incoming.check(length)

    async def raw(
        self, request: Request, *, name: str, title: str, asset: str | None, download: str = "", drm: str = ""
    ) -> str:
        """The asset made from the request's body."""
        wanted, offered, provided = asset_id(asset) if asset else None, choice(download), source(drm)
        length = announced(request)
        async with self._incoming.draft(length) as draft:
            async for piece in self._pieces(request):
                await draft.write(piece)
            if length is not None and draft.size != length:
                raise Problem("bad_request", "The upload ended before it was complete.")
            await draft.finish()
            shown = display_name(name or title)
            file = _Named(draft, shown, clean_line(title, title_of(shown)), wanted, offered, provided)
            await self._inspect(file)
            await _still_wanted(request)
            return await self._submit(file)

    async def form(self, request: Request) -> list[Outcome]:
        """What became of each file of a form, in its order.

        A field `title` or `id` names the file after it; `download` says what may be taken away of
        all files after it.
        """
        reader = FormReader(request.headers.get("content-type", ""))
        async with AsyncExitStack() as drafts:
            files = await self._read_form(request, reader, drafts)
            reader.finish()
            refused = [await _problem(self._inspect(file)) for file in files]
            await _still_wanted(request)
            return [await self._outcome(file, no) for file, no in zip(files, refused, strict=True)]

    async def _read_form(self, request: Request, reader: FormReader, drafts: AsyncExitStack) -> list[_Named]:
        files: list[_Named] = []
        fields: dict[str, str] = {}
        left = announced(request)  # bytes of the form still to come
        draft: Draft | None = None
        filename = ""
        async for piece in self._pieces(request):
            left = None if left is None else left - len(piece)
            for event in reader.feed(piece):
                match event:
                    case Field(name, value):
                        fields[name] = value
                    case FileBegin(filename):
                        room = None if left is None else left + len(piece)
                        draft = await drafts.enter_async_context(self._incoming.draft(room))
                    case FileData(data) if draft is not None:
                        await draft.write(data)
                    case FileEnd() if draft is not None:
                        if (
                            filename or draft.size
                        ):  # a browser sends an empty, nameless file for an empty field
                            await draft.finish()
                            files.append(_named(draft, filename, fields))
                        fields = {name: text for name, text in fields.items() if name == "download"}
        if not files and reader.complete:
            raise Problem("bad_request", "Choose at least one file.")
        return files

    async def _outcome(self, file: _Named, refused: Problem | None) -> Outcome:
        if refused is not None:
            return Outcome(file.name, None, refused)
        try:
            return Outcome(file.name, await self._submit(file))
        except Problem as problem:
            return Outcome(file.name, None, problem)

    async def _inspect(self, file: _Named) -> None:
        if file.draft.size == 0:
            raise Problem("not_media", "This file is empty.")
        await self._intake.inspect(file.draft.path)

    async def _submit(self, file: _Named) -> str:
        asset = await submit(self._intake, file.asset, file.title, file.draft.path, file.download, file.drm)
        file.draft.keep()
        return asset

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ClientDisconnect when it is cut, Problem when it stalls."""
        stream = request.stream().__aiter__()
        while True:
            try:
                async with asyncio.timeout(self._stall_s):
                    piece = await anext(stream, None)
            except TimeoutError as exc:
                raise Problem("bad_request", "The upload stalled and was given up.") from exc
            if piece is None:
                return
            if piece:
                yield piece


async def submit(
    intake: Intake, wanted: str | None, title: str, path: Path, download: str, drm: str = ""
) -> str:
    """The new asset: of the wanted ID, else of the first free one that its title makes. Problem conflict."""
    for candidate in [wanted] if wanted else _candidates(title):
        try:
            await intake.submit(candidate, title, path, download, drm)
        except Problem as problem:
            if problem.code != "conflict" or wanted:
                raise
            continue
        return candidate
    raise Problem("conflict", "There are too many films of this name. Choose an ID of your own.")


def announced(request: Request) -> int | None:
    """The Content-Length of the request in bytes, None when it announces none.

    Problem bad_request when malformed.
    """
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem("bad_request", "The Content-Length is not a number.")
    return int(text)


def _named(draft: Draft, filename: str, fields: dict[str, str]) -> _Named:
    shown = display_name(filename)
    wanted = asset_id(fields["id"]) if fields.get("id") else None
    title, offered = clean_line(fields.get("title", ""), title_of(shown)), choice(fields.get("download", ""))
    return _Named(draft, shown, title, wanted, offered)


def _candidates(title: str) -> list[str]:
    base = id_of(title)
    return [base, *(f"{base}-{number}" for number in range(2, 1000))]


async def _problem(work: Awaitable[None]) -> Problem | None:
    try:
        await work
    except Problem as problem:
        return problem
    return None


async def _still_wanted(request: Request) -> None:
    """Returns while the sender is there. Who leaves while his file is looked at has cancelled it."""
    if await request.is_disconnected():
        raise ClientDisconnect
