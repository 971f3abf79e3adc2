"""A rule of rescaling applied to a whole array, block by block, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._aligned import empty
from hcs_core.arrays.rescaling._scaling import Kind, Part, Rule, is_float, scaled

HOST_BLOCK = 2**16
"""Elements. Intermediate results stay in the cache; 2**20 took half as long again."""
DEVICE_BLOCK = 2**24
"""Elements. Enough to keep a GPU busy, few enough to leave its memory to the images."""


@dataclass
class Tally:
    """How many elements were set to the nearest end, and how many NaN were replaced."""

    saturated: int = 0
    nans: int = 0

    def add(self, xp: Any, outside: Any | None, nan: Any | None) -> None:
        """Count what is True in two masks."""
        self.saturated += _count(xp, outside)
        self.nans += _count(xp, nan)


def rescaled_on_host(host: NDArray[Any], rule: Rule) -> tuple[NDArray[Any], Tally]:
    """Return the values of a host array by a rule, in C order and aligned memory.

    Parameters
    ----------
    host : numpy array
        Any shape, layout and byte order, of the rule's source; not modified.
    rule : Rule
        What to do.
    """
    result, tally = empty(host.shape, rule.target), Tally()
    codes = _codes(host)
    by_table = _has_table(rule) and host.size >= 2 ** (8 * host.itemsize)
    table = _table(rule) if by_table else None
    # nditer hands out views where it can, and native copies of a block where it must.
    blocks = np.nditer(
        [codes, result],
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly", "nbo", "aligned"], ["writeonly"]],
        op_dtypes=[codes.dtype.newbyteorder("="), rule.target],
        order="C",
        buffersize=HOST_BLOCK,
    )
    with blocks, np.errstate(all="ignore"):  # what overflows is counted, not warned of
        for block, place in blocks:
            if table is not None:
                _look_up(table, block, place, tally)
            else:
                part = scaled(np, _values(block, rule), rule)
                place[...] = part.values
                tally.add(np, part.outside, part.nan)
    return result, tally


def rescaled_on_device(
    xp: Any, array: Any, rule: Rule, to_device: Callable[[NDArray[Any]], Any]
) -> tuple[Any, Tally]:
    """Return the values of an array by a rule, computed where it lies.

    Parameters
    ----------
    xp : module
        The array's namespace of the array API standard.
    array : array of `xp`
        Any shape with at least one element, of the rule's source; not modified.
    rule : Rule
        One that `runs_on_device`.
    to_device : callable
        Returns a NumPy array as one of `xp` on the same device.
    """
    tally = Tally()
    compute = _lookup_on_device(xp, rule, to_device) if _is_small_integer(rule) else None
    pieces = []
    for block in _device_blocks(xp, array):
        part = compute(block) if compute else scaled(xp, block, rule)
        pieces.append(part.values)
        tally.add(xp, part.outside, part.nan)
    result = pieces[0] if len(pieces) == 1 else xp.concat(pieces)
    return xp.reshape(result, array.shape), tally


def runs_on_device(rule: Rule, *, has_float64: bool) -> bool:
    """Return whether the namespaces of devices have the arithmetic that a rule needs.

    They lack much of unsigned integers above 8 bits, even comparisons; what remains are
    tables, floats to at most 32 bits, and signed integers by value.
    """
    source, target = rule.source, rule.target
    if target.name not in _DEVICE_TARGETS:
        return False
    if _is_small_integer(rule):
        return True
    if is_float(source):
        return has_float64 or not rule.needs_float64
    return rule.is_by_value and not is_float(target) and source.name in ("int32", "int64")


_DEVICE_TARGETS = frozenset(
    ("bool", "uint8", "int8", "uint16", "int16", "int32", "float16", "bfloat16", "float32")
)


def _is_small_integer(rule: Rule) -> bool:
    return rule.source.itemsize <= 2 and not is_float(rule.source)


def _has_table(rule: Rule) -> bool:
    """Return whether the host computes each value of the source once, and looks it up."""
    # Integers by value are clipped and cast, which takes less time than a look-up.
    by_value = rule.is_by_value and not is_float(rule.source)
    return rule.source.itemsize <= 2 and not by_value


@lru_cache(maxsize=8)
def _table(rule: Rule) -> Part:
    """Return what a rule makes of every value of its source, in the order of their codes."""
    kind = rule.source
    codes = np.arange(2 ** (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
    with np.errstate(all="ignore"):
        part = scaled(np, _values(codes, rule), rule)
    outside, nan = (m if m is not None and m.any() else None for m in part[1:])
    return Part(part.values, outside, nan)


def _codes(host: NDArray[Any]) -> NDArray[Any]:
    """Return the bits of each element as an integer, where its dtype may have a table."""
    if host.itemsize > 2:
        return host
    return host.view(f"{host.dtype.str[0]}u{host.itemsize}")


def _values(codes: NDArray[Any], rule: Rule) -> NDArray[Any]:
    """Return what the bits mean; a boolean is 0 or 1, whatever byte a mask may hold for True."""
    if rule.source.kind == "b":
        truths: NDArray[Any] = np.minimum(codes, 1)
        return truths
    return codes if rule.source.itemsize > 2 else codes.view(rule.source)


def _look_up(table: Part, codes: NDArray[Any], place: NDArray[Any], tally: Tally) -> None:
    # No code is out of range; with "clip" NumPy writes in place, without a copy.
    np.take(table.values, codes, out=place, mode="clip")
    masks = (None if mask is None else mask[codes] for mask in (table.outside, table.nan))
    tally.add(np, *masks)


def _lookup_on_device(
    xp: Any, rule: Rule, to_device: Callable[[NDArray[Any]], Any]
) -> Callable[[Any], Part]:
    """Return a function that looks integers up in a table on their device."""
    signed = rule.source.kind == "i"
    shift = 2 ** (8 * rule.source.itemsize - 1) if signed else 0
    common = np.dtype("float32" if is_float(rule.target) else "int32")  # known everywhere
    table = _table(rule)
    # From codes to the order of the values, which begins with the least.
    values = to_device(np.roll(table.values.astype(common), shift))
    outside = None if table.outside is None else to_device(np.roll(table.outside, shift))
    kind = getattr(xp, rule.target.name)

    def look_up(block: Any) -> Part:
        places = xp.astype(block, xp.int32) + shift
        found = xp.astype(xp.take(values, places, axis=0), kind)
        return Part(found, None if outside is None else xp.take(outside, places, axis=0))

    return look_up


def _device_blocks(xp: Any, array: Any) -> Iterator[Any]:
    flat, size = xp.reshape(array, (-1,)), math.prod(array.shape)
    for start in range(0, size, DEVICE_BLOCK):
        yield flat[start : min(start + DEVICE_BLOCK, size)]


def _count(xp: Any, mask: Any | None) -> int:
    if mask is None:
        return 0
    if xp is np:
        return int(np.count_nonzero(mask))
    return int(xp.sum(xp.astype(mask, xp.int32)))


def finite_range(host: NDArray[Any]) -> tuple[float, float] | None:
    """Return the least and the greatest finite value of a host array; None if it has none."""
    found: list[float] = []
    is_bool = host.dtype.kind == "b"
    codes = host.view(np.uint8) if is_bool else host
    blocks = np.nditer(
        [codes],
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly", "nbo", "aligned"]],
        buffersize=HOST_BLOCK,
    )
    with blocks:
        for block in blocks:
            found += _ends(np.minimum(block, 1) if is_bool else np.asarray(block))
    return (min(found), max(found)) if found else None


def finite_range_on_device(xp: Any, array: Any, kind: Kind) -> tuple[float, float] | None:
    """Return the least and the greatest finite value of an array where it lies."""
    found: list[float] = []
    for block in _device_blocks(xp, array):
        if is_float(kind):
            finite = xp.isfinite(block)
            least = xp.min(xp.where(finite, block, xp.full_like(block, math.inf)))
            most = xp.max(xp.where(finite, block, xp.full_like(block, -math.inf)))
            found += [float(least), float(most)] if least <= most else []
        else:
            block = xp.astype(block, xp.int32) if kind.itemsize <= 2 else block
            found += [int(xp.min(block)), int(xp.max(block))]
    return (min(found), max(found)) if found else None


def _ends(block: NDArray[Any]) -> list[float]:
    if block.dtype.kind not in "biu":
        block = block.astype(np.float32) if block.dtype.itemsize < 4 else block
        block = block[np.isfinite(block)]
    return [block.min().item(), block.max().item()] if block.size else []
