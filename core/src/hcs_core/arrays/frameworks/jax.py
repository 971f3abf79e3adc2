"""JAX, whose arrays never change."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._aligned import ALIGNMENT, unlocked
from hcs_core.arrays._dtypes import dtype_of, is_bfloat16, name_of
from hcs_core.errors import DeviceNotFoundError

_DTYPES = frozenset(
    (
        *("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32"),
        *("float16", "bfloat16", "float32", "complex64"),
    )
)
_WIDE = frozenset(("uint64", "int64", "float64", "complex128"))
_NARROW, _EVERYTHING = (
    Capabilities(
        dtypes=dtypes,
        layout="c",
        alignment=ALIGNMENT,
        immutable=True,
        dlpack=frozenset(("cpu", "cuda")),
    )
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

    def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how the array is handed on, and its address."""
        try:
            strides = memoryview(array).strides  # in half the time that NumPy takes
        except BufferError:  # on a device, in another order than C, or of bfloat16
            strides = self.describe(array).strides
        (device,) = array.devices()
        address = array.unsafe_buffer_pointer() if located else 0
        return (array.shape, strides, array.dtype, device), address

    def address(self, array: Any) -> int:
        """Return the address of the first element."""
        return int(array.unsafe_buffer_pointer())

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the array as a read-only NumPy array; on the host it shares the memory."""
        return _host(array)

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a JAX array; on the host it shares the memory."""
        import jax

        if device == "cpu" and array.size and not is_bfloat16(array.dtype):
            return jax.dlpack.from_dlpack(unlocked(array))
        # It returns while it still reads, and the memory may be written to afterwards.
        return jax.device_put(array, self._place(device)).block_until_ready()

    def from_dlpack(self, array: Any) -> Any:
        """Return a JAX array over another framework's memory, on any device."""
        import jax

        return jax.dlpack.from_dlpack(array)

    def copied(self, array: Any, device: str, dtype: str) -> Any:
        """Return a copy on a device."""
        import jax

        return jax.numpy.array(array, dtype_of(dtype), copy=True, device=self._place(device))

    def finish(self, array: Any) -> None:
        """Wait until the array is computed."""
        array.block_until_ready()

    def namespace(self) -> Any | None:
        """Return `jax.numpy`, which follows the array API standard."""
        import jax

        return jax.numpy

    def memory(self, device: str) -> DeviceMemory | None:
        """Return how much of its own pool JAX has taken on a GPU, and how full the host is."""
        if device == "cpu":
            return super().memory(device)
        stats = self._place(device).memory_stats()
        if not stats or "bytes_limit" not in stats:
            return None
        used = int(stats["bytes_in_use"])
        return DeviceMemory(device, used, int(stats["bytes_limit"]) - used)

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
            raise DeviceNotFoundError(device, self.name, known) from cause


def _host(array: Any) -> NDArray[Any]:
    """Return an array as a NumPy array, which shares its memory where that is the host's."""
    host = np.asarray(array)
    if host.base is not None or not host.size or is_bfloat16(host.dtype):
        return host
    # It is a copy: of what lies on a device, or on the host in another order than C.
    (device,) = array.devices()
    return np.from_dlpack(array) if device.platform == "cpu" else host


def _device_name(device: Any) -> str:
    platform = "cuda" if device.platform in ("gpu", "cuda") else device.platform
    return "cpu" if platform == "cpu" and device.id == 0 else f"{platform}:{device.id}"


def _c_strides(array: Any) -> tuple[int, ...]:
    strides, step = [], array.dtype.itemsize
    for extent in reversed(array.shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))
