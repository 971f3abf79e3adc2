"""PyTorch, on CPU, CUDA and Apple's MPS."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import unlocked
from hcs_core.arrays._dtypes import is_bfloat16
from hcs_core.errors import FrameworkUnavailableError, UnsupportedArrayError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(
        (
            *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
            *("float16", "float32", "float64", "complex64", "complex128", "bfloat16"),
        )
    ),
    layout="forward",  # a negative stride aborts the process in torch 2.13 (pytorch#188023)
)
# The allocator of host memory raises a plain RuntimeError.
_HOST_MEMORY = ("can't allocate memory", "not enough memory")


class TorchAdapter(ArrayAdapter):
    """Tensors; refused are those that autograd follows, and views that are conjugated."""

    name: ClassVar[str] = "torch"
    module_names: ClassVar[tuple[str, ...]] = ("torch",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is a tensor."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(value, torch.Tensor)

    def capabilities(self) -> Capabilities:
        """Return what torch holds."""
        return _CAPABILITIES

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

        host = array if array.device.type == "cpu" else array.cpu()
        if host.dtype is torch.bfloat16:
            import ml_dtypes

            host, kind = host.view(torch.int16), ml_dtypes.bfloat16
            return np.asarray(host.numpy()).view(kind)
        return np.asarray(host.numpy())

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a tensor; on the host it shares the memory."""
        import torch

        place = self._checked(device)
        plain = array.view(np.int16) if is_bfloat16(array.dtype) else array
        tensor = torch.from_numpy(unlocked(plain))
        if plain is not array:
            tensor = tensor.view(torch.bfloat16)
        return tensor if place == "cpu" else tensor.to(place)

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu``, and each CUDA device or ``mps``."""
        import torch

        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        return (*found, "mps") if torch.backends.mps.is_available() else tuple(found)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether torch had no memory, on the host or on a device."""
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            return True
        is_host = isinstance(error, RuntimeError) and any(t in str(error) for t in _HOST_MEMORY)
        return is_host or isinstance(error, MemoryError)

    def free_cache(self, device: str) -> None:
        """Give unused blocks of a CUDA device back."""
        torch = sys.modules.get("torch")
        if torch is not None and device.startswith("cuda"):
            with torch.cuda.device(device):
                torch.cuda.empty_cache()

    def _checked(self, device: str) -> str:
        wanted = "cuda:0" if device == "cuda" else device
        known = self.devices() if wanted != "cpu" else ("cpu",)
        if wanted not in known:
            raise FrameworkUnavailableError(f"device {device!r}", self.name, known)
        return wanted


def _device_name(device: Any) -> str:
    return device.type if device.index is None else f"{device.type}:{device.index}"
