"""The rules for what a kernel takes, said once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import DtypeError, ParameterError, ShapeError

Array = NDArray[Any]

IMAGE_DTYPES = "integers of at most 32 bits and floats of at most 64"


def check_image(kernel: str, image: Array, *, axes: tuple[int, ...] = (2, 3)) -> Array:
    """Return `image` as an array, or say why `kernel` does not take it.

    Raises
    ------
    DtypeError
        For bool, complex, object, text, and numbers that float64 cannot hold.
    ShapeError
        For another number of axes than `axes` names.
    """
    image = np.asarray(image)
    kind, size = image.dtype.kind, image.dtype.itemsize
    if not (kind in "iu" and size <= 4) and not (kind == "f" and size <= 8):
        raise DtypeError(kernel, str(image.dtype), IMAGE_DTYPES)
    _check_axes(kernel, image, axes)
    return image


def check_labels(kernel: str, labels: Array) -> Array:
    """Return `labels` as an array, or say why `kernel` does not take it.

    Raises
    ------
    DtypeError
        If they are not integers.
    ShapeError
        If they are neither ``(y, x)`` nor ``(n, y, x)``.
    ParameterError
        If a label is negative.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise DtypeError(kernel, str(labels.dtype), "integer labels")
    _check_axes(kernel, labels, (2, 3))
    if labels.dtype.kind == "i" and labels.size and (lowest := int(labels.min())) < 0:
        raise ParameterError(kernel, "labels", lowest, "0 (background) or above")
    return labels


def check_number(
    kernel: str, name: str, value: float, low: float, high: float = float("inf")
) -> None:
    """Raise `ParameterError` unless `value` is a number, ``low <= value <= high``; NaN never is."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ParameterError(kernel, name, value, "a number")
    if not low <= value <= high:
        wanted = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ParameterError(kernel, name, value, wanted)


def check_whole_number(kernel: str, name: str, value: int, low: int, high: int) -> None:
    """Raise `ParameterError` unless `value` is an integer, ``low <= value <= high``."""
    check_number(kernel, name, value, low, high)
    if not isinstance(value, int | np.integer):
        raise ParameterError(kernel, name, value, "a whole number")


def for_each_plane(
    function: Callable[[Array], Array], image: Array, dtype: np.dtype[Any] | None = None
) -> Array:
    """Return `function` of the plane, or of every plane of the stack, in one new array."""
    if image.ndim == 2:
        return function(image) if image.size else np.empty(image.shape, dtype or _native(image))
    out = np.empty(image.shape, dtype or _native(image))
    if image.size:
        for index, plane in enumerate(image):
            out[index] = function(plane)
    return out


def _native(image: Array) -> np.dtype[Any]:
    return image.dtype.newbyteorder("=")


def _check_axes(kernel: str, array: Array, axes: tuple[int, ...]) -> None:
    if array.ndim not in axes:
        shapes = {2: "(y, x)", 3: "(n, y, x)"}
        raise ShapeError(f"{kernel} " + " or ".join(shapes[n] for n in axes), array.shape)
