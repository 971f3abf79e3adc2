"""The library ``hcs`` holds the contract of all kernel libraries."""

from __future__ import annotations

from hcs_core.testing import KernelLibraryTests
from hcs_gpu_kernels import LIBRARY


class TestLibrary(KernelLibraryTests):
    library = LIBRARY
    catalogue = "hcs_gpu_kernels.catalogue:LIBRARY"
