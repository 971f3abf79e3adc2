"""`rescale` of 64 MB, against NumPy's bare `astype`, which neither rounds nor saturates."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import hcs_core.arrays
from benchmarks._arrays_frameworks import plane
from benchmarks._arrays_timing import FLOOR, OURS, Sample, working
from benchmarks._common import interleaved

SHAPE = (16, 1024, 1024)
ROUNDS = 9

BY_HAND = "NumPy by hand"
SKIMAGE = "scikit-image"


def measure() -> Sample:
    sample = Sample()
    counts = plane(SHAPE)
    for row, cases in {
        "float32 > uint16, preserve": _preserve(counts.astype(np.float32)),
        "uint16 > uint8, scale": _scale(counts),
    }.items():
        sample.times[row] = interleaved(working(cases, row, sample.notes), rounds=ROUNDS)
    return sample


def _preserve(stack: Any) -> dict[str, Callable[[], Any]]:
    return {
        FLOOR: lambda: stack.astype(np.uint16),
        OURS: lambda: hcs_core.arrays.rescale(stack, "uint16", mode="preserve"),
        BY_HAND: lambda: np.clip(np.rint(stack), 0, 65_535).astype(np.uint16),
    }


def _scale(stack: Any) -> dict[str, Callable[[], Any]]:
    return {
        FLOOR: lambda: stack.astype(np.uint8),
        OURS: lambda: hcs_core.arrays.rescale(stack, "uint8", mode="scale"),
        BY_HAND: lambda: np.rint(stack / np.float32(257)).astype(np.uint8),
        SKIMAGE: lambda: import_module("skimage.util").img_as_ubyte(stack),
    }
