"""Strides: which memory a framework can take as it lies."""

from __future__ import annotations

from hcs_core.arrays._adapter import Capabilities, Layout


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the strides (bytes) of an array in C order."""
    strides, step = [], itemsize
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def fits_layout(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, layout: Layout
) -> bool:
    """Return whether an array of these strides (bytes) has a layout."""
    if layout == "any" or 0 in shape:
        return True
    if layout == "forward":
        # In steps of whole elements, which a field of packed records does not have.
        return all(stride >= 0 and stride % itemsize == 0 for stride in strides)
    # An axis of one element may have any stride.
    axes = [(stride, extent) for stride, extent in zip(strides, shape, strict=True) if extent > 1]
    expected = itemsize
    for stride, extent in reversed(axes):
        if stride != expected:
            return False
        expected *= extent
    return True


def fits_memory(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    itemsize: int,
    pointer: int,
    wanted: Capabilities,
) -> bool:
    """Return whether a framework can share memory that lies so."""
    is_vector = itemsize >= wanted.vector_alignment
    alignment = max(wanted.alignment, wanted.vector_alignment if is_vector else 1)
    return pointer % alignment == 0 and fits_layout(shape, strides, itemsize, wanted.layout)
