"""`sluice fetch --offline`: the encrypted file of a session and its license, resumed, renewed, verified.

    NAME.ece            the file in its encrypted form (RFC 8188)
    NAME.license        its license, as the edge gave it
    NAME.ece.part, NAME.ece.part.json, NAME.license.part      the same, while they come

Another session's form of the file is another. What is there of one that this machine has a license of is
sealed anew under the new key, record by record, instead of fetched again; plain bytes are in memory only.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.commands import fetch_state, offline_device
from deploy.commands.fetch_form import Kept
from deploy.commands.fetch_source import NO_DOWNLOAD, About
from deploy.commands.fetch_state import PIECE, State
from deploy.commands.offline_device import Device
from keys.ece import RECORD, BadCoding, Coding
from keys.offline import BadLicense, License
from keys.private_file import write_private
from keys.problems import Problem

SPOILT: Final = "What came does not open with its license's key, or is another film. Nothing was kept."

Told = Callable[[str], None]
Progress = Callable[[int], None]  # of bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A license that this machine has, and the key in it."""

    license: License
    key: bytes = field(repr=False)

    def coding(self) -> Coding:
        """Seals and opens the records of its form."""
        return Coding(self.key, self.license.salt)

    def same_film(self, other: "Held") -> bool:
        """Whether both are of the same plain file."""
        mine, its = self.license.file, other.license.file
        return (mine.asset, mine.size, mine.sha256) == (its.asset, its.size, its.sha256)

    def record(self, number: int) -> tuple[int, int, bool]:
        """Where a record begins and ends in the form, and whether it is the last."""
        header, size = self.license.header, self.license.file.size
        start = header.place(number)
        return start, min(start + RECORD, header.coded(size)), number == header.records(size) - 1

    def numbers(self, start: int = 0, stop: int | None = None) -> Iterator[int]:
        """The records that lie whole in these bytes of the form."""
        for number in range(self.license.header.records(self.license.file.size)):
            first, end, _ = self.record(number)
            if first >= start and (stop is None or end <= stop):
                yield number


def taken(device: Device, answer: bytes, about: About) -> Held:
    """The license an edge gave just now for what it told about. Problem bad_upstream for another."""
    form = about.form
    assert isinstance(form, Kept), "what is kept is kept encrypted"
    try:
        license, key = device.take(answer)
    except BadLicense as exc:
        raise Problem("bad_upstream", f"The edge gave no license that can be used: {exc}.") from exc
    if (key, license.header, license.file.size) != (form.sealed.key, form.sealed.header, form.sealed.size):
        raise Problem("bad_upstream", NO_DOWNLOAD, detail="a license of another form")
    return Held(license, key)


def found(device: Device, path: Path) -> Held | None:
    """The license in a file, in time or not; None when there is none of this machine."""
    try:
        license, key, _ = device.open(path.read_bytes())
    except (OSError, BadLicense):
        return None
    return Held(license, key)


class Place:
    """Where the file and its license go, and what of them is there."""

    def __init__(self, device: Device, target: Path) -> None:
        self._device = device
        self.target = target
        self.partial = target.with_name(target.name + ".part")
        self.saved = target.with_name(target.name + ".part.json")
        self.license = offline_device.license_path(target)
        self._coming = self.license.with_name(self.license.name + ".part")

    def holds(self, new: Held) -> bool:
        """Whether the whole file is there, in just this form."""
        try:
            with self.target.open("rb") as file:
                begin, size = file.read(new.license.header.length), os.fstat(file.fileno()).st_size
        except OSError:
            return False
        header = new.license.header
        return (begin, size) == (header.to_bytes(), header.coded(new.license.file.size))

    def renews(self, new: Held) -> bool:
        """Whether a whole file is there that this machine has a license of, and it is the same film."""
        old = found(self._device, self.license)
        return old is not None and old.same_film(new) and self.holds(old)

    def renew(self, answer: bytes) -> None:
        """Puts a license beside the file that is there."""
        write_private(self.license, answer)

    def begin(
        self, fd: int, new: Held, about: About, answer: bytes, *, anew: bool, told: Told, progress: Progress
    ) -> None:
        """Puts what is there already, sealed for the new session, into the partial file and its state.

        `anew`: of a whole file that is there nothing is taken.
        """
        state, old = fetch_state.load(self.saved), found(self._device, self._coming)
        length = os.fstat(fd).st_size
        usable = state is not None and state.size == about.size == length
        if state is not None and usable and state.mark == about.mark:
            write_private(self._coming, answer)
            return
        source, spans = fd, state.done.spans if state is not None and usable else []
        whole: int | None = None
        if not spans or old is None or not old.same_film(new):
            old, spans = None, []
            if not anew and self.renews(new):
                old = found(self._device, self.license)
                source = whole = os.open(self.target, os.O_RDONLY | os.O_CLOEXEC)
                spans = [(0, about.size)]
        try:
            if old is not None:
                told("The license is of another session: what is there is sealed anew for it.")
                self._reseal(source, fd, spans, old, new, about, progress)
            write_private(self._coming, answer)
        finally:
            if whole is not None:
                os.close(whole)

    def _reseal(
        self,
        source: int,
        fd: int,
        spans: list[tuple[int, int]],
        old: Held,
        new: Held,
        about: About,
        progress: Progress,
    ) -> None:
        """What cannot be opened is left to be fetched. The state never says more than is there."""
        state = State(about.mark, about.size)
        state.save(self.saved)
        os.ftruncate(fd, about.size)
        os.pwrite(fd, new.license.header.to_bytes(), 0)
        state.done.add(0, new.license.header.length)
        before, after, unsaved = old.coding(), new.coding(), 0
        for start, stop in list(spans):
            for number in old.numbers(start, stop):
                first, end, last = old.record(number)
                try:
                    plain = before.open(number, os.pread(source, end - first, first), last=last)
                except BadCoding:
                    continue
                os.pwrite(fd, after.seal(number, plain, last=last), first)
                state.done.add(first, end)
                progress(end - first)
                unsaved += end - first
                if unsaved >= PIECE:
                    state.save(self.saved)
                    unsaved = 0
        state.save(self.saved)

    def verify(self, fd: int, new: Held, progress: Progress) -> str:
        """The SHA-256 of the plain bytes, in hex. Problem bad_upstream, nothing kept, for another film."""
        coding, digest = new.coding(), hashlib.sha256()
        try:
            for number in new.numbers():
                first, end, last = new.record(number)
                progress(end - first)
                digest.update(coding.open(number, os.pread(fd, end - first, first), last=last))
        except BadCoding:
            self._drop()
            raise Problem("bad_upstream", SPOILT) from None
        if digest.digest() != new.license.file.sha256:
            self._drop()
            raise Problem("bad_upstream", SPOILT)
        return digest.hexdigest()

    def finish(self, answer: bytes) -> None:
        """Gives file and license their names."""
        self.partial.replace(self.target)
        write_private(self.license, answer)
        self._coming.unlink(missing_ok=True)
        self.saved.unlink(missing_ok=True)

    def _drop(self) -> None:
        for path in (self.partial, self.saved, self._coming):
            path.unlink(missing_ok=True)
