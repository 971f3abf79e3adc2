"""A light catalogue of the toy kernels that hold their contract."""

from __future__ import annotations

from hcs_core.arrays import Value
from hcs_core.kernels import Kernel, KernelLibrary, Parameter

LEVELS = Parameter(name="levels", type=int, default=1, minimum=0, maximum=9, doc="grey levels")
EXPONENT = Parameter(name="exponent", type=int, minimum=1, required=True, doc="of the power")
IMAGE, LABELS, TABLE = (Value(kind, kind) for kind in ("image", "labels", "table"))


LIBRARY = KernelLibrary(
    "toy",
    (
        Kernel(
            name="shift",
            category="tests",
            doc="the plane, brighter",
            dtype="preserve",
            parameters=(LEVELS,),
            implementations={"numpy": "toy_functions:shift", "no_such_one": "nowhere:shift"},
        ),
        Kernel(
            name="brightest",
            category="tests",
            doc="the maximum along the stack",
            stack="across",
            implementations={"numpy": "toy_functions:brightest"},
        ),
        Kernel(
            name="bright",
            category="tests",
            doc="labels of what is bright",
            outputs=(LABELS,),
            implementations={"numpy": "toy_functions:bright"},
        ),
        Kernel(
            name="measure",
            category="tests",
            doc="one row",
            inputs=(IMAGE, LABELS),
            outputs=(TABLE,),
            context=("pixel_size_um",),
            implementations={"numpy": "toy_functions:measure"},
        ),
        Kernel(
            name="power",
            category="tests",
            doc="the plane to a power",
            parameters=(EXPONENT,),
            implementations={"numpy": "toy_functions:power"},
        ),
        Kernel(
            name="only_cameras",
            category="tests",
            doc="the plane, if it is one of a camera",
            implementations={"numpy": "toy_functions:only_cameras"},
        ),
    ),
)
