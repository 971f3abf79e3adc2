"""TensorFlow, whose tensors never change.

What concerns GPUs is written against its documentation; no test has run it yet.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import ALIGNMENT, address_of, unlocked
from hcs_core.arrays._dtypes import DTYPES, dtype_of, is_bfloat16
from hcs_core.arrays._layout import c_strides
from hcs_core.errors import UnsupportedArrayError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(DTYPES),
    layout="c",
    alignment=ALIGNMENT,  # it takes other memory too, and ends the process at the next operation
    immutable=True,
    dlpack=frozenset(("cpu", "cuda")),
)
# As in: OOM when allocating tensor with shape[64,2048] and type float on /job
_TENSOR = re.compile(r"tensor with shape\[([\d,]*)\] and type (\w+)")
_TYPES = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "uint16"}
"""Its own names of dtypes, as others of the same size."""


class TensorflowAdapter(ArrayAdapter):
    """Eager tensors; a symbolic one has no values yet and is refused.

    TensorFlow must be loaded after pyclesperanto: its wheels export the LLVM that is in
    them, and an OpenCL driver with another crashes the process (tensorflow#124205).
    """

    name: ClassVar[str] = "tensorflow"
    module_names: ClassVar[tuple[str, ...]] = ("tensorflow",)
    takes_capsules: ClassVar[bool] = True
    quiet: ClassVar[Mapping[str, str]] = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }

    def owns(self, value: object) -> bool:
        """Return whether `value` is a tensor."""
        tensorflow = sys.modules.get("tensorflow")
        # While TensorFlow is being imported the name is there and the class is not.
        kind = getattr(tensorflow, "Tensor", None)
        return kind is not None and isinstance(value, kind)

    def capabilities(self) -> Capabilities:
        """Return what TensorFlow holds."""
        return _CAPABILITIES

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the tensor is."""
        device = _device_name(array.device)
        host = _host(array) if device == "cpu" else None
        shape = tuple(array.shape)
        itemsize = array.dtype.size
        return ArrayInfo(
            framework=self.name,
            shape=shape,
            dtype=array.dtype.name,
            device=device,
            strides=c_strides(shape, itemsize),
            pointer=address_of(host) if host is not None and host.size else 0,
            readonly=True,
            nbytes=int(np.prod(shape, dtype=np.int64)) * itemsize,
            frozen=True,
        )

    def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how the tensor is handed on, and its address on the host."""
        device = array.device
        if not device.endswith("CPU:0"):
            return super().facts(array, located=located)
        host = _host(array)
        return (host.shape, host.dtype, device), address_of(host) if located else 0

    def address(self, array: Any) -> int:
        """Return the address of the first element of a tensor on the host."""
        return address_of(_host(array)) if array.device.endswith("CPU:0") else 0

    def checked(self, array: Any) -> Any:
        """Return the tensor itself."""
        if not hasattr(array, "numpy"):
            reason = "it has no values while a graph is built"
            raise UnsupportedArrayError("a symbolic tensor", (self.name,), reason)
        return array

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the tensor as a read-only NumPy array; on the host it shares the memory."""
        host = _host(array)
        if host.flags.writeable:
            host = host.view()
            host.flags.writeable = False
        return host

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a tensor; on the host it shares the memory."""
        import tensorflow as tf

        if device != "cpu" or not array.size:
            with tf.device(self._place(device)):
                return tf.constant(array)
        if is_bfloat16(array.dtype):
            return tf.bitcast(self.from_host(array.view(np.uint16), device), tf.bfloat16)
        return tf.experimental.dlpack.from_dlpack(unlocked(array).__dlpack__())

    def from_dlpack(self, array: Any) -> Any:
        """Return a tensor over memory in which nothing is left to be computed."""
        import tensorflow as tf

        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())

    def copied(self, array: Any, device: str, dtype: str) -> Any:
        """Return a copy on a device."""
        import tensorflow as tf

        with tf.device(self._place(device)):
            return tf.identity(tf.cast(array, dtype))

    def finish(self, array: Any) -> None:
        """Do nothing: TensorFlow exports memory once it is computed."""

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu`` and each GPU."""
        import tensorflow as tf

        count = len(tf.config.list_physical_devices("GPU"))
        return ("cpu", *(f"cuda:{index}" for index in range(count)))

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether TensorFlow had no memory."""
        errors = getattr(sys.modules.get("tensorflow"), "errors", None)
        if errors is None:
            return isinstance(error, MemoryError)
        # This is how an upload says that the GPU had no memory for it (tensorflow#7025).
        is_upload = isinstance(error, errors.InternalError) and "Dst tensor is not" in str(error)
        return is_upload or isinstance(error, errors.ResourceExhaustedError | MemoryError)

    def requested_bytes(self, error: BaseException) -> int | None:
        """Return how many bytes were missing; TensorFlow says the shape and the dtype."""
        tensor = _TENSOR.search(str(error))
        if tensor is None:
            return super().requested_bytes(error)
        dtype = _TYPES.get(tensor[2], tensor[2])
        if dtype not in DTYPES:  # one that TensorFlow alone has
            return None
        size = math.prod(int(axis) for axis in tensor[1].split(",") if axis)
        return size * dtype_of(dtype).itemsize

    def _place(self, device: str) -> str:
        """Return a device under TensorFlow's name for it."""
        return self.require(device).replace("cuda", "GPU").replace("cpu", "CPU:0")


def _host(array: Any) -> NDArray[Any]:
    """Return a tensor as a NumPy array: not by `numpy()`, which copies."""
    if array.dtype.name != "bfloat16":
        return np.asarray(array)
    import tensorflow as tf  # NumPy cannot read a single number of this dtype

    with tf.init_scope():  # else it would become part of a graph that is being built
        return np.asarray(tf.bitcast(array, tf.uint16)).view(dtype_of("bfloat16"))


def _device_name(device: str) -> str:
    kind, _, index = device.rpartition("/device:")[2].partition(":")
    if kind == "CPU" and index == "0":
        return "cpu"
    return f"{kind.lower().replace('gpu', 'cuda')}:{index}"
