"""The kernels of the library ``hcs``: a table, read without importing any of them."""

from __future__ import annotations

from hcs_core.arrays import Value
from hcs_core.kernels import Kernel, KernelLibrary, Parameter

_PERCENTILES = (
    Parameter(
        name="low",
        type=float,
        default=0.5,
        minimum=0,
        maximum=100,
        doc="percentile that becomes the lowest value",
        unit="%",
    ),
    Parameter(
        name="high",
        type=float,
        default=99.5,
        minimum=0,
        maximum=100,
        doc="percentile that becomes the highest value",
        unit="%",
    ),
)

LIBRARY = KernelLibrary(
    "hcs",
    (
        Kernel(
            name="percentile_normalize",
            category="intensity",
            doc="every plane, stretched so that its own percentiles fill the range of its dtype",
            dtype="preserve",
            parameters=_PERCENTILES,
            implementations={"numpy": "hcs_gpu_kernels.intensity:percentile_normalize"},
        ),
        Kernel(
            name="stack_percentile_normalize",
            category="intensity",
            doc="the stack, stretched so that the percentiles of all its planes fill the range",
            dtype="preserve",
            stack="volume",
            parameters=_PERCENTILES,
            implementations={"numpy": "hcs_gpu_kernels.intensity:stack_percentile_normalize"},
        ),
        Kernel(
            name="gaussian_blur",
            category="filters",
            doc="every plane, blurred by a Gaussian",
            dtype="preserve",
            parameters=(
                Parameter(
                    name="sigma_px",
                    type=float,
                    default=1.0,
                    minimum=0,
                    maximum=1000,
                    doc="standard deviation of the Gaussian",
                    unit="px",
                ),
            ),
            implementations={"numpy": "hcs_gpu_kernels.filters:gaussian_blur"},
        ),
        Kernel(
            name="tophat",
            category="filters",
            doc="every plane without its background: what is narrower than the footprint",
            dtype="preserve",
            parameters=(
                Parameter(
                    name="radius_px",
                    type=int,
                    default=25,
                    minimum=0,
                    maximum=1000,
                    doc="radius of the footprint: more than the largest thing to keep",
                    unit="px",
                ),
                Parameter(
                    name="shape",
                    type=str,
                    default="disk",
                    choices=("disk", "square"),
                    doc="the footprint; a square is many times faster",
                ),
            ),
            implementations={"numpy": "hcs_gpu_kernels.filters:tophat"},
        ),
        Kernel(
            name="max_projection",
            category="projection",
            doc="the largest value of every pixel along the stack",
            dtype="native",
            stack="across",
            implementations={"numpy": "hcs_gpu_kernels.projection:max_projection"},
        ),
        Kernel(
            name="segment_nuclei",
            category="objects",
            doc="labels of fluorescent nuclei, touching ones apart; none on an empty field",
            outputs=(Value("labels", "labels"),),
            dtype="int32",
            context=("pixel_size_um",),
            parameters=(
                Parameter(
                    name="diameter_um",
                    type=float,
                    minimum=0.1,
                    maximum=1000,
                    doc="typical nucleus diameter; 16 where the pixel size is known",
                    unit="um",
                ),
                Parameter(
                    name="diameter_px",
                    type=float,
                    minimum=3,
                    maximum=2000,
                    doc="the same; without both and a pixel size, found in each plane",
                    unit="px",
                ),
                Parameter(
                    name="min_brightness",
                    type=float,
                    default=0.25,
                    minimum=0,
                    maximum=1,
                    doc="dimmest nucleus to keep, as a fraction of the field's typical one",
                ),
                Parameter(
                    name="min_area",
                    type=float,
                    default=0.05,
                    minimum=0,
                    maximum=1,
                    doc="smallest nucleus to keep, as a fraction of a typical one's area",
                ),
                Parameter(
                    name="max_concavity",
                    type=float,
                    default=0.08,
                    minimum=0.001,
                    maximum=1,
                    doc="depth of the notches one nucleus may have, in diameters; less splits more",
                ),
            ),
            implementations={"numpy": "hcs_gpu_kernels.nuclei:segment_nuclei"},
        ),
        Kernel(
            name="count_objects",
            category="objects",
            doc="how many objects there are: one row with the column count",
            inputs=(Value("labels", "labels"),),
            outputs=(Value("table", "table"),),
            implementations={"numpy": "hcs_gpu_kernels.counting:count_objects"},
        ),
        Kernel(
            name="measure_objects",
            category="measure",
            doc="one row an object: size, shape, place, and brightness in *_intensity columns",
            inputs=(Value("image", "image"), Value("labels", "labels")),
            outputs=(Value("table", "table"),),
            context=("pixel_size_um",),
            implementations={"numpy": "hcs_gpu_kernels.measure:measure_objects"},
        ),
    ),
)
"""What the entry point ``hcs`` of the group ``hcs.kernels.v1`` names."""
