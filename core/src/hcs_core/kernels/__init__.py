"""Declarations of image-processing kernels: what there is, without importing any."""

from hcs_core.kernels._kernel import PER_CHANNEL_SUFFIX, Kernel, Parameter
from hcs_core.kernels._library import KERNELS, KernelLibrary, find_kernel, kernel_names

__all__ = [
    "KERNELS",
    "PER_CHANNEL_SUFFIX",
    "Kernel",
    "KernelLibrary",
    "Parameter",
    "find_kernel",
    "kernel_names",
]
