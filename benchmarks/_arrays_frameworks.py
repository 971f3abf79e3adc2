"""The same plane in every framework, and where each keeps it."""

from __future__ import annotations

from importlib.metadata import distributions
from typing import Any

import numpy as np

from hcs_core.arrays import empty, freeze

HOSTS = ("numpy", "torch", "tensorflow", "jax")
DISTRIBUTIONS = (
    *("numpy", "torch", "jax", "tensorflow", "tensorflow_cpu", "pyclesperanto", "arraybridge"),
    "scikit-image",
)


def versions() -> str:
    found = {item.name: item.version for item in distributions()}
    return ", ".join(f"{name} {found[name]}" for name in DISTRIBUTIONS if name in found)


def load(notes: list[str]) -> bool:
    """Import every framework, in the one order that works; tell whether OpenCL is there."""
    has_opencl = _load_opencl(notes)  # before TensorFlow, after which it crashes the process
    import jax
    import tensorflow  # noqa: F401
    import torch

    torch.set_num_threads(1)
    jax.block_until_ready(jax.numpy.zeros(1))  # the first array starts the backend
    return has_opencl


def _load_opencl(notes: list[str]) -> bool:
    try:
        import pyclesperanto as cle

        if cle.list_available_devices("all"):
            return True
        reason = "it finds no device"
    except Exception as cause:  # noqa: BLE001 - without a driver it fails in ways of its own
        reason = (str(cause) or type(cause).__name__).splitlines()[0]
    notes.append(f"pyclesperanto: left out: {reason}")
    return False


def plane(shape: tuple[int, ...]) -> Any:
    """Return an aligned writable image of camera counts, the same at each call."""
    image = empty(shape, np.uint16)
    image[...] = np.arange(image.size, dtype=np.uint32).reshape(shape) % 65_521
    return image


def in_each(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a plane in the memory of each framework, and "frozen", as a reader leaves it."""
    import jax
    import tensorflow as tf
    import torch

    image = plane(shape)
    return {
        "numpy": image,
        "frozen": freeze(plane(shape)),
        "torch": torch.from_numpy(image).clone(),
        "tensorflow": tf.identity(tf.constant(image)),
        "jax": jax.numpy.array(image).block_until_ready(),
    }


def address(array: Any) -> int:
    """Return where an array begins, by each framework's own word."""
    if isinstance(array, np.ndarray):
        return int(array.ctypes.data)
    if hasattr(array, "data_ptr"):
        return int(array.data_ptr())
    if hasattr(array, "unsafe_buffer_pointer"):
        return int(array.unsafe_buffer_pointer())
    return int(np.asarray(memoryview(array)).ctypes.data)


def ready(array: Any) -> Any:
    """Return an array when its values are there: JAX hands out arrays that it still writes."""
    wait = getattr(array, "block_until_ready", None)
    return array if wait is None else wait()
