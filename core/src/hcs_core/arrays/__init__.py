"""Arrays of any framework: what they are, how they move, what functions ask of them."""

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._aligned import ALIGNMENT, empty, freeze
from hcs_core.arrays._arraybridge import (
    MemoryType,
    convert_memory,
    detect_memory_type,
    stack_slices,
    unstack_slices,
)
from hcs_core.arrays._convert import convert, describe, detect, plan
from hcs_core.arrays._devices import device_memory, devices
from hcs_core.arrays._dtypes import Casting, is_exact
from hcs_core.arrays._plan import Route
from hcs_core.arrays._recorder import Conversion, Recorder, Rescaling
from hcs_core.arrays._stacking import stack, unstack
from hcs_core.arrays.calls._contract import (
    DtypePolicy,
    FunctionContract,
    OomPolicy,
    StackMode,
    Value,
    ValueKind,
    contract_of,
)
from hcs_core.arrays.calls._decorators import (
    cupy,
    jax,
    memory_types,
    numpy,
    pyclesperanto,
    tensorflow,
    torch,
)
from hcs_core.arrays.calls._hooks import OOM_RECOVERED
from hcs_core.arrays.calls._oom import free_caches
from hcs_core.arrays.rescaling._rescale import rescale, value_range

__all__ = [
    "ALIGNMENT",
    "ARRAYS",
    "OOM_RECOVERED",
    "ArrayAdapter",
    "ArrayInfo",
    "Capabilities",
    "Casting",
    "Conversion",
    "DeviceMemory",
    "DtypePolicy",
    "FunctionContract",
    "MemoryType",
    "OomPolicy",
    "Recorder",
    "Rescaling",
    "Route",
    "StackMode",
    "Value",
    "ValueKind",
    "contract_of",
    "convert",
    "convert_memory",
    "cupy",
    "describe",
    "detect",
    "detect_memory_type",
    "device_memory",
    "devices",
    "empty",
    "free_caches",
    "freeze",
    "is_exact",
    "jax",
    "memory_types",
    "numpy",
    "plan",
    "pyclesperanto",
    "rescale",
    "stack",
    "stack_slices",
    "tensorflow",
    "torch",
    "unstack",
    "unstack_slices",
    "value_range",
]
