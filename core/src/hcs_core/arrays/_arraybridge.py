"""The names of arraybridge 0.5.2, so that a program that uses it needs to change its imports only.

They say what they said there, but that nothing is lost in silence: see the guide "Move from
arraybridge".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from hcs_core.arrays._adapters import loaded_adapter
from hcs_core.arrays._convert import convert, describe, detect
from hcs_core.arrays._device_names import kind_of
from hcs_core.arrays._stacking import stack, unstack
from hcs_core.errors import DeviceNotFoundError, ParameterError, ShapeError


class MemoryType(StrEnum):
    """The array frameworks of the core; another package's is named by its key alone."""

    NUMPY = "numpy"
    CUPY = "cupy"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"
    JAX = "jax"
    PYCLESPERANTO = "pyclesperanto"


def convert_memory(
    data: Any,
    source_type: str,
    target_type: str,
    device: str | int | None = None,
    *,
    gpu_id: int | None = None,
) -> Any:
    """Return an array in another framework; `convert` does the same, and more.

    Parameters
    ----------
    data : array
        An array of any installed framework; not modified.
    source_type : str
        The framework that it is of, which is checked.
    target_type : str
        The framework wanted.
    device : str or int, optional
        Where the result is to lie, such as ``"cpu"`` or ``"cuda:0"``; as for `convert`. A
        number is that of an accelerator; NumPy has none, and takes no notice of it.
    gpu_id : int, optional
        The same number, as it was called up to 0.4.

    Raises
    ------
    ParameterError
        If `data` is of another framework than `source_type` says, or `device` and `gpu_id`
        are both given.
    HcsError
        As `convert`.
    """
    target, place = str(target_type), _place("convert_memory", target_type, device, gpu_id)
    found = detect(data)
    if str(source_type) != found:
        wanted = f"{found!r}, of which the array is"
        raise ParameterError("convert_memory", "source_type", str(source_type), wanted)
    return convert(data, target, device=place)


def detect_memory_type(data: object) -> str:
    """Return the name of the framework that an array is of; `detect`.

    Raises
    ------
    UnsupportedArrayError
        If no installed framework has such arrays.
    """
    return detect(data)


def stack_slices(
    slices: Iterable[Any],
    memory_type: str,
    device: str | int | None = None,
    *,
    gpu_id: int | None = None,
) -> Any:
    """Return planes of any frameworks as one stack; `stack` does the same, and more.

    Parameters
    ----------
    slices : iterable of arrays, shape (y, x)
        At least one; a generator too.
    memory_type : str
        The framework wanted.
    device, gpu_id
        As for `convert_memory`.

    Returns
    -------
    array, shape (n, y, x)
        The stack, whose memory is its own.

    Raises
    ------
    ShapeError
        If there is no plane, or one has not two axes or another shape than the first.
    HcsError
        As `stack`.
    """
    planes = list(slices)
    for plane in planes:
        _check_axes(plane, 2, "planes (y, x)")
    return stack(
        planes, str(memory_type), device=_place("stack_slices", memory_type, device, gpu_id)
    )


def unstack_slices(
    array: Any,
    memory_type: str,
    device: str | int | None = None,
    validate_slices: bool = True,
    *,
    gpu_id: int | None = None,
) -> list[Any]:
    """Return the planes of a stack; `unstack` does the same, and more.

    Parameters
    ----------
    array : array, shape (n, y, x)
        A stack of any framework.
    memory_type : str
        The framework wanted.
    device, gpu_id
        As for `convert_memory`.
    validate_slices : bool
        Changes nothing: a plane of a stack has two axes.

    Returns
    -------
    list of arrays, shape (y, x)
        The planes, in order.

    Raises
    ------
    ShapeError
        If the array has not three axes.
    HcsError
        As `unstack`.
    """
    _check_axes(array, 3, "a stack (n, y, x)")
    place = _place("unstack_slices", memory_type, device, gpu_id)
    return list(unstack(array, str(memory_type), device=place))


def _check_axes(array: Any, count: int, wanted: str) -> None:
    shape = describe(array).shape
    if len(shape) != count:
        raise ShapeError(wanted, shape)


def _place(function: str, target: str, device: str | int | None, gpu_id: int | None) -> str | None:
    """Return a device by name, an accelerator also by its number."""
    if device is not None and gpu_id is not None:
        raise ParameterError(function, "gpu_id", gpu_id, "left out where device is given")
    asked = device if gpu_id is None else gpu_id
    if asked is None or isinstance(asked, str):
        return asked
    if str(target) == "numpy":
        return None
    adapter = loaded_adapter(str(target))
    known = adapter.devices()
    accelerators = [name for name in known if kind_of(name) != "cpu"]
    if not 0 <= asked < len(accelerators):
        raise DeviceNotFoundError(f"accelerator {asked}", adapter.name, known)
    return accelerators[asked]
