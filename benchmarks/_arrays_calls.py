"""A decorated function whose argument needs no conversion, against the bare function."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import hcs_core.arrays
from benchmarks._arrays_frameworks import in_each, load
from benchmarks._arrays_timing import FLOOR, OURS, PEER, Cases, Sample, best_per_call, working

SHAPE = (16, 64, 64)
ROUNDS, CALLS = 150, 200


def unchanged(image: Any) -> Any:
    return image


def measure() -> Sample:
    sample = Sample()
    load(sample.notes)
    stacks = in_each(SHAPE)
    rows: dict[str, Cases] = {}
    for name in ("numpy", "torch"):
        rows[f"@{name}"] = working(_cases(stacks[name], name), f"@{name}", sample.notes)
    sample.times |= best_per_call(rows, rounds=ROUNDS, calls=CALLS)
    return sample


def _cases(stack: Any, name: str) -> Cases:
    cases = {FLOOR: lambda: unchanged(stack)}
    for case, bridge in ((OURS, hcs_core.arrays), (PEER, import_module("arraybridge"))):
        cases[case] = _call(getattr(bridge, name)(_another()), stack)
    return cases


def _another() -> Any:
    """Return a new function that does what `unchanged` does: a decorator may mark its own."""

    def unchanged(image: Any) -> Any:
        return image

    return unchanged


def _call(function: Any, stack: Any) -> Any:
    return lambda: function(stack)
