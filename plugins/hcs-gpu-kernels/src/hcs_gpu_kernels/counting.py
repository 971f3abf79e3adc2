"""Counts of objects."""

from __future__ import annotations

import numpy as np

from hcs_gpu_kernels._checks import Array, check_labels


def count_objects(labels: Array) -> dict[str, Array]:
    """Return how many objects each plane of labels holds.

    Parameters
    ----------
    labels : integer array, shape (y, x) or (n, y, x)
        Object masks, 0 is background; they need not be consecutive. Not modified.

    Returns
    -------
    dict of str to array
        ``count``, int64: one row for a plane, one row a plane for a stack, which then also
        has ``plane``, its place in the stack from 0.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If `labels` is not as described.
    """
    labels = check_labels("count_objects", labels)
    if labels.ndim == 2:
        return {"count": np.array([_distinct(labels)], np.int64)}
    counts = np.array([_distinct(plane) for plane in labels], np.int64)
    return {"plane": np.arange(len(labels), dtype=np.int64), "count": counts}


def _distinct(plane: Array) -> int:
    """Return how many different labels other than 0 there are."""
    if plane.size and plane.max() > plane.size:  # bincount would need that much memory
        return int(np.count_nonzero(np.unique(plane)))
    return int(np.count_nonzero(np.bincount(plane.ravel())[1:]))
