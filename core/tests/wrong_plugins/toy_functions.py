"""Functions of the toy kernels: right ones, and ones that each break one promise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_buffer: dict[str, Array] = {}


def shift(image: Array, *, levels: int = 1) -> Array:
    return np.asarray(image + image.dtype.type(levels))


def brightest(stack: Array) -> Array:
    return np.asarray(stack.max(axis=0))


def bright(image: Array) -> Array:
    return (image > 100).astype(np.int32)


def measure(image: Array, labels: Array, *, pixel_size_um: Any) -> dict[str, Any]:
    size = 1.0 if pixel_size_um is None else pixel_size_um[0]
    return {"size": [size * np.count_nonzero(labels)], "mean_intensity": [image.mean()]}


def power(image: Array, exponent: int) -> Array:
    return np.asarray(image**exponent)


def only_cameras(image: Array) -> Array:
    from hcs_core.errors import DtypeError

    if image.dtype != np.uint16:
        raise DtypeError("only_cameras", str(image.dtype), "uint16")
    return image.copy()


def only_floats(image: Array) -> Array:
    from hcs_core.errors import DtypeError

    if image.dtype != np.float32:
        raise DtypeError("only_floats", str(image.dtype), "float32")
    return image.copy()


def wider(image: Array) -> Array:
    return image.astype(np.float64)


def wide_labels(image: Array) -> Array:
    return (image > 100).astype(np.int64)


def uneven(image: Array) -> dict[str, Any]:
    return {"label": [1, 2], "area": [3]}


def noisy(image: Array) -> Array:
    noise = np.random.default_rng().integers(0, 2, image.shape)
    return np.asarray(image + noise.astype(image.dtype))


def same_buffer(image: Array) -> Array:
    buffer = _buffer.setdefault(f"{image.shape}{image.dtype}", np.empty_like(image))
    np.copyto(buffer, image)
    return buffer


def in_place(image: Array) -> Array:
    if image.flags.writeable:
        image += image.dtype.type(1)
    return image.copy()


def wants_to_write(image: Array) -> Array:
    image.flags.writeable = True
    return image.copy()


def as_in_memory(image: Array) -> Array:
    return image.ravel(order="K").reshape(image.shape)


def in_um(image: Array, *, pixel_size_um: Any) -> dict[str, Any]:
    return {"height": [image.shape[0] * pixel_size_um[0]]}


def of_the_whole(image: Array) -> Array:
    return np.asarray(image.max() - image)
