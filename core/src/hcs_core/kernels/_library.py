"""Libraries of kernels, and how a name that a user typed becomes a kernel."""

from __future__ import annotations

from dataclasses import dataclass

from hcs_core.errors import UnknownKernelError
from hcs_core.kernels._kernel import Kernel
from hcs_core.registry import Registry

DEFAULT_LIBRARY = "hcs"


@dataclass(frozen=True, slots=True)
class KernelLibrary:
    """A light static catalogue of kernels; listing it imports no framework.

    Parameters
    ----------
    name : str
        The library's key in ``KERNELS`` and the prefix that users type.
    kernels : tuple of Kernel
        Its kernels, each name once.
    """

    name: str
    kernels: tuple[Kernel, ...]

    def get(self, name: str) -> Kernel | None:
        """Return the kernel of this name, or None."""
        return next((kernel for kernel in self.kernels if kernel.name == name), None)


KERNELS: Registry[KernelLibrary] = Registry("hcs.kernels", api=1, doc="kernel libraries")
KERNELS.expect(KernelLibrary, attribute="name", instances=True)


def kernel_names(library: str) -> tuple[str, ...]:
    """Return the sorted names of one library's kernels."""
    return tuple(sorted(kernel.name for kernel in KERNELS[library].kernels))


def find_kernel(reference: str) -> tuple[str, Kernel]:
    """Return the library name and the kernel that `reference` means.

    Parameters
    ----------
    reference : str
        ``"library:kernel"``, or a bare kernel name of the library ``hcs``.

    Raises
    ------
    UnknownPluginError
        If no such library is installed.
    UnknownKernelError
        If the library has no kernel of this name.
    """
    library, colon, name = reference.partition(":")
    if not colon:
        library, name = DEFAULT_LIBRARY, reference
    kernel = KERNELS[library].get(name)
    if kernel is None:
        raise UnknownKernelError(name, library, kernel_names(library))
    return library, kernel
