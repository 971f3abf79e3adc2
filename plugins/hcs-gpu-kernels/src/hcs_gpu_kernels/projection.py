"""Projections: many planes in, one plane out."""

from __future__ import annotations

import numpy as np

from hcs_core.errors import ShapeError
from hcs_gpu_kernels._checks import Array, check_image


def max_projection(stack: Array) -> Array:
    """Return the largest value of every pixel along the stack.

    Parameters
    ----------
    stack : array, shape (n, y, x)
        At least one plane of integers of at most 32 bits, or floats; not modified.

    Returns
    -------
    array, shape (y, x), dtype of `stack`
        Where any plane is NaN, NaN.

    Raises
    ------
    DtypeError, ShapeError
        If `stack` is not as described.
    """
    stack = check_image("max_projection", stack, axes=(3,))
    if not len(stack):
        raise ShapeError("max_projection (n, y, x) with at least one plane", stack.shape)
    highest: Array = stack[0].astype(stack.dtype.newbyteorder("="))
    for plane in stack[1:]:
        np.maximum(highest, plane, out=highest)
    return highest
