"""Two edges with one Redis behind a shield, and an origin that can be made unreliable.

    viewer ── doors[i] ── edge i ──┬── way (a proxy) ── shield ──┐
                                   └─────────────────────────────┴── origin (a proxy) ── origin
The shield is a process with a data directory of its own, as on another machine; it can be killed and
started again. All that reaches the origin passes one proxy, which counts it.
"""

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from deploy.layout import Layout
from deploy.settings import Settings
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy
from tests.support.system import END_WITHIN_S, System, _read, clean_environment, descendants, sluice_command

READY_WITHIN_S: Final = 120.0


class Shield:
    """One shield under test, beside a running system."""

    def __init__(self, data: Path, system: System, *options: str) -> None:
        self.data, self.url = data, f"http://127.0.0.1:{system.base + 3}"
        self._errors = data.parent / f"{data.name}.stderr"
        self._argv = [
            *sluice_command(),
            *("shield", "--data", str(data), "--port-base", str(system.base), "--workers", "2", *options),
        ]
        secrets = data / "secrets"
        secrets.mkdir(parents=True, mode=0o700)
        shutil.copy(system.data / "secrets" / "join-token", secrets)  # as an operator does, and no more
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "Shield":
        """Starts it and waits until it serves."""
        lines: queue.Queue[str] = queue.Queue()
        with self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                self._argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=clean_environment()
            )
        threading.Thread(target=_read, args=(self.process.stdout, lines), daemon=True).start()
        deadline = time.monotonic() + READY_WITHIN_S
        line = lines.get(timeout=READY_WITHIN_S)
        assert line.startswith("ready "), f"{deadline - time.monotonic():.0f} s left: {line}\n{self.logs()}"
        return self

    def kill(self) -> None:
        """All of its processes die at once, as with their machine."""
        assert self.process is not None
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(END_WITHIN_S)

    def stop(self) -> int:
        """Ends it as an operator does; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_WITHIN_S)

    def metrics(self) -> str:
        """What it says of itself."""
        return httpx.get(f"{self.url}/metrics", timeout=10).text

    def logs(self) -> str:
        """All it wrote."""
        files = [self._errors, *sorted((self.data / "logs").glob("*.log"))]
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in files if path.exists())


class Shielded(Fleet):
    """The fleet, the way to its shield, and the shield."""

    way: Proxy
    shield: Shield

    def cached(self) -> dict[str, bytes]:
        """What the shield holds in shared memory, by file."""
        found = {}
        for place in Path("/dev/shm").glob(f"sluice-{os.geteuid()}-*/shield"):
            for file in place.glob("s-*"):
                found[file.name] = file.read_bytes()
        return found


@contextmanager
def shielded(data: Path, *options: str, both: Sequence[str] = ()) -> Iterator[Shielded]:
    """All of it for the time of the block; seen to end. `both`: options of system and shield."""
    with Proxy() as origin, Proxy() as keys, Proxy() as way, Proxy() as one, Proxy() as two:
        told = ("--origin-url", origin.url, "--keys-url", keys.url, *both)
        system = System(data, *told, "--shields", way.url, *options, edges=2, workers=2)
        origin.target, keys.target = ("127.0.0.1", system.base + 1), ("127.0.0.1", system.base)
        way.target = ("127.0.0.1", system.base + 3)
        one.target, two.target = (("127.0.0.1", system.base + 10 + edge) for edge in range(2))
        shield: Shield | None = None
        try:
            world = Shielded(system.start(), origin, keys, [one, two])
            world.way = way
            world.shield = shield = Shield(data.parent / "shield", system, *told)
            shield.start()
            yield world
        finally:
            if shield is not None and shield.process is not None and shield.process.poll() is None:
                assert shield.stop() == 0, shield.logs()
            elif shield is not None:  # who was killed left its memory behind
                shutil.rmtree(Layout(Settings(data=shield.data)).shield_l1.parent, ignore_errors=True)
            if system.process is not None and system.process.poll() is None:
                assert system.stop() == 0, system.logs()
