"""Arrays of any framework: what they are, how they move, what functions ask of them."""

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import ALIGNMENT, empty, freeze
from hcs_core.arrays._contract import (
    DtypePolicy,
    FunctionContract,
    StackMode,
    Value,
    ValueKind,
    contract_of,
)
from hcs_core.arrays._convert import convert, describe, detect, plan
from hcs_core.arrays._decorators import numpy
from hcs_core.arrays._dtypes import Casting, is_exact
from hcs_core.arrays._hooks import OOM_RECOVERED
from hcs_core.arrays._plan import Route
from hcs_core.arrays._recorder import Conversion, Recorder

__all__ = [
    "ALIGNMENT",
    "ARRAYS",
    "OOM_RECOVERED",
    "ArrayAdapter",
    "ArrayInfo",
    "Capabilities",
    "Casting",
    "Conversion",
    "DtypePolicy",
    "FunctionContract",
    "Recorder",
    "Route",
    "StackMode",
    "Value",
    "ValueKind",
    "contract_of",
    "convert",
    "describe",
    "detect",
    "empty",
    "freeze",
    "is_exact",
    "numpy",
    "plan",
]
