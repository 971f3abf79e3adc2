"""Arrays without values: what stands for an array while a framework traces a function.

Under `jax.jit`, `torch.vmap` or `tf.function` a function is called with them. They have a shape
and a dtype, but no memory and mostly no place, so adapters cannot describe them. The same
holds for arrays whose values lie in several places, and for sparse ones.
"""

from __future__ import annotations

from typing import Any

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo
from hcs_core.arrays._adapters import adapter_of


def described(adapter: ArrayAdapter, array: Any) -> ArrayInfo | None:
    """Return what an array is; None where it is not one that can be described."""
    try:
        return adapter.describe(array)
    except Exception:  # noqa: BLE001 - foreign code: each framework has errors of its own
        return None


def shape_of(array: Any) -> tuple[int, ...]:
    """Return the shape of an array, which a traced one has too."""
    info = described(adapter_of(array), array)
    return tuple(array.shape) if info is None else info.shape


def dtype_name(adapter: ArrayAdapter, array: Any) -> str:
    """Return the name of the dtype of an array, which a traced one has too."""
    info = described(adapter, array)
    if info is not None:
        return info.dtype
    # That of torch has no name, and reads as torch.float32.
    return getattr(array.dtype, "name", None) or str(array.dtype).rpartition(".")[2]
