"""JAX, whose arrays never change."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import ALIGNMENT, unlocked
from hcs_core.arrays._dtypes import is_bfloat16, name_of
from hcs_core.errors import FrameworkUnavailableError

_DTYPES = frozenset(
    (
        *("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32"),
        *("float16", "bfloat16", "float32", "complex64"),
    )
)
_WIDE = frozenset(("uint64", "int64", "float64", "complex128"))
_NARROW, _EVERYTHING = (
    Capabilities(dtypes=dtypes, layout="c", alignment=ALIGNMENT, immutable=True)
    for dtypes in (_DTYPES, _DTYPES | _WIDE)
)


class JaxAdapter(ArrayAdapter):
    """JAX arrays; 64-bit dtypes exist only with ``jax_enable_x64``, as JAX has it."""

    name: ClassVar[str] = "jax"
    module_names: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")

    def owns(self, value: object) -> bool:
        """Return whether `value` is a JAX array."""
        jax = sys.modules.get("jax")
        return jax is not None and isinstance(value, jax.Array)

    def capabilities(self) -> Capabilities:
        """Return what JAX holds: by default nothing of 64 bits."""
        jax = sys.modules.get("jax")
        return _EVERYTHING if jax is not None and jax.config.jax_enable_x64 else _NARROW

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the array is."""
        (device,) = array.devices()
        on_host = device.platform == "cpu"
        host = _host(array) if on_host else None
        return ArrayInfo(
            framework=self.name,
            shape=array.shape,
            dtype=name_of(array.dtype),
            device="cpu" if on_host and not device.id else _device_name(device),
            strides=host.strides if host is not None else _c_strides(array),
            pointer=array.unsafe_buffer_pointer() if array.size else 0,
            readonly=True,
            nbytes=array.nbytes,
            frozen=True,
        )

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the array as a read-only NumPy array; on the host it shares the memory."""
        (device,) = array.devices()
        return _host(array) if device.platform == "cpu" else np.asarray(array)

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a JAX array; on the host it shares the memory."""
        import jax

        place = self._place(device)
        if place.platform != "cpu" or place.id or is_bfloat16(array.dtype) or not array.size:
            return jax.device_put(array, place)
        return jax.dlpack.from_dlpack(unlocked(array))

    def devices(self) -> tuple[str, ...]:
        """Return the devices that JAX sees."""
        import jax

        found = [_device_name(device) for device in jax.devices()]
        return tuple(dict.fromkeys(("cpu", *found)))

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether XLA had no memory."""
        starts = str(error).startswith("RESOURCE_EXHAUSTED")
        return isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError | ValueError) and starts
        )

    def _place(self, device: str) -> Any:
        import jax

        kind, _, index = device.partition(":")
        platform = {"cuda": "gpu", "rocm": "gpu"}.get(kind, kind)
        try:
            return jax.devices(platform)[int(index or 0)]
        except (RuntimeError, ValueError, IndexError) as cause:
            known = self.devices()
            raise FrameworkUnavailableError(f"device {device!r}", self.name, known) from cause


def _host(array: Any) -> NDArray[Any]:
    """Return an array on the host as a NumPy array that shares its memory."""
    host = np.asarray(array)
    address = host.__array_interface__["data"][0]
    if not host.size or is_bfloat16(host.dtype) or address == array.unsafe_buffer_pointer():
        return host
    return np.from_dlpack(array)  # np.asarray copies what is not in C order


def _device_name(device: Any) -> str:
    platform = "cuda" if device.platform in ("gpu", "cuda") else device.platform
    return "cpu" if platform == "cpu" and device.id == 0 else f"{platform}:{device.id}"


def _c_strides(array: Any) -> tuple[int, ...]:
    strides, step = [], array.dtype.itemsize
    for extent in reversed(array.shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))
