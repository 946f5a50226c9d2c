"""Which core a process runs on, what processor time it took, and what memory is its own: asked of the kernel.

Processor time is user and system together, of all threads, by the process's own CPU clock: the number of
/proc/PID/stat, in nanoseconds instead of ticks of 10 ms.
"""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CPU_CLOCK: Final = 2  # clock_getcpuclockid(3): CPUCLOCK_SCHED of a whole process


def cores() -> tuple[set[int], set[int]]:
    """The core servers are pinned to, and the cores of the load and all else. The same with one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0]}, set(allowed[1:]) or {allowed[0]}


def pin(pid: int, to: Iterable[int]) -> None:
    """Keeps every thread of a process on these cores. A thread that ended meanwhile is none."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), to)
        except ProcessLookupError:
            continue


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time these processes took so far. OSError when one is gone."""
    return sum(time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK) for pid in pids) / 1e9


def private_bytes(pid: int) -> int:
    """Memory that is this process's alone: what would be free again without it."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))
