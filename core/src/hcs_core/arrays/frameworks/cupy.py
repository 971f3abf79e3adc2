"""CuPy, on CUDA devices. Written against its documentation; no test has run it yet."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.errors import FrameworkUnavailableError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(
        (
            *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
            *("float16", "float32", "float64", "complex64", "complex128"),
        )
    ),
    shares_host=False,
)


class CupyAdapter(ArrayAdapter):
    """CuPy arrays."""

    name: ClassVar[str] = "cupy"
    module_names: ClassVar[tuple[str, ...]] = ("cupy",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is a CuPy array."""
        cupy = sys.modules.get("cupy")
        kind = getattr(cupy, "ndarray", None)
        return kind is not None and isinstance(value, kind)

    def capabilities(self) -> Capabilities:
        """Return what CuPy holds."""
        return _CAPABILITIES

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the array is."""
        return ArrayInfo(
            framework=self.name,
            shape=array.shape,
            dtype=array.dtype.name,
            device=f"cuda:{array.device.id}",
            strides=array.strides,
            pointer=array.data.ptr if array.size else 0,
            readonly=False,
            nbytes=array.nbytes,
        )

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return a copy in host memory, once the device has computed it."""
        import cupy

        with array.device:
            found: NDArray[Any] = cupy.asnumpy(array)
        return found

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a copy on the device."""
        import cupy

        kind, _, index = device.partition(":")
        known = self.devices()
        if f"{kind}:{index or 0}" not in known:
            raise FrameworkUnavailableError(f"device {device!r}", self.name, known)
        with cupy.cuda.Device(int(index or 0)):
            return cupy.asarray(array)

    def host_device(self) -> str:
        """Return the CUDA device that is current."""
        import cupy

        return f"cuda:{cupy.cuda.Device().id}"

    def devices(self) -> tuple[str, ...]:
        """Return each CUDA device; none without a driver."""
        import cupy

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or too old a one
            return ()
        return tuple(f"cuda:{index}" for index in range(count))

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether CuPy's pool had no memory; its error is a MemoryError."""
        return isinstance(error, MemoryError)

    def free_cache(self, device: str) -> None:
        """Give the free blocks of the device's pool, and pinned host blocks, back."""
        cupy = sys.modules.get("cupy")
        if cupy is None or not device.startswith("cuda"):
            return
        with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
            cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
