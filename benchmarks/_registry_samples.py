"""Samples of the registry benchmark: each a fresh process, counted in CPU time.

CPU time, user and system, repeats within a few per cent where wall time does not, because
what else the machine does is not in it.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

BARE = "bare"

# ru_maxrss of a spawned process starts at what its parent holds; the high-water mark of
# the address space starts anew with the program.
_MEMORY_FILE = Path("/proc/self/status")
_PRINT_MEMORY = f"""
print(next(line.split()[1] for line in open("{_MEMORY_FILE}") if line.startswith("VmHWM")))
"""


class SampleError(Exception):
    """A sample ended with an error, or found something else than it should."""


@dataclass(frozen=True)
class Job:
    """What one sample runs, and what it has to print (anything, if not given)."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    expected: str | None = None


def clean_environment(home: Path, *path: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a sample: PYTHONPATH, and no other setting of Python."""
    environment = {"HOME": str(home), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], **extra}
    if path:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return environment


def run(job: Job) -> tuple[float, str]:
    """Run a fresh process; return its CPU time, seconds, and what it printed.

    Raises
    ------
    SampleError
        If it failed, or printed something else than the job expects.
    """
    reader, writer = os.pipe()
    child = os.posix_spawn(
        job.command[0],
        job.command,
        job.environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_CLOSE, reader),
            (os.POSIX_SPAWN_CLOSE, writer),
        ],
    )
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        printed = pipe.read().strip()
    _, status, used = os.wait4(child, 0)
    if status:
        raise SampleError(f"failed with exit code {os.waitstatus_to_exitcode(status)}")
    if job.expected is not None and printed != job.expected:
        raise SampleError(f"found {printed!r} instead of {job.expected!r}")
    return used.ru_utime + used.ru_stime, printed


def warmed(jobs: Mapping[str, Job], *, required: Collection[str]) -> dict[str, Job]:
    """Run each job once, and return those that work; say on standard error which do not.

    Raises
    ------
    SampleError
        If one that is required does not work.
    """
    working = {}
    for name, job in jobs.items():
        try:
            run(job)
        except SampleError as reason:
            if name in required:
                raise
            print(f"{name}: left out: {reason}", file=sys.stderr)
        else:
            working[name] = job
    return working


def cpu_over_bare(jobs: Mapping[str, Job], *, rounds: int) -> dict[str, float]:
    """Return the CPU time of each job over that of `BARE`, milliseconds, each the minimum.

    The jobs take turns, so that what the machine does falls on all of them.
    """
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            best[name] = min(best[name], 1000 * run(job)[0])
    return {name: time - best[BARE] for name, time in best.items() if name != BARE}


def memory_over_bare(jobs: Mapping[str, Job], *, rounds: int) -> dict[str, float]:
    """Return the highest resident memory of each job over that of `BARE`, MB, medians.

    Every job is ``python -c code``. Empty where the system does not tell.
    """
    if not _MEMORY_FILE.is_file():
        return {}
    seen: dict[str, list[int]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            *start, code = job.command
            asking = replace(job, command=(*start, code + _PRINT_MEMORY), expected=None)
            seen[name].append(int(run(asking)[1].split()[-1]))
    middle = {name: statistics.median(kib) / 1024 for name, kib in seen.items()}
    return {name: mib - middle[BARE] for name, mib in middle.items() if name != BARE}
