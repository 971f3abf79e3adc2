"""JAX, whose arrays never change.

What concerns GPUs is written against its documentation; no test has run it yet.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._aligned import ALIGNMENT, unlocked
from hcs_core.arrays._device_names import full_name
from hcs_core.arrays._dtypes import DTYPES, dtype_of, is_bfloat16, name_of
from hcs_core.arrays._layout import c_strides
from hcs_core.errors import UnsupportedArrayError

_WIDE = frozenset(("uint64", "int64", "float64", "complex128"))
_NARROW, _EVERYTHING = (
    Capabilities(
        dtypes=dtypes,
        layout="c",
        alignment=ALIGNMENT,
        immutable=True,
        dlpack=frozenset(("cpu", "cuda")),
    )
    for dtypes in (frozenset(DTYPES) - _WIDE, frozenset(DTYPES))
)


class JaxAdapter(ArrayAdapter):
    """JAX arrays; 64-bit dtypes exist only with ``jax_enable_x64``, as JAX has it."""

    name: ClassVar[str] = "jax"
    module_names: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")
    quiet: ClassVar[Mapping[str, str]] = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

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
        device = _device_of(array)
        on_host = device.platform == "cpu"
        host = _host(array) if on_host else None
        return ArrayInfo(
            framework=self.name,
            shape=array.shape,
            dtype=name_of(array.dtype),
            device=_device_name(device),
            strides=c_strides(array.shape, array.dtype.itemsize) if host is None else host.strides,
            pointer=array.unsafe_buffer_pointer() if array.size else 0,
            readonly=True,
            nbytes=array.nbytes,
            frozen=True,
        )

    def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how the array is handed on, and its address."""
        try:
            (device,) = array.devices()
        except (TypeError, ValueError):  # it is traced, or spread over several
            device = _device_of(array)
        try:
            strides = memoryview(array).strides  # in half the time that NumPy takes
        except BufferError:  # on a device, in another order than C, or of bfloat16
            strides = self.describe(array).strides
        address = array.unsafe_buffer_pointer() if located else 0
        return (array.shape, strides, array.dtype, device), address

    def address(self, array: Any) -> int:
        """Return the address of the first element."""
        pointer: int = array.unsafe_buffer_pointer()
        return pointer

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the array as a read-only NumPy array; on the host it shares the memory."""
        return _host(array)

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a JAX array; on the host it shares the memory."""
        import jax

        # NumPy has no DLPack code for bfloat16, which it counts among the void ones.
        if device == "cpu" and array.size and array.dtype.kind != "V":
            return jax.dlpack.from_dlpack(unlocked(array))
        place = self._place(device)
        if place.platform == "cpu" and device != "cpu":
            array = array.copy()  # JAX would share it: other devices of a CPU have its memory
        # It returns while it still reads, and the memory may be written to afterwards.
        return jax.device_put(array, place).block_until_ready()

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
        return tuple(self._places())

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether XLA had no memory."""
        errors = getattr(sys.modules.get("jax"), "errors", None)
        if errors is None or isinstance(error, MemoryError):
            return isinstance(error, MemoryError)
        if isinstance(error, errors.JaxRuntimeError):
            return str(error).startswith("RESOURCE_EXHAUSTED")
        # Seen once: the error of the allocator itself, which nothing had wrapped.
        says_so = str(error).startswith("RESOURCE_EXHAUSTED: Out of memory")
        return isinstance(error, ValueError) and says_so

    def _place(self, device: str) -> Any:
        """Return JAX's device of this name."""
        return self._places()[self.require(device)]

    def _places(self) -> dict[str, Any]:
        """Return JAX's devices by name, those of the host too where it has GPUs."""
        import jax

        try:
            host = jax.devices("cpu")
        except RuntimeError:  # JAX_PLATFORMS leaves it out
            host = []
        return {_device_name(device): device for device in (*host, *jax.devices())}


def _device_of(array: Any) -> Any:
    """Return the device of an array that has values, all in one place."""
    try:
        devices = array.devices()
    except TypeError:  # what stands for it while a function is traced knows none
        reason = "it has no values while a function is traced"
        raise UnsupportedArrayError("a traced array", ("jax",), reason) from None
    if len(devices) > 1:
        reason = f"it is spread over {len(devices)} devices; gather it with jax.device_put first"
        raise UnsupportedArrayError("a sharded array", ("jax",), reason)
    (device,) = devices
    return device


def _host(array: Any) -> NDArray[Any]:
    """Return an array as a NumPy array, which shares its memory where that is the host's."""
    host = np.asarray(array)
    if host.base is not None or not host.size or is_bfloat16(host.dtype):
        return host
    # It is a copy: of what lies on a device, or on the host in another order than C.
    device = _device_of(array)
    return np.from_dlpack(array) if device.platform == "cpu" else host


def _device_name(device: Any) -> str:
    kind = "cuda" if device.platform in ("gpu", "cuda") else device.platform
    return full_name(f"{kind}:{device.id}")
