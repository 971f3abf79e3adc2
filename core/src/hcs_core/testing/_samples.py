"""Values that break first, and how to compare them: shared by the conformance suites."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXEL_DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64"),
)
"""Every dtype that pixels may have."""


def same(first: Any, second: Any) -> bool:
    """Return whether two values are equal in type, dtype, shape and every bit."""
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and (first.shape, first.dtype) == (second.shape, second.dtype)
            and first.tobytes() == second.tobytes()
        )
    if isinstance(first, dict):
        return (
            isinstance(second, dict)
            and list(first) == list(second)
            and all(same(value, second[key]) for key, value in first.items())
        )
    return type(first) is type(second) and bool(first == second)


def extremes(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a plane of the values that break first."""
    if dtype.kind == "b":
        return np.array([[False, True], [True, False]])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([[limits.min, limits.max], [0, 1]], dtype)
    limit = np.finfo(dtype)
    values = [[limit.max, limit.tiny, limit.smallest_subnormal], [np.nan, -np.inf, -0.0]]
    return np.array(values, dtype)


def is_one_line(text: object) -> bool:
    """Return whether it is a text for people that fits on one line, and not empty."""
    return isinstance(text, str) and bool(text) and text == text.strip() and text.isprintable()
