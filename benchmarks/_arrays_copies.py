"""An owned copy of 256 MB into each framework, against `np.copy` and the framework's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._arrays_frameworks import HOSTS, address, load, plane, ready
from benchmarks._arrays_timing import FLOOR, NATIVE, OURS, Sample, of_row, working
from benchmarks._common import interleaved
from hcs_core.arrays import convert

SHAPE = (128, 1024, 1024)
ROUNDS = 15


def measure() -> Sample:
    sample = Sample()
    load(sample.notes)
    stack = plane(SHAPE)
    cases: dict[str, Callable[[], Any]] = {FLOOR: lambda: np.copy(stack)}
    for name, native in _native_copies(stack).items():
        cases[f"{name}/{OURS}"] = _ours(stack, name)
        cases[f"{name}/{NATIVE}"] = native
    usable = working(cases, "copies", sample.notes)
    assert all(address(case()) != address(stack) for case in usable.values())
    best = interleaved(usable, rounds=ROUNDS)
    for name in HOSTS:
        sample.times[name] = {FLOOR: best[FLOOR], **of_row(best, name)}
    return sample


def _ours(stack: Any, name: str) -> Callable[[], Any]:
    def copied() -> Any:
        return ready(convert(stack, name, copy=True))

    return copied


def _native_copies(stack: Any) -> dict[str, Callable[[], Any]]:
    import jax
    import tensorflow as tf
    import torch

    return {
        "numpy": stack.copy,
        "torch": lambda: torch.from_numpy(stack).clone(),
        "tensorflow": lambda: tf.convert_to_tensor(stack),
        "jax": lambda: ready(jax.numpy.array(stack)),
    }
