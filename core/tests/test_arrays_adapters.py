"""The adapters of the core hold the contract of all array adapters."""

from __future__ import annotations

from hcs_core.arrays.frameworks.numpy import NumpyAdapter
from hcs_core.testing import ArrayAdapterTests


class TestNumpyAdapter(ArrayAdapterTests):
    adapter = NumpyAdapter
