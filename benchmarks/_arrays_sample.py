"""Take one sample of the array benchmark, and print it as a line of JSON.

python -m benchmarks._arrays_sample NAME
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module

NAMES = ("pairs", "copies", "calls", "stacks", "rescale")


def main(name: str) -> None:
    if name not in NAMES:
        sys.exit(f"no sample is called {name!r} (available: {', '.join(NAMES)})")
    print(json.dumps(asdict(import_module(f"benchmarks._arrays_{name}").measure())))


if __name__ == "__main__":
    main(sys.argv[1])
