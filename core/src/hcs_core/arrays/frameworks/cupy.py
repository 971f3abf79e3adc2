"""CuPy, on CUDA devices. Written against its documentation; no test has run it yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._device_names import index_of, kind_of
from hcs_core.arrays._dtypes import DTYPES
from hcs_core.arrays.frameworks._streams import SideStreams

_CAPABILITIES = Capabilities(
    dtypes=frozenset(DTYPES) - {"bfloat16"},
    shares_host=False,
    dlpack=frozenset(("cuda",)),
)


class CupyAdapter(ArrayAdapter):
    """CuPy arrays."""

    name: ClassVar[str] = "cupy"
    module_names: ClassVar[tuple[str, ...]] = ("cupy",)

    def __init__(self) -> None:
        self._streams = SideStreams()

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
        """Return a copy in page-locked host memory, once the device has computed it."""
        import cupy
        import cupyx

        with array.device:
            host: NDArray[Any] = cupyx.empty_pinned(array.shape, array.dtype)
            cupy.asnumpy(array, out=host)
        return host

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a copy on the device, which is complete."""
        import cupy

        with self._place(device):
            result = cupy.empty(array.shape, array.dtype)
            result.set(array)  # from page-locked memory without another copy (cupy#7821)
            cupy.cuda.get_current_stream().synchronize()
            return result

    def from_dlpack(self, array: Any) -> Any:
        """Return a CuPy array over another framework's memory."""
        import cupy

        return cupy.from_dlpack(array)

    def copied(self, array: Any, device: str, dtype: str) -> Any:
        """Return a copy on a device."""
        import cupy

        with self._place(device):
            return cupy.array(array, dtype=dtype, copy=True)

    def finish(self, array: Any) -> None:
        """Wait for the stream on which the array is computed."""
        import cupy

        with array.device:
            cupy.cuda.get_current_stream().synchronize()

    def on(self, device: str) -> AbstractContextManager[object]:
        """Return a context that computes on a device, in a stream of this thread's own."""
        return self._on_cuda(device)

    @contextmanager
    def _on_cuda(self, device: str) -> Iterator[Any]:
        import cupy

        with self._place(device) as place:
            outer = cupy.cuda.get_current_stream()
            stream = self._streams.on(place.id, lambda: cupy.cuda.Stream(non_blocking=True))
            stream.wait_event(outer.record())
            try:
                with stream:
                    yield stream
            finally:
                # Also after an error: memory of the outer stream may still be in use.
                outer.wait_event(stream.record())

    def namespace(self) -> Any | None:
        """Return CuPy under the names of the array API standard."""
        try:
            import array_api_compat.cupy
        except ModuleNotFoundError:
            return None
        return array_api_compat.cupy

    def pinned(self, nbytes: int) -> NDArray[Any] | None:
        """Return page-locked memory, where there is a device."""
        import cupyx

        found: NDArray[Any] | None = cupyx.empty_pinned(nbytes, "uint8") if self.devices() else None
        return found

    def memory(self, device: str) -> DeviceMemory | None:
        """Return how full a device is."""
        with self._place(device) as place:
            free, total = place.mem_info
        return DeviceMemory(device, total - free, free)

    def host_device(self) -> str:
        """Return the CUDA device that is current: the first one, until CuPy is loaded."""
        cupy = sys.modules.get("cupy")
        return f"cuda:{cupy.cuda.Device().id if cupy is not None else 0}"

    def devices(self) -> tuple[str, ...]:
        """Return each CUDA device; none without a driver."""
        import cupy

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or too old a one
            return ()
        return tuple(f"cuda:{index}" for index in range(count))

    def free_cache(self, device: str) -> int:
        """Give the free blocks of the device's pool, and pinned host blocks, back."""
        cupy = sys.modules.get("cupy")
        if cupy is None or kind_of(device) != "cuda":
            return 0
        pool = cupy.get_default_memory_pool()
        with cupy.cuda.Device(index_of(device)):
            before = int(pool.total_bytes())
            pool.free_all_blocks()
            freed = before - int(pool.total_bytes())
        cupy.get_default_pinned_memory_pool().free_all_blocks()
        return freed

    def _place(self, device: str) -> Any:
        """Return CuPy's device of this name; used with `with` it is the current one."""
        import cupy

        return cupy.cuda.Device(index_of(self.require(device)))
