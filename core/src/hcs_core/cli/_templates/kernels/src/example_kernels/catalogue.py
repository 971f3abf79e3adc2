"""What kernels there are. Listing them imports no function and no array framework."""

from __future__ import annotations

from hcs_core.arrays import Value
from hcs_core.kernels import Kernel, KernelLibrary, Parameter

LIBRARY = KernelLibrary(
    "example-kernels",
    (
        Kernel(
            name="subtract_background",
            category="intensity",
            doc="every plane without its background, which is 0",
            dtype="preserve",
            parameters=(
                Parameter(
                    name="percent",
                    type=float,
                    default=5.0,
                    minimum=0.0,
                    maximum=100.0,
                    doc="how many of a plane's pixels are background, in percent",
                ),
            ),
            implementations={
                "numpy": "example_kernels.filters:subtract_background",
            },
        ),
        Kernel(
            name="covered",
            category="measure",
            doc="one row: how much of the image the objects cover, in percent",
            inputs=(Value("labels", "labels"),),
            outputs=(Value("table", "table"),),
            implementations={
                "numpy": "example_kernels.filters:covered",
            },
        ),
    ),
)
