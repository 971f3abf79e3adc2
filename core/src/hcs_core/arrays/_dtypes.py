"""Dtypes by name, and which changes of them keep every value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from hcs_core.errors import DtypeError

Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]

DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
"""Every dtype of numbers that is known here; of each kind, the narrower ones come first."""


@lru_cache(maxsize=256)
def dtype_of(name: Any) -> np.dtype[Any]:
    """Return a NumPy dtype; ``bfloat16`` is that of ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes  # comes with every framework that has the dtype

        name = ml_dtypes.bfloat16
    found: np.dtype[Any] = np.dtype(name)
    return found


def number_of(name: Any) -> np.dtype[Any]:
    """Return a dtype of numbers or booleans.

    Raises
    ------
    DtypeError
        If it is another one, or none.
    """
    try:
        found = dtype_of(name) if isinstance(name, str) else np.dtype(name)
    except (TypeError, ImportError):
        found = None
    if found is None or not (found.kind in "biufc" or is_bfloat16(found)):
        known = f"numbers and booleans ({', '.join(DTYPES)})"
        raise DtypeError("convert", str(name), known)
    return found


@lru_cache(maxsize=256)
def name_of(dtype: np.dtype[Any]) -> str:
    """Return the name by which a dtype is known here; NumPy takes 1.5 us to make one."""
    return dtype.name if dtype.isnative else dtype.str


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is that of ml_dtypes, which NumPy counts among the void ones."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def is_exact(source: DTypeLike, target: DTypeLike) -> bool:
    """Return whether every value of one dtype of numbers or booleans is one of another's.

    Parameters
    ----------
    source, target : dtype
        What is cast, and to what.

    Examples
    --------
    >>> is_exact("uint16", "float32")
    True
    >>> is_exact("int64", "float64")  # NumPy calls it safe, but 2**53 + 1 becomes 2**53
    False
    """
    source, target = np.dtype(source), np.dtype(target)
    if source == target:
        return True
    if not np.can_cast(source, target, "safe"):
        return False
    if source.kind not in "iu" or target.kind not in "fc":
        return True
    bits = np.iinfo(source).bits - (source.kind == "i")
    return bits <= np.finfo(target).nmant + 1


def nearest(dtype: np.dtype[Any], among: frozenset[str]) -> np.dtype[Any]:
    """Return the dtype that stands in for one that is missing: of its kind, the widest."""
    if dtype.kind == "b":
        return np.dtype("uint8")
    plain = [np.dtype(name) for name in DTYPES if name in among and name != "bfloat16"]
    for kind in {"u": "ui", "V": "f"}.get(dtype.kind, dtype.kind):
        fitting = [each for each in plain if each.kind == kind]
        if fitting:
            return fitting[-1]
    return np.dtype("float32")
