"""Run the benchmarks: all of them, or those that are named.

python -m benchmarks [NAME...]
"""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks._common import SkippedError, machine

NAMES = ("pipeline_floor", "nuclei_f1", "registry", "arrays", "arrays_gpu")


def main(names: list[str]) -> None:
    """Run benchmarks by name and print what each measured."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"no benchmark is called {unknown[0]!r} (available: {', '.join(NAMES)})")
    print(f"Machine: {machine()}\n")
    for name in names or NAMES:
        print(f"## {name}\n")
        try:
            import_module(f"benchmarks.{name}").main()
        except SkippedError as reason:
            print(f"skipped: {reason}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
