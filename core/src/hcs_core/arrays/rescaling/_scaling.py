"""The arithmetic of `rescale`, written once for every namespace of the array API standard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from hcs_core.arrays._dtypes import is_bfloat16
from hcs_core.arrays.rescaling._integer_scaling import proportional

Mode = Literal["native", "preserve", "scale", "stretch"]
Kind = np.dtype[Any]


@dataclass(frozen=True)
class Rule:
    """How values of one dtype become those of another.

    Parameters
    ----------
    mode : {"preserve", "scale", "stretch"}
        As for `rescale`.
    source, target : dtype
        Of real numbers or booleans, in the machine's byte order.
    in_range : tuple of float, optional
        What is mapped to 0 and to the top of the target.
    nan : int
        What NaN becomes in a target of integers.
    """

    mode: Mode
    source: Kind
    target: Kind
    in_range: tuple[float, float] | None = None
    nan: int = 0

    @cached_property
    def is_by_value(self) -> bool:
        """Whether every value that fits stays what it is."""
        both_nominal = is_float(self.source) and is_float(self.target) and self.in_range is None
        return self.mode == "preserve" or both_nominal

    @cached_property
    def is_identity(self) -> bool:
        """Whether no value changes."""
        nominal = self.mode != "stretch" and self.in_range is None
        return nominal and self.source == self.target

    @cached_property
    def precision(self) -> str:
        """The dtype that is computed in: float32 up to 16 bits, float64 above."""
        wide = any(
            kind.itemsize > (4 if is_float(kind) else 2) for kind in (self.source, self.target)
        )
        narrow_range = self.in_range is None or _is_exact_in_float32(*self.in_range)
        return "float32" if narrow_range and not wide else "float64"

    @cached_property
    def needs_float64(self) -> bool:
        """Whether anything is computed in float64."""
        return self.precision == "float64" or self.in_range is not None


class Part(NamedTuple):
    """Values in their target's dtype, where they lay outside, and where they were NaN.

    A mask is None where it would be False throughout.
    """

    values: Any
    outside: Any | None = None
    nan: Any | None = None


def is_float(kind: Kind) -> bool:
    """Return whether a dtype is of floating-point numbers."""
    return kind.kind == "f" or is_bfloat16(kind)


def limits(kind: Kind) -> tuple[int, int]:
    """Return the least and the greatest finite value of a dtype, which are whole numbers."""
    if kind.kind == "b":
        return 0, 1
    if kind.kind in "iu":
        return int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    if is_bfloat16(kind):
        return -_BFLOAT16_MAX, _BFLOAT16_MAX
    most = int(np.finfo(kind).max)
    return -most, most


_BFLOAT16_MAX = 0xFF << 120  # 8 bits, of which the first is worth 2**127


def top(kind: Kind) -> int:
    """Return the end of a dtype's nominal range, which begins at 0: 1 for floats."""
    return 1 if is_float(kind) else limits(kind)[1]


def scaled(xp: Any, x: Any, rule: Rule) -> Part:
    """Return values by a rule.

    Parameters
    ----------
    xp : module
        A namespace of the array API standard. Of another than NumPy: floats to at most 16
        bits, or to 32 where it has float64, and integers by value to integers.
    x : array of `xp`
        One axis, at least one element, the rule's source; bool is given as uint8. Not
        modified.
    rule : Rule
        What to do.
    """
    if rule.in_range is not None:
        return _settled(xp, *_ranged(xp, x, rule), rule)
    if not is_float(rule.source):
        if rule.is_by_value:
            return _same_integers(xp, x, rule)
        if not is_float(rule.target):
            signed = rule.target.kind == "i"
            values, outside = proportional(x, top(rule.source), top(rule.target), signed=signed)
            return Part(values.astype(rule.target), outside)
    y = xp.astype(x, getattr(xp, rule.precision), copy=False)
    if not is_float(rule.source):
        y = _quotient(xp, y, float(top(rule.source)))
    elif not rule.is_by_value:
        y = y * float(top(rule.target))
    return _settled(xp, y, None, rule)


def _same_integers(xp: Any, x: Any, rule: Rule) -> Part:
    """Return integers by value, without a detour through floats."""
    (least, most), (low, high) = limits(rule.source), limits(rule.target)
    low, high = max(low, least), min(high, most)
    outside = None
    if (low, high) != (least, most):
        outside = (x < low) | (x > high)
        x = xp.clip(x, low, high)
    return Part(xp.astype(x, _kind(xp, rule.target)), outside)


def _ranged(xp: Any, x: Any, rule: Rule) -> tuple[Any, Any | None]:
    """Return where values lie in their range, times the target's top; and which lay outside."""
    assert rule.in_range is not None
    low, high = rule.in_range
    kind = np.dtype(rule.precision).type
    width = float(kind(high) - kind(low)) if rule.precision == "float32" else float(high - low)
    y = _offset(xp, x, low, rule)
    outside = None
    if rule.mode == "stretch":
        outside = (y < 0) | (y > width)
        y = xp.clip(y, 0.0, width)
    y = _quotient(xp, y, width or 1.0)
    return (y if is_float(rule.target) else y * float(top(rule.target))), outside


def _offset(xp: Any, x: Any, low: float, rule: Rule) -> Any:
    """Return ``x - low``, of 64-bit integers too rounded once."""
    kind = getattr(xp, rule.precision)
    if rule.source.kind not in "iu" or rule.source.itemsize < 8:
        return xp.astype(x, kind) - float(low)
    coarse, fine = divmod(low, 2**32)  # a float64 holds neither x nor an integer `low` exactly
    high_part = (xp.astype(x >> 32, kind) - float(coarse)) * 2.0**32
    return high_part + (xp.astype(x & 0xFFFFFFFF, kind) - float(fine))


def _quotient(xp: Any, y: Any, divisor: float) -> Any:
    """Return the correctly rounded quotient, on devices too.

    A framework may divide by a number through its inverse, and float32 approximately. So the
    divisor is an array, and float32 is divided in float64, where the quotient of two float32
    rounds to the right one.
    """
    if divisor == 1.0:
        return y
    wide = xp.astype(y, xp.float64, copy=False)
    return xp.astype(wide / xp.full_like(wide[:1], divisor), y.dtype, copy=False)


def _settled(xp: Any, y: Any, outside: Any | None, rule: Rule) -> Part:
    if is_float(rule.target):
        return _as_floats(xp, y, outside, rule)
    return _as_integers(xp, y, outside, rule)


def _as_floats(xp: Any, y: Any, outside: Any | None, rule: Rule) -> Part:
    most = float(limits(rule.target)[1])
    if most < float(limits(np.dtype(rule.precision))[1]):
        beyond = (xp.abs(y) > most) & ~xp.isinf(y)
        y = xp.where(beyond, xp.clip(y, -most, most), y)
        outside = beyond if outside is None else outside | beyond
    return Part(xp.astype(y, _kind(xp, rule.target)), outside)


def _as_integers(xp: Any, y: Any, outside: Any | None, rule: Rule) -> Part:
    nan = xp.isnan(y) if is_float(rule.source) else None
    if nan is not None and bool(xp.any(nan)):
        y = xp.where(nan, xp.full_like(y, float(rule.nan)), y)
    else:
        nan = None
    y = xp.round(y)
    low, high = limits(rule.target)
    end = float(high)  # of 64 bits: one more, and the cast of that is undefined
    last = end if int(end) == high else math.nextafter(end, 0.0)
    beyond = (y < low) | (y > (last if rule.is_by_value else end))
    values = xp.astype(xp.clip(y, float(low), last), _kind(xp, rule.target))
    if last != end:
        values = xp.where(y >= end, xp.full_like(values, high), values)
    return Part(values, beyond if outside is None else outside | beyond, nan)


def _kind(xp: Any, kind: Kind) -> Any:
    return kind if xp is np else getattr(xp, kind.name)


def _is_exact_in_float32(low: float, high: float) -> bool:
    """Return whether a range is the same in float32, and as wide as its arithmetic needs."""
    with np.errstate(over="ignore"):
        narrow = np.float32(low), np.float32(high)
        width = float(narrow[1] - narrow[0])
    same = all(float(a) == b for a, b in zip(narrow, (low, high), strict=True))
    return same and (width == 0 or 2.0**-100 < width < math.inf)
