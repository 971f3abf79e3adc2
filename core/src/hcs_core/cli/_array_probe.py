"""Load every array framework and write down what came of it; a program of its own.

`hcs arrays` runs this module. Each line that it writes is a JSON document: what it is about to
do, so that it is known what has ended the process, and last the result.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import IO, Any

from hcs_core.arrays._adapters import adapter_for, usable_adapters
from hcs_core.arrays._matrix import (
    DTYPE,
    SHAPE,
    Framework,
    Tell,
    load_frameworks,
    measure,
)


def main() -> None:
    """Write what the arguments ask for into the file that they name, and end at once."""
    asked, target, *without = sys.argv[1:]
    with open(target, "w", encoding="ascii") as journal:

        def tell(framework: str, doing: str) -> None:
            _write(journal, {"framework": framework, "doing": doing})

        # Before any of them is imported: JAX would leave no memory of a GPU to the others.
        for adapter in usable_adapters():
            os.environ.update(adapter.quiet)
        frameworks = load_frameworks(without=without, tell=tell)
        made = _matrix(frameworks, tell) if asked == "matrix" else _devices(frameworks, tell)
        _write(journal, {"result": made})
    os._exit(0)  # threads of frameworks, and what they do at the end, are not waited for


def _matrix(frameworks: Sequence[Framework], tell: Tell) -> dict[str, Any]:
    return {
        "frameworks": [framework._asdict() for framework in frameworks],
        "shape": SHAPE,
        "dtype": DTYPE,
        "pairs": [crossing._asdict() for crossing in measure(frameworks, tell=tell)],
    }


def _devices(frameworks: Sequence[Framework], tell: Tell) -> dict[str, Any]:
    rows = []
    for framework in frameworks:
        devices = []
        for device in framework.devices:
            tell(framework.name, f"asking {framework.name} for the memory of {device}")
            memory = adapter_for(framework.name).memory(device)
            used, free = (None, None) if memory is None else (memory.used, memory.free)
            devices.append({"device": device, "used_bytes": used, "free_bytes": free})
        rows.append(framework._asdict() | {"devices": devices})
    return {"frameworks": rows}


def _write(journal: IO[str], document: dict[str, Any]) -> None:
    journal.write(json.dumps(document) + "\n")
    journal.flush()


if __name__ == "__main__":
    main()
