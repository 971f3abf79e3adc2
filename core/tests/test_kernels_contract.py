"""A kernel is a contract with a name; its catalogue is read without importing a kernel."""

from __future__ import annotations

import math
import pickle
import sys

import pytest

from hcs_core.arrays import FunctionContract
from hcs_core.errors import FrameworkUnavailableError, UnknownKernelError, UnknownPluginError
from hcs_core.kernels import (
    KERNELS,
    Kernel,
    KernelLibrary,
    Parameter,
    find_kernel,
    kernel_names,
)

BLUR = Kernel(
    name="blur",
    category="filters",
    doc="Smoothed planes.",
    parameters=(Parameter(name="sigma_px", type=float, default=1.0, minimum=0.0, doc="Width."),),
    implementations={"numpy": "statistics:mean", "torch": "no_such_module:blur"},
)
LIBRARY = KernelLibrary("test", (BLUR,))


@pytest.fixture
def library():
    with KERNELS.overrides(test=LIBRARY):
        yield


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        (Parameter(name="n", type=int, default=1, doc=""), 3, None),
        (Parameter(name="n", type=int, default=1, doc=""), 3.0, "must be int, got float 3.0"),
        (Parameter(name="n", type=int, default=1, doc=""), True, "must be int, got bool True"),
        (Parameter(name="x", type=float, default=1.0, doc=""), 3, None),
        (Parameter(name="x", type=float, default=1.0, doc=""), "3", "must be float, got str '3'"),
        (Parameter(name="x", type=float, default=1.0, doc=""), False, "must be float, got bool"),
        (Parameter(name="x", type=float, default=1.0, doc="", minimum=0), -0.1, "0 and inf"),
        (Parameter(name="x", type=float, default=1.0, doc="", minimum=0), 0, None),
        (Parameter(name="x", type=float, default=1.0, doc="", maximum=2), 2.0, None),
        (Parameter(name="x", type=float, default=1.0, doc=""), math.nan, "finite number, got nan"),
        (Parameter(name="x", type=float, default=1.0, doc=""), math.inf, "finite number, got inf"),
        (Parameter(name="x", type=float, default=1.0, doc="", minimum=0), math.inf, "finite"),
        (Parameter(name="x", type=float, default=1.0, doc="", maximum=0), -math.inf, "finite"),
        (Parameter(name="x", type=float, default=1.0, doc=""), 10**400, None),
        (Parameter(name="b", type=bool, default=True, doc=""), False, None),
        (Parameter(name="b", type=bool, default=True, doc=""), 1, "must be bool"),
        (Parameter(name="m", type=str, default="a", doc="", choices=("a", "b")), "b", None),
        (
            Parameter(name="m", type=str, default="a", doc="", choices=("a", "b")),
            "c",
            "one of a, b",
        ),
        (Parameter(name="d", type=float, doc=""), None, None),
        (Parameter(name="d", type=float, default=1.0, doc=""), None, "must not be empty"),
        (Parameter(name="d", type=float, doc="", required=True), None, "must not be empty"),
    ],
)
def test_a_value_is_checked_against_its_parameter(parameter, value, problem):
    found = parameter.problem_with(value)
    assert found is None if problem is None else problem in str(found)


def test_a_kernel_is_a_contract_and_names_its_default_framework_first():
    assert isinstance(BLUR, FunctionContract)
    assert BLUR.frameworks == ("numpy", "torch")
    assert BLUR.stack == "per_plane"


def test_loading_a_kernel_imports_its_module_and_no_other():
    from statistics import mean

    assert BLUR.load() is mean
    assert BLUR.load("numpy") is mean
    assert "no_such_module" not in sys.modules


def test_a_framework_that_a_kernel_does_not_have_names_those_it_has():
    with pytest.raises(FrameworkUnavailableError, match=r"blur.*'jax'.*numpy, torch"):
        BLUR.load("jax")


def test_a_kernel_survives_the_way_to_a_worker_and_can_be_a_key():
    copy = pickle.loads(pickle.dumps(BLUR))  # noqa: S301 - made in this line
    assert copy == BLUR
    assert hash(copy) == hash(BLUR)


@pytest.mark.usefixtures("library")
def test_a_reference_is_library_and_kernel_and_a_bare_name_is_of_hcs():
    assert find_kernel("test:blur") == ("test", BLUR)
    assert kernel_names("test") == ("blur",)
    if "hcs" not in KERNELS:
        with pytest.raises(UnknownPluginError, match="hcs-gpu-kernels"):
            find_kernel("blur")


@pytest.mark.usefixtures("library")
def test_an_unknown_kernel_suggests_the_nearest_and_names_all():
    with pytest.raises(UnknownKernelError, match=r"did you mean 'blur'\?"):
        find_kernel("test:blurr")
    with pytest.raises(UnknownPluginError, match="did you mean 'test'"):
        find_kernel("tets:blur")
