"""Hand an array from one framework to another, and say what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo
from hcs_core.arrays._aligned import empty
from hcs_core.errors import (
    CopyRequiredError,
    DtypeError,
    LossyConversionError,
    PluginConflictError,
    PluginLoadError,
    UnsupportedArrayError,
)

Casting = Literal["no", "equiv", "safe", "same_kind", "unsafe"]

_NUMBERS = frozenset("biufc")


def detect(value: object) -> str:
    """Return the name of the framework that owns an array; imports no framework.

    Raises
    ------
    UnsupportedArrayError
        If no installed adapter owns it.
    """
    return _adapter_of(value).name


def describe(array: Any) -> ArrayInfo:
    """Return an array's framework, shape, dtype, device, address and whether it is read-only."""
    return _adapter_of(array).describe(array)


def convert(
    array: Any,
    to: str,
    *,
    device: str | None = None,
    copy: bool | None = None,
    dtype: DTypeLike | None = None,
    casting: Casting = "safe",
) -> Any:
    """Return an array in another framework, with exactly the same values.

    Parameters
    ----------
    array : array
        An array of any installed framework, any shape; not modified.
    to : str
        The framework wanted, by its key in ``ARRAYS``.
    device : str, optional
        The device wanted; the framework's host device by default.
    copy : bool, optional
        None shares the memory where that is possible, True always copies, False raises
        rather than copy. What was done is checked by address.
    dtype : dtype, optional
        The dtype wanted; the array's own by default.
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}
        Which change of dtype is allowed, as in NumPy; only that "safe" also refuses
        integers of 64 bits to float64, which does not hold them all.

    Raises
    ------
    LossyConversionError
        If the change of dtype is not allowed by `casting`.
    DtypeError
        If `dtype` is not one of numbers or booleans.
    CopyRequiredError
        If ``copy=False`` and the memory cannot be shared.
    UnknownPluginError, UnsupportedArrayError
        If no adapter is called `to`, or none owns the array.
    """
    source, target = _adapter_of(array), ARRAYS[to]()
    host = source.to_host(array)
    wanted = _checked_dtype(host.dtype, dtype, casting)
    if copy is False and wanted != host.dtype:
        reason = "its dtype differs"
        raise CopyRequiredError(f"{source.name} {host.dtype}", f"{to} {wanted}", reason)
    if copy is True or wanted != host.dtype:
        host = _aligned_copy(host, wanted)
    result = target.from_host(host, device or "cpu")
    if copy is False:
        _check_shared(source.describe(array), target.describe(result))
    return result


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
    if not np.can_cast(source, target, "safe"):
        return False
    if source.kind not in "iu" or target.kind not in "fc":
        return True
    bits = np.iinfo(source).bits - (source.kind == "i")
    return bits <= np.finfo(target).nmant + 1


def _adapter_of(value: object) -> ArrayAdapter:
    adapters = list(_usable_adapters())
    root = type(value).__module__.partition(".")[0]
    # Subclasses live in modules of their own, so every adapter is asked in the end.
    for adapter in sorted(adapters, key=lambda adapter: root not in adapter.module_names):
        if adapter.owns(value):
            return adapter
    found = f"{type(value).__module__}.{type(value).__qualname__}"
    raise UnsupportedArrayError(found, tuple(ARRAYS))


def _usable_adapters() -> Iterator[ArrayAdapter]:
    for key in ARRAYS:
        try:
            yield ARRAYS[key]()
        except (PluginLoadError, PluginConflictError):  # it breaks only itself; `doctor` tells
            continue


def _checked_dtype(
    source: np.dtype[Any], dtype: DTypeLike | None, casting: Casting
) -> np.dtype[Any]:
    """Return the dtype of the result, if `casting` allows it."""
    if dtype is None:
        return source
    wanted = np.dtype(dtype)
    if wanted.kind not in _NUMBERS:
        raise DtypeError("convert", str(wanted), "dtypes of numbers and booleans")
    is_allowed = (
        is_exact(source, wanted) if casting == "safe" else np.can_cast(source, wanted, casting)
    )
    if not is_allowed:
        raise LossyConversionError(str(source), str(wanted))
    return wanted


def _aligned_copy(host: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    result = empty(host.shape, dtype)
    np.copyto(result, host, casting="unsafe")  # what is allowed has been checked
    return result


def _check_shared(source: ArrayInfo, result: ArrayInfo) -> None:
    if source.nbytes and source.pointer != result.pointer:
        wanted = f"{result.framework} {result.dtype} on {result.device}"
        raise CopyRequiredError(
            f"{source.framework} {source.dtype}", wanted, "its device or layout differs"
        )
