"""The kernels on NumPy: functions of arrays that know nothing of hcs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def subtract_background(image: NDArray[Any], *, percent: float = 5.0) -> NDArray[Any]:
    """Return the plane, or every plane of a stack, above the level of its background.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        In camera counts; not modified.
    percent : float
        The level is the grey value of the pixel that so many percent are not brighter than.

    Returns
    -------
    array
        Shape and dtype of `image`; 0 where it is not above the level.
    """
    # "lower" takes the value of a pixel, which every dtype can hold.
    level = np.percentile(image, percent, axis=(-2, -1), keepdims=True, method="lower")
    above: NDArray[Any] = np.maximum(image, level) - level
    return above


def covered(labels: NDArray[np.int32]) -> dict[str, list[float]]:
    """Return one row: the column `covered_percent`, how many of the pixels are of an object."""
    return {"covered_percent": [100.0 * np.count_nonzero(labels) / labels.size]}
