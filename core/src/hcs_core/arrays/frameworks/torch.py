"""PyTorch, on CPU, CUDA and Apple's MPS.

What concerns CUDA and MPS is written against its documentation; no test has run it yet.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._aligned import unlocked
from hcs_core.arrays._device_names import kind_of
from hcs_core.arrays._dtypes import DTYPES, dtype_of, is_bfloat16
from hcs_core.arrays.frameworks._streams import SideStreams
from hcs_core.errors import UnsupportedArrayError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(DTYPES),
    layout="forward",  # a negative stride aborts the process in torch 2.13 (pytorch#188023)
    dlpack=frozenset(("cpu", "cuda")),
)
# Metal has no numbers of 64 bits but integers.
_DTYPES_OF_MPS = _CAPABILITIES.dtypes - {"float64", "complex128"}
# The allocator of host memory raises a plain RuntimeError, and so do the driver and MPS. Their
# texts are theirs alone: functions say "not enough memory" of their own too.
_ALLOCATOR = "DefaultCPUAllocator: "
_NO_MEMORY = ("CUDA error: out of memory", "MPS backend out of memory")


class TorchAdapter(ArrayAdapter):
    """Tensors; refused are those that autograd follows, and views that are conjugated."""

    name: ClassVar[str] = "torch"
    module_names: ClassVar[tuple[str, ...]] = ("torch",)

    def __init__(self) -> None:
        self._streams = SideStreams()

    def owns(self, value: object) -> bool:
        """Return whether `value` is a tensor."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(value, torch.Tensor)

    def capabilities(self) -> Capabilities:
        """Return what torch holds."""
        return _CAPABILITIES

    def dtypes_on(self, device: str) -> frozenset[str]:
        """Return what torch holds on a device: on MPS no float64."""
        return _DTYPES_OF_MPS if kind_of(device) == "mps" else _CAPABILITIES.dtypes

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the tensor is."""
        itemsize = array.element_size()
        return ArrayInfo(
            framework=self.name,
            shape=tuple(array.shape),
            dtype=str(array.dtype)[6:],  # "torch.uint16"
            device=_device_name(array.device),
            strides=tuple([step * itemsize for step in array.stride()]),
            pointer=array.data_ptr() if array.numel() else 0,
            readonly=False,
            nbytes=array.numel() * itemsize,
        )

    def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how the tensor is handed on, and its address."""
        address = array.data_ptr() if located or array.element_size() > 8 else 0
        return (array.shape, array.stride(), array.dtype, array.device), address

    def address(self, array: Any) -> int:
        """Return the address of the first element."""
        return int(array.data_ptr())

    def checked(self, array: Any) -> Any:
        """Return the tensor itself."""
        if array.requires_grad:
            reason = "autograd follows it; call detach() first"
            raise UnsupportedArrayError("a tensor with requires_grad", (self.name,), reason)
        if array.is_conj() or array.is_neg():
            reason = "its values are not what lies in memory; call resolve_conj().resolve_neg()"
            raise UnsupportedArrayError("a conjugated or negated view", (self.name,), reason)
        return array

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the tensor as a NumPy array that shares its memory, or a copy of a device's."""
        import torch

        host = array if array.is_cpu else _downloaded(array)
        if host.dtype is not torch.bfloat16:
            found: NDArray[Any] = host.numpy()
            return found
        return np.asarray(host.view(torch.int16).numpy()).view(dtype_of("bfloat16"))

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a tensor; on the host it shares the memory."""
        import torch

        if is_bfloat16(array.dtype):
            tensor = torch.from_numpy(unlocked(array.view(np.int16))).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(unlocked(array))
        return tensor if device == "cpu" else tensor.to(self.require(device))

    def from_dlpack(self, array: Any) -> Any:
        """Return a tensor over another framework's memory, on any device."""
        import torch

        return torch.from_dlpack(array)

    def copied(self, array: Any, device: str, dtype: str) -> Any:
        """Return a copy on a device."""
        import torch

        return array.to(self.require(device), getattr(torch, dtype), copy=True)

    def finish(self, array: Any) -> None:
        """Wait for the stream on which a CUDA tensor is computed."""
        import torch

        if array.is_cuda:
            torch.cuda.current_stream(array.device).synchronize()

    def on(self, device: str) -> AbstractContextManager[object]:
        """Return a context that computes on a CUDA device, in a stream of this thread's own."""
        return self._on_cuda(device) if kind_of(device) == "cuda" else nullcontext()

    @contextmanager
    def _on_cuda(self, device: str) -> Iterator[Any]:
        import torch

        place = self.require(device)
        outer = torch.cuda.current_stream(place)
        stream = self._streams.on(place, lambda: torch.cuda.Stream(place))
        stream.wait_stream(outer)
        try:
            with torch.cuda.stream(stream):  # makes the device current, too
                yield stream
        finally:
            # Also after an error: memory of the outer stream may still be in use.
            outer.wait_stream(stream)

    def namespace(self) -> Any | None:
        """Return torch under the names of the array API standard."""
        try:
            import array_api_compat.torch
        except ModuleNotFoundError:
            return None
        return array_api_compat.torch

    def pinned(self, nbytes: int) -> NDArray[Any] | None:
        """Return page-locked memory, where torch has a CUDA device."""
        import torch

        if not torch.cuda.is_available():
            return None
        found: NDArray[Any] = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True).numpy()
        return found

    def memory(self, device: str) -> DeviceMemory | None:
        """Return how full a CUDA device or the host is."""
        if kind_of(device) != "cuda":
            return super().memory(device)
        import torch

        free, total = torch.cuda.mem_get_info(device)
        return DeviceMemory(device, total - free, free)

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu``, and each CUDA device or ``mps:0``."""
        import torch

        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        return (*found, "mps:0") if torch.backends.mps.is_available() else tuple(found)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether torch had no memory, on the host or on a device."""
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            return True
        if not isinstance(error, RuntimeError):
            return isinstance(error, MemoryError)
        text = str(error)
        return _ALLOCATOR in text or text.startswith(_NO_MEMORY)

    def free_cache(self, device: str) -> int:
        """Give unused blocks of a CUDA device back."""
        torch = sys.modules.get("torch")
        if torch is None or kind_of(device) != "cuda":
            return 0
        with torch.cuda.device(device):
            before = int(torch.cuda.memory_reserved())
            torch.cuda.empty_cache()
            return before - int(torch.cuda.memory_reserved())


def _downloaded(tensor: Any) -> Any:
    """Return a copy in host memory; page-locked from CUDA."""
    import torch

    if not tensor.is_cuda:
        return tensor.cpu()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host


def _device_name(device: Any) -> str:
    return device.type if device.index is None else f"{device.type}:{device.index}"
