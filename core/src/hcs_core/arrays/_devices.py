"""Which devices a framework has here, and how full their memory is."""

from __future__ import annotations

from hcs_core.arrays._adapter import DeviceMemory
from hcs_core.arrays._adapters import loaded_adapter


def devices(framework: str) -> tuple[str, ...]:
    """Return the devices that this machine has for a framework; it is imported.

    Parameters
    ----------
    framework : str
        Its key in ``ARRAYS``.

    Returns
    -------
    tuple of str
        Such as ``("cpu", "cuda:0", "cuda:1")``; none where a driver is missing.

    Raises
    ------
    UnknownPluginError
        If no adapter is called so.
    MissingLibraryError
        If the framework is not installed.
    FrameworkOrderError
        If importing the framework now would crash the process.
    """
    return loaded_adapter(framework).devices()


def device_memory(framework: str, device: str) -> DeviceMemory | None:
    """Return how much of a device's memory is used and free, as a framework sees it.

    Parameters
    ----------
    framework : str
        Its key in ``ARRAYS``; it is imported.
    device : str
        Such as ``"cpu"`` or ``"cuda:0"``.

    Returns
    -------
    DeviceMemory or None
        In bytes; JAX tells of the pool that it has reserved for itself. None where the
        framework cannot tell: OpenCL and TensorFlow do not.

    Raises
    ------
    DeviceNotFoundError
        If the framework has no such device.
    UnknownPluginError
        If no adapter is called so.
    MissingLibraryError
        If the framework is not installed.
    FrameworkOrderError
        If importing the framework now would crash the process.
    """
    adapter = loaded_adapter(framework)
    return adapter.memory(adapter.require(device))
