"""Image-processing kernels for high-content screening.

``LIBRARY`` is the catalogue. Every kernel in it can also be imported from here by its name
and called with arrays; its module, and the libraries that it needs, are loaded then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs_gpu_kernels._version import __version__
from hcs_gpu_kernels.catalogue import LIBRARY

if TYPE_CHECKING:
    from hcs_gpu_kernels.counting import count_objects
    from hcs_gpu_kernels.filters import gaussian_blur, tophat
    from hcs_gpu_kernels.intensity import percentile_normalize, stack_percentile_normalize
    from hcs_gpu_kernels.measure import measure_objects
    from hcs_gpu_kernels.nuclei import segment_nuclei
    from hcs_gpu_kernels.projection import max_projection

__all__ = [
    "LIBRARY",
    "__version__",
    "count_objects",
    "gaussian_blur",
    "max_projection",
    "measure_objects",
    "percentile_normalize",
    "segment_nuclei",
    "stack_percentile_normalize",
    "tophat",
]


def __getattr__(name: str) -> object:
    kernel = LIBRARY.get(name)
    if kernel is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return kernel.load("numpy")


def __dir__() -> list[str]:
    return __all__
