"""Which system runs in a data directory: `run.json`, written by what runs and read by the commands.

    {"keys": URL, "origin": URL, "admin": URL, "edges": [URL…], "port_base": n, "pid": n}

Services that run alone add their part and take it away again when they end. Where keys runs without edges, it
says which there are elsewhere, as `known_edges`.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.layers import SettingError

FILE: Final = "run.json"


class NotRunning(Exception):
    """No system runs in the data directory. The text is a sentence for the operator."""


@dataclass(frozen=True)
class Running:
    """A system that runs. URLs without a slash at the end; None for a service that is not among it."""

    data: Path
    keys: str | None
    origin: str | None
    admin: str | None
    edges: tuple[str, ...]  # public; those of other machines, where none runs here
    pid: int
    port_base: int | None = None  # of the edges, which viewers may know by other addresses


def find(data: Path) -> Running:
    """The system that runs in this data directory. NotRunning when there is none."""
    found = _read(data)
    if not found:
        raise NotRunning(f"Nothing runs in {data.absolute()}: start it with `sluice up --data {data}`.")
    return Running(
        data.absolute(),
        found.get("keys"),
        found.get("origin"),
        found.get("admin"),
        tuple(found.get("edges") or found.get("known_edges", ())),
        int(found.get("pid", 0)),
        found.get("port_base"),
    )


def known_edges(data: Path) -> tuple[str, ...]:
    """The public base URLs of the edges known in this data directory now; none where nothing runs."""
    try:
        return find(data).edges
    except NotRunning:
        return ()


@contextmanager
def announced(data: Path, parts: dict[str, Any]) -> Iterator[None]:
    """Has these parts in `run.json` while entered, beside what others run."""
    _change(data, {**parts, "pid": os.getpid()}, remove=())
    try:
        yield
    finally:
        _change(data, {}, remove=tuple(parts))


def note(data: Path, parts: dict[str, Any]) -> None:
    """Has further parts in `run.json`, for commands that wait for them, for as long as something runs."""
    _change(data, parts, remove=())


def noted(data: Path, name: str) -> Any:
    """A part of `run.json`, None when it is not there."""
    return _read(data).get(name)


@contextmanager
def alone(data: Path, services: Iterable[str]) -> Iterator[None]:
    """Holds the right to run these services in this data directory. SettingError when one runs already."""
    with ExitStack() as held:
        try:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            locks = {service: _opened(data / f"{service}.lock") for service in sorted(services)}
            for fd in locks.values():
                held.callback(os.close, fd)
        except OSError as error:
            raise SettingError(f"data: {data.absolute()} cannot be used: {error.strerror}.") from error
        for service, fd in locks.items():
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                where = f"{data.absolute()} already{_by(fd)}"
                raise SettingError(
                    f"data: {service} runs in {where}: end that, or use other --data."
                ) from error
        for fd in locks.values():  # only when all are ours: a start that is refused leaves no name
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield


def who_runs(data: Path, services: Iterable[str]) -> tuple[int, ...]:
    """The processes that run any of these services in this data directory: one each, in that order."""
    found: dict[int, None] = {}
    for service in services:
        with suppress(OSError), (data / f"{service}.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said = os.pread(lock.fileno(), 20, 0).strip()
                found |= {int(said): None} if said.isdigit() else {}
    return tuple(found)


def _by(lock: int) -> str:
    """Who holds this lock, in words; empty when it does not say."""
    pid = os.pread(lock, 20, 0).strip()
    return f" (process {int(pid)})" if pid.isdigit() else ""


def _read(data: Path) -> dict[str, Any]:
    try:
        found = json.loads((data / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _change(data: Path, parts: dict[str, Any], remove: tuple[str, ...]) -> None:
    with open(_opened(data / "run.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = {name: value for name, value in _read(data).items() if name not in remove} | parts
        if not set(kept) & {"keys", "origin", "admin", "edges"}:
            (data / FILE).unlink(missing_ok=True)
            return
        partial = data / f"{FILE}.part"
        partial.write_text(json.dumps(kept) + "\n")
        partial.chmod(0o600)
        partial.replace(data / FILE)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
