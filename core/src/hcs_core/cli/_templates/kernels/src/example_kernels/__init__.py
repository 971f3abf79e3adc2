"""The image-processing kernels example-kernels, for hcs."""

from example_kernels._version import __version__
from example_kernels.catalogue import LIBRARY

__all__ = ["LIBRARY", "__version__"]
