"""Arrays of any framework: what they are, how they move, what functions ask of them."""

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo
from hcs_core.arrays._aligned import ALIGNMENT, empty
from hcs_core.arrays._contract import (
    DtypePolicy,
    FunctionContract,
    StackMode,
    Value,
    ValueKind,
    contract_of,
)
from hcs_core.arrays._convert import Casting, convert, describe, detect, is_exact
from hcs_core.arrays._decorators import numpy
from hcs_core.arrays._hooks import OOM_RECOVERED

__all__ = [
    "ALIGNMENT",
    "ARRAYS",
    "OOM_RECOVERED",
    "ArrayAdapter",
    "ArrayInfo",
    "Casting",
    "DtypePolicy",
    "FunctionContract",
    "StackMode",
    "Value",
    "ValueKind",
    "contract_of",
    "convert",
    "describe",
    "detect",
    "empty",
    "is_exact",
    "numpy",
]
