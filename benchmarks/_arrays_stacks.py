"""64 planes into one array of torch or JAX, against `np.stack` into an aligned buffer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import hcs_core.arrays
from benchmarks._arrays_frameworks import load, plane, ready
from benchmarks._arrays_timing import FLOOR, NATIVE, OURS, PEER, Sample, of_row, working
from benchmarks._common import interleaved
from hcs_core.arrays import empty

PLANES, SHAPE = 64, (2048, 2048)
ROUNDS = 7


def measure() -> Sample:
    sample = Sample()
    load(sample.notes)
    planes = [plane(SHAPE) for _ in range(PLANES)]
    native = _native_stacks(planes)
    cases: dict[str, Callable[[], Any]] = {
        FLOOR: lambda: np.stack(planes, out=empty((PLANES, *SHAPE), np.uint16))
    }
    for name in native:
        named = {**_bridges(planes, name), NATIVE: native[name]}
        cases |= {f"{name}/{case}": call for case, call in named.items()}
    best = interleaved(working(cases, "stacks", sample.notes), rounds=ROUNDS)
    for name in native:
        sample.times[name] = {FLOOR: best[FLOOR], **of_row(best, name)}
    return sample


def _bridges(planes: list[Any], name: str) -> dict[str, Callable[[], Any]]:
    peer = import_module("arraybridge")
    return {
        OURS: lambda: ready(hcs_core.arrays.stack(planes, name)),
        PEER: lambda: ready(peer.stack_slices(planes, name, peer.HOST)),
    }


def _native_stacks(planes: list[Any]) -> dict[str, Callable[[], Any]]:
    import jax
    import torch

    return {
        "torch": lambda: torch.stack([torch.from_numpy(plane) for plane in planes]),
        "jax": lambda: ready(jax.numpy.stack(planes)),
    }
