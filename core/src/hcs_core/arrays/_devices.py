"""Which devices a framework has here, and how full their memory is."""

from __future__ import annotations

from hcs_core.arrays._adapter import ArrayAdapter, DeviceMemory
from hcs_core.arrays._adapters import load, loadable_adapter_for


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
    return _loaded(framework).devices()


def device_memory(framework: str, device: str) -> DeviceMemory | None:
    """Return how much of a device's memory is used and free, in bytes, as a framework sees it.

    None where the framework cannot tell: OpenCL and TensorFlow do not. JAX tells of the pool
    that it has reserved for itself.

    Raises
    ------
    DeviceNotFoundError
        If the framework has no such device.
    """
    return _loaded(framework).memory(device)


def _loaded(framework: str) -> ArrayAdapter:
    adapter = loadable_adapter_for(framework)
    load(adapter)
    return adapter
