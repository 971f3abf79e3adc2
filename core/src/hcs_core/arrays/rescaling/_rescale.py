"""Values of one dtype as values of another: by value, by range, never by surprise."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo
from hcs_core.arrays._adapters import adapter_of
from hcs_core.arrays._dtypes import DTYPES, dtype_of
from hcs_core.arrays._recorder import Recorder, Rescaling
from hcs_core.arrays.rescaling._blockwise import (
    Tally,
    finite_range,
    finite_range_on_device,
    rescaled_on_device,
    rescaled_on_host,
    runs_on_device,
)
from hcs_core.arrays.rescaling._scaling import Kind, Mode, Rule, limits
from hcs_core.errors import DtypeError, ParameterError, UnscalableValuesError, listed

_REAL_DTYPES = tuple(name for name in DTYPES if not name.startswith("complex"))


def rescale(
    array: Any,
    dtype: DTypeLike | None = None,
    *,
    mode: Mode,
    in_range: tuple[float, float] | Literal["array"] | None = None,
    nan: float | Literal["raise", "zero"] = "raise",
    strict: bool = False,
    record: Recorder | None = None,
) -> Any:
    """Return an array's values in another dtype, in a way that is named.

    The nominal range of a dtype is 0 to its greatest value for integers, 0 to 1 for floats
    and booleans. Whatever is rounded is rounded to the nearest, halves to even; whatever
    lies outside is set to the nearest end. Every framework gives the same integers, and a
    tile of the result is the result of the tile.

    Parameters
    ----------
    array : array
        Real numbers or booleans of any installed framework, any shape; not modified.
    dtype : dtype
        The dtype wanted, in the machine's byte order; not used by the mode ``native``.
    mode : {"native", "preserve", "scale", "stretch"}
        ``native``
            The array itself.
        ``preserve``
            The same values: 300.4 becomes 300, or 255 in uint8.
        ``scale``
            From nominal range to nominal range: 0.5 becomes 128 in uint8, and 128 of uint8
            becomes 32896 in uint16. Negative values stay so where the dtype has them.
        ``stretch``
            From `in_range` to the nominal range; nothing lies beyond its ends.
    in_range : tuple of float or "array", optional
        For ``scale`` and ``stretch``: the least and the greatest value, which are mapped to
        the ends of the nominal range. ``stretch`` needs one. With ``"array"`` it takes the
        array's own finite values: arrays stretched so can no longer be compared. To treat
        all tiles of a well alike, find their range once, by `value_range`.
    nan : {"raise", "zero"} or int
        From floats to integers: refuse NaN, or what becomes of it in the result.
    strict : bool
        Whether to raise if a value lies outside, instead of setting it to the nearest end.
    record : Recorder, optional
        Is told of the range, and of how many elements were changed by what they lost.

    Returns
    -------
    array
        Of the same framework, on the same device, of the same shape: the array itself where
        it has the dtype and no value changes, else a new one.

    Raises
    ------
    UnscalableValuesError
        If there are NaN and none may be, or values outside with ``strict=True``.
    DtypeError
        If the array or `dtype` is complex, or the framework has no such dtype.
    ParameterError
        If the arguments do not fit together, or no value is finite to take a range from.
    UnsupportedArrayError
        If no adapter owns the array.

    Notes
    -----
    Computed in float32 up to 16 bits and in float64 above; integers to integers exactly.
    Floats to narrower floats are set to the greatest finite value rather than to infinity;
    infinity itself and NaN stay what they are. Booleans are integers of one bit: 0.7 and 5
    become True, -3 becomes False. Integers of 64 bits come from floats through float64.

    Examples
    --------
    >>> blurred = np.array([99.5, 100.5, 70_000.0], np.float32)
    >>> rescale(blurred, "uint16", mode="preserve")
    array([  100,   100, 65535], dtype=uint16)
    >>> rescale(np.array([0, 128, 255], np.uint8), "uint16", mode="scale")
    array([    0, 32896, 65535], dtype=uint16)
    """
    adapter = adapter_of(array)
    checked = adapter.checked(array)
    info = adapter.describe(checked)
    _check_arguments(mode, in_range)
    if mode == "native":
        _tell(record, Rescaling(mode, info.dtype, info.dtype, None, 0, 0))
        return array
    source, target = _real(info.dtype), _target(dtype, adapter, info.device)
    bounds = _bounds(mode, in_range, checked, info)
    rule = Rule(mode, source, target, bounds, _replacement(nan, target))
    result, tally = array, Tally()
    if not rule.is_identity or info.dtype != rule.target.name:
        result, tally = _computed(adapter, checked, info, rule)
    _check(tally, rule, nan=nan, strict=strict)
    told = Rescaling(mode, source.name, target.name, bounds, tally.saturated, tally.nans)
    _tell(record, told)
    return result


def value_range(*arrays: Any) -> tuple[float, float]:
    """Return the least and the greatest finite value of one or several arrays.

    Parameters
    ----------
    *arrays : array
        Of any installed framework, any shapes; NaN and infinities are passed over.

    Returns
    -------
    tuple of float
        Python numbers; of integer arrays exact integers.

    Raises
    ------
    ParameterError
        If there is no finite value.

    Examples
    --------
    >>> tiles = np.array([3, 9], np.uint16), np.array([5, 700], np.uint16)
    >>> value_range(*tiles)
    (3, 700)
    """
    found: list[float] = []
    for array in arrays:
        adapter = adapter_of(array)
        checked = adapter.checked(array)
        found += _finite_range(adapter, checked, adapter.describe(checked)) or ()
    if not found:
        wanted = "given with at least one finite value"
        raise ParameterError("value_range", "arrays", tuple(map(_named, arrays)), wanted)
    return min(found), max(found)


def _named(array: Any) -> str:
    info = adapter_of(array).describe(array)
    return f"{info.dtype} of shape {info.shape}"


def _finite_range(adapter: ArrayAdapter, array: Any, info: ArrayInfo) -> tuple[float, float] | None:
    kind = _real(info.dtype)
    xp = _namespace(adapter, info)
    if xp is None or kind.name in ("uint32", "uint64"):  # which devices cannot compare
        return finite_range(adapter.to_host(array))
    with adapter.on(info.device):
        return finite_range_on_device(xp, array, kind)


def _computed(adapter: ArrayAdapter, array: Any, info: ArrayInfo, rule: Rule) -> tuple[Any, Tally]:
    """Return the result on the array's device, computed there where that is possible."""
    has_float64 = "float64" in adapter.dtypes_on(info.device)
    xp = _namespace(adapter, info)
    if xp is None or not runs_on_device(rule, has_float64=has_float64):
        host, tally = rescaled_on_host(adapter.to_host(array), rule)
        return adapter.from_host(host, info.device), tally
    with adapter.on(info.device):
        return rescaled_on_device(
            xp, array, rule, lambda table: adapter.from_host(table, info.device)
        )


def _namespace(adapter: ArrayAdapter, info: ArrayInfo) -> Any | None:
    """Return what to compute with on an array's device; None where NumPy shall do it."""
    return None if info.device == "cpu" or not info.nbytes else adapter.namespace()


def _check_arguments(mode: str, in_range: object) -> None:
    if mode not in get_args(Mode):
        raise ParameterError("rescale", "mode", mode, f"one of {', '.join(get_args(Mode))}")
    if in_range is not None and mode in ("native", "preserve"):
        raise ParameterError("rescale", "in_range", in_range, f"left out with mode={mode!r}")
    if in_range is None and mode == "stretch":
        raise ParameterError("rescale", "in_range", None, "a pair, or 'array', to stretch")


def _real(dtype: DTypeLike) -> Kind:
    """Return a dtype in the machine's byte order, if it is one of real numbers or booleans."""
    name = str(dtype)
    try:
        kind = dtype_of(dtype) if isinstance(dtype, str) else np.dtype(dtype)
        name = kind.name
    except TypeError:  # no dtype at all
        kind = np.dtype(object)
    if name not in _REAL_DTYPES:
        raise DtypeError("rescale", name, "real numbers and booleans")
    return kind.newbyteorder("=")


def _target(dtype: DTypeLike | None, adapter: ArrayAdapter, device: str) -> Kind:
    if dtype is None:
        raise ParameterError("rescale", "dtype", None, "given, except with mode='native'")
    kind = _real(dtype)
    able = adapter.dtypes_on(device)
    if kind.name not in able:
        known = listed(sorted(able.intersection(_REAL_DTYPES)))
        raise DtypeError(f"rescale within {adapter.name}", kind.name, known)
    return kind


def _bounds(mode: str, in_range: object, array: Any, info: ArrayInfo) -> tuple[float, float] | None:
    """Return the range to map as exact Python numbers; None stands for the nominal one."""
    if in_range is None:
        return None
    if isinstance(in_range, str) and in_range == "array" and mode == "stretch":
        return value_range(array) if info.nbytes else None
    low, high = _pair(in_range)
    if not low < high and not (low == high and mode == "stretch"):
        raise ParameterError("rescale", "in_range", in_range, "a lesser and a greater number")
    if max(-low, high, high - low) > limits(np.dtype(np.float64))[1]:
        raise ParameterError("rescale", "in_range", in_range, "finite numbers, not so far apart")
    return low, high


def _pair(in_range: Any) -> tuple[float, float]:
    numbers = in_range if isinstance(in_range, tuple | list) else ()
    if len(numbers) != 2 or not all(isinstance(end, Real) for end in numbers):
        wanted = "two numbers (or 'array' with mode='stretch')"
        raise ParameterError("rescale", "in_range", in_range, wanted)
    low, high = map(_number, numbers)
    return low, high


def _number(value: Any) -> float:
    """Return a number as one of Python's, integers exactly; NaN stands for what is none."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else math.nan


def _replacement(nan: Any, target: Kind) -> int:
    """Return what NaN becomes in a target of integers."""
    if isinstance(nan, str) and nan in ("raise", "zero"):
        return 0
    low, high = limits(target)
    number = _number(nan)
    if low <= number <= high and float(number).is_integer() and float(number) == number:
        return int(number)
    wanted = f"'raise', 'zero' or a whole number that {target.name} and float64 hold"
    raise ParameterError("rescale", "nan", nan, wanted)


def _check(tally: Tally, rule: Rule, *, nan: object, strict: bool) -> None:
    if tally.nans and isinstance(nan, str) and nan == "raise":
        advice = "pass nan='zero', or a whole number to stand for them"
        raise UnscalableValuesError(tally.nans, "NaN", rule.target.name, advice)
    if tally.saturated and strict:
        advice = "pass strict=False to set them to the nearest end"
        raise UnscalableValuesError(tally.saturated, "of the values", rule.target.name, advice)


def _tell(record: Recorder | None, rescaling: Rescaling) -> None:
    if record is not None:
        record.rescalings.append(rescaling)
