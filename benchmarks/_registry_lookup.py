"""What one plugin costs: at its first use beside a plain import, later beside a dict."""

from __future__ import annotations

from benchmarks._registry_samples import Job, run

IMPORT_ROUNDS = 60

# Both start with the names at hand, so that the import system has seen the same folders.
# Only the plain import is given importlib before: that ours may need it is part of its time.
_NAMES = """
from time import perf_counter
from hcs_core.registry import Registry
registry = Registry("hcs.bench")
names = list(registry)
"""
_MODULES = """
import sys
print(took, sum(name.startswith("hcsbench_") and "." in name for name in sys.modules))
"""
FIRST_USE = f"""{_NAMES}
started = perf_counter()
registry["{{key}}"]
took = perf_counter() - started
{_MODULES}"""
PLAIN_IMPORT = f"""{_NAMES}
from importlib import import_module
started = perf_counter()
import_module("{{module}}")
took = perf_counter() - started
{_MODULES}"""

# The key is the very same object in both: neither has to compare characters.
LOOKUPS = """
from timeit import Timer
from hcs_core.registry import Registry
registry = Registry("hcs.bench")
plain = {{"{key}": registry["{key}"], **dict.fromkeys(registry)}}
timers = [
    Timer("pass"),
    Timer("table[key]", "table, key = plain, '{key}'", globals=globals()),
    Timer("table[key]", "table, key = registry, '{key}'", globals=globals()),
]
best = [float("inf")] * len(timers)
for _ in range(40):
    for number, timer in enumerate(timers):
        best[number] = min(best[number], timer.timeit(20_000) / 20_000)
print(*best)
"""


def first_use(plain: Job, ours: Job) -> tuple[float, float, int]:
    """Return the seconds of a plain import, of ``registry[key]``, and what that imported.

    Returns
    -------
    tuple
        The best of `IMPORT_ROUNDS` fresh processes each, which take turns, and the largest
        number of plugins' modules that were there after ``registry[key]``.
    """
    best_plain = best_ours = float("inf")
    most = 0
    for _ in range(IMPORT_ROUNDS):
        best_plain = min(best_plain, float(run(plain)[1].split()[0]))
        took, modules = run(ours)[1].split()
        best_ours = min(best_ours, float(took))
        most = max(most, int(modules))
    return best_plain, best_ours, most


def lookups(job: Job) -> tuple[float, float, float]:
    """Return the seconds of an empty loop, of a lookup in a dict, and of one in ours."""
    empty, plain, ours = map(float, run(job)[1].split())
    return empty, plain, ours
