"""What each pair of frameworks does with each dtype and layout, found by address.

The tables of ``docs/reference/array-frameworks.md`` are made here, from what was found:
``HCS_UPDATE_DOCS=1`` writes them anew, else they are compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import permutations, product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hcs_core.arrays import ARRAYS, ArrayInfo, convert, describe, empty, freeze, plan
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._matrix import (
    SHAPE,
    Framework,
    in_safe_order,
    load_frameworks,
    measure,
)
from hcs_core.arrays.frameworks.numpy import NumpyAdapter
from hcs_core.cli._array_process import ask
from hcs_core.errors import CopyRequiredError, LossyConversionError, ShapeError
from hcs_core.testing import isolated_registry
from hcs_core.testing._frameworks import import_frameworks
from hcs_core.testing.arrays import _LAYOUTS
from hcs_core.testing.registry import IsolatedRegistry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "array-frameworks.md"
OPTIONAL = ("pyclesperanto", "torch", "jax", "tensorflow")
MISSING = [name for name in OPTIONAL if name not in import_frameworks()]
needs_all = pytest.mark.skipif(bool(MISSING), reason=f"not usable here: {', '.join(MISSING)}")

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax", "pyclesperanto")
USABLE = tuple(name for name in FRAMEWORKS if name not in MISSING)
PAIRS = list(permutations(USABLE, 2))
DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)


def _off_by_one(plane: Any) -> Any:
    """Return the plane in C order, one element behind a multiple of 64 bytes."""
    flat = empty((plane.size + 1,), plane.dtype)
    flat[1:] = plane.ravel()
    return flat[1:].reshape(plane.shape)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    **_LAYOUTS,
    "one axis": np.ravel,
    "unaligned": _off_by_one,
    "a part of the rows": lambda plane: plane[2:4],
    "a part of the columns": lambda plane: plane[:, 1:],
}
SHARED, COPIED, HELD = "shared", "copied", "held"


def plane_of(dtype: str) -> Any:
    """Return a plane of different values that is not frozen, in aligned memory."""
    plane = empty((6, 8), dtype_of(dtype))
    plane[...] = (np.arange(48).reshape(6, 8) % 5 == 0) if dtype == "bool" else _counted(dtype)
    return plane


def _counted(dtype: str) -> Any:
    return np.arange(48).reshape(6, 8).astype(dtype_of(dtype))


def outcome(array: Any, to: str, **options: Any) -> str:
    """Return what became of a conversion: shared, copied, or the error that refused it."""
    expected = np.ascontiguousarray(convert(array, "numpy"))
    try:
        result = convert(array, to, **options)
    except (LossyConversionError, ShapeError, CopyRequiredError) as refusal:
        return f"`{type(refusal).__name__}`"
    np.testing.assert_array_equal(convert(result, "numpy"), expected)
    before, after = describe(array), describe(result)
    if not before.nbytes:
        return HELD
    return SHARED if 0 != before.pointer == after.pointer else COPIED


def best(array: Any, to: str) -> str:
    """Return whether memory can be shared, with all promises made, or what happens instead."""
    found = outcome(array, to, copy=False, writable=False)
    return outcome(array, to) if found == "`CopyRequiredError`" else found


def source_of(framework: str, host: Any) -> Any:
    """Return an array of a framework over this memory, or None where it cannot be shared."""
    try:
        return convert(host, framework, copy=False, writable=False)
    except (LossyConversionError, ShapeError, CopyRequiredError):
        return None


# -- the page -------------------------------------------------------------------------------


def pair_rows() -> Iterator[tuple[str, ...]]:
    for source, target in PAIRS:
        plane = plane_of("uint16")
        if source == "numpy":
            still = freeze(plane)
            changing = plane_of("uint16")
        else:
            changing = still = convert(plane, source, copy=True)
        yield (
            *(source, target),
            outcome(changing, target),
            outcome(still, target, writable=False),
            outcome(changing, target, copy=False, writable=False),
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def grid(title: str, cells: dict[str, dict[str, str]]) -> str:
    rows = [(name, *(found[to] for to in FRAMEWORKS)) for name, found in cells.items()]
    return table((title, *FRAMEWORKS), rows)


@pytest.fixture(scope="module")
def dtypes() -> dict[str, dict[str, str]]:
    """What becomes of a NumPy plane of each dtype."""
    return {name: {to: best(plane_of(name), to) for to in USABLE} for name in DTYPES}


@pytest.fixture(scope="module")
def layouts() -> dict[str, dict[str, str]]:
    """What becomes of a NumPy array of each layout."""
    return {
        name: {to: best(lay(plane_of("uint16")), to) for to in USABLE}
        for name, lay in LAYOUTS.items()
    }


@needs_all
@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not here")
def test_the_tables_of_the_page_are_what_was_found(
    dtypes: dict[str, dict[str, str]], layouts: dict[str, dict[str, str]]
):
    pairs = table(
        ("from", "to", "as it is", "`writable=False`, frozen", "`copy=False`, `writable=False`"),
        list(pair_rows()),
    )
    found = {"pairs": pairs, "dtypes": grid("dtype", dtypes), "layouts": grid("layout", layouts)}
    text = page = PAGE.read_text("utf-8")
    for name, lines in found.items():
        between = rf"(<!-- begin {name} -->\n\n).*?(\n\n<!-- end {name} -->)"
        assert re.search(between, text, re.DOTALL), f"the page has no place for its {name}"
        text = re.sub(between, rf"\g<1>{lines}\g<2>", text, flags=re.DOTALL)
    if os.environ.get("HCS_UPDATE_DOCS"):
        PAGE.write_text(text, "utf-8")
    else:
        assert text == page, "HCS_UPDATE_DOCS=1 writes the page anew"


@pytest.mark.parametrize("pair", PAIRS, ids=" to ".join)
def test_the_table_of_dtypes_holds_between_each_two_frameworks(
    pair: tuple[str, str], dtypes: dict[str, dict[str, str]]
):
    source, target = pair
    for name in DTYPES:
        if dtypes[name][source] not in (SHARED, COPIED):
            continue  # it has no such arrays
        array = convert(plane_of(name), source, copy=True)
        is_apart = source == "pyclesperanto" and dtypes[name][target] == SHARED
        expected = COPIED if is_apart else dtypes[name][target]
        assert (name, best(array, target)) == (name, expected)


@pytest.mark.parametrize("pair", PAIRS, ids=" to ".join)
def test_the_table_of_layouts_holds_between_each_two_frameworks(
    pair: tuple[str, str], layouts: dict[str, dict[str, str]]
):
    source, target = pair
    for name, lay in LAYOUTS.items():
        array = source_of(source, lay(plane_of("uint16")))
        assert (array is None) is (layouts[name][source] not in (SHARED, HELD))
        if array is not None:
            assert (name, best(array, target)) == (name, layouts[name][target])


# -- the measuring --------------------------------------------------------------------------


@needs_all
def test_what_is_measured_is_shared_where_it_was_planned():
    frameworks = load_frameworks()
    ready = [framework for framework in frameworks if framework.state == "ready"]
    assert {framework.name for framework in ready} >= set(FRAMEWORKS)
    only = [framework._replace(devices=framework.devices[:1]) for framework in ready]
    crossings = measure(only)
    assert [crossing.fault for crossing in crossings if crossing.fault] == []
    assert len(crossings) == 2 * len(only) * (len(only) - 1)
    found = {(each.source, each.target, each.memory): each for each in crossings}
    for source, target in product(("numpy", "jax", "tensorflow"), FRAMEWORKS[:4]):
        if source != target:
            assert found[source, target, "frozen"].shared
    assert not found["numpy", "jax", "writable"].shared
    assert "never change" in found["numpy", "jax", "writable"].reason
    assert not any(each.shared for each in crossings if "pyclesperanto" in each[:4])


@pytest.fixture
def environment() -> Iterator[IsolatedRegistry]:
    with isolated_registry() as environment:
        yield environment


KEPT = """
from dataclasses import dataclass
from typing import Any

from hcs_core.arrays import ArrayAdapter, Capabilities, describe


@dataclass
class Kept:
    host: Any


class Adapter(ArrayAdapter):
    name = "kept"
    module_names = ("acme_kept",)

    def owns(self, value):
        return isinstance(value, Kept)

    def capabilities(self):
        return Capabilities(dtypes=frozenset(("uint16", "float32")))

    def describe(self, array):
        return describe(array.host)._replace(framework="kept", readonly=False, frozen=False)

    def to_host(self, array):
        return array.host

    def from_host(self, array, device):
        return Kept(array)
"""


def kept(environment: IsolatedRegistry, source: str = KEPT) -> list[Framework]:
    """Install a framework, and return it and NumPy."""
    declared = {"hcs.arrays.v1": {"kept": "acme_kept:Adapter"}}
    environment.install("acme", declared, {"acme_kept.py": source})
    names = ("kept", "numpy")
    return [each for each in load_frameworks(without=set(OPTIONAL)) if each.name in names]


def test_a_framework_of_another_package_is_measured_too(environment: IsolatedRegistry):
    frameworks = kept(environment)
    assert [each.state for each in frameworks] == ["ready", "ready"]
    crossings = measure(frameworks)
    assert [(each.source, each.target) for each in crossings[::2]] == [
        ("kept", "numpy"),
        ("numpy", "kept"),
    ]
    assert all(each.shared and each.microseconds and not each.fault for each in crossings)


def test_sharing_that_was_planned_and_did_not_happen_is_a_fault(environment: IsolatedRegistry):
    frameworks = kept(environment, KEPT.replace("Kept(array)", "Kept(array.copy())"))
    faults = {each.target: each.fault for each in measure(frameworks)}
    assert faults["kept"] == "alias was planned, but memory is not shared"


def test_values_that_change_are_a_fault(environment: IsolatedRegistry):
    wrong = KEPT.replace("return array.host", "return array.host.copy() * 0")
    faults = {each.target: each.fault for each in measure(kept(environment, wrong))}
    assert faults["kept"] == "the values differ"


def test_what_a_framework_raises_is_told_and_all_else_measured(environment: IsolatedRegistry):
    raising = KEPT.replace("return Kept(array)", "raise OSError('no\\ndriver')")
    crossings = measure(kept(environment, raising))
    assert {each.fault for each in crossings} == {"OSError: no"}
    assert {each.action for each in crossings} == {None}


def test_a_plane_that_a_framework_does_not_hold_is_refused_and_no_fault(
    environment: IsolatedRegistry,
):
    crossings = measure(kept(environment, KEPT.replace('"uint16", ', "")))
    assert {(each.action, each.fault) for each in crossings} == {(None, "")}
    assert all("uint16" in each.reason for each in crossings)


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        (("acme_kept\",)", "no_such_module\",)"), "missing", "pip install no_such_module"),
        (("    def owns", "    def devices(self):\n        return ()\n\n    def owns"),
         "no device", "no device for it"),
        (("    def owns", "    def devices(self):\n        1 / 0\n\n    def owns"),
         "broken", "ZeroDivisionError"),
        (("@dataclass", "import no_such_module\n\n@dataclass"), "broken", "no_such_module"),
    ],
)  # fmt: skip
def test_a_framework_that_cannot_be_used_is_listed_with_the_reason(
    environment: IsolatedRegistry, change: tuple[str, str], state: str, reason: str
):
    found = {each.name: each for each in kept(environment, KEPT.replace(*change))}["kept"]
    assert (found.state, found.devices) == (state, ())
    assert reason in found.reason
    assert measure([found]) == ()


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_what_the_core_can_bring_is_named_as_its_extra():
    found = {each.name: each for each in load_frameworks()}["torch"]
    assert found.reason.endswith('python -m pip install "./core[torch]"')


def test_what_keeps_a_framework_quiet_is_set_before_it_is_imported(environment: IsolatedRegistry):
    quiet = KEPT.replace(
        'module_names = ("acme_kept",)',
        'module_names = ("acme_loud",)\n    quiet = {"ACME_LOUD": "0"}',
    )
    loud = 'import os\n\nif os.environ.get("ACME_LOUD") != "0":\n    raise OSError("it is loud")\n'
    declared = {"hcs.arrays.v1": {"kept": "acme_kept:Adapter"}}
    environment.install("acme", declared, {"acme_kept.py": quiet, "acme_loud.py": loud})
    os.environ["HCS_PLUGINS_DISABLE"] = ", ".join(f"arrays:{name}" for name in ("cupy", *OPTIONAL))
    states = {row["name"]: row["state"] for row in ask("devices", timeout_s=60)["frameworks"]}
    assert states == {"kept": "ready", "numpy": "ready"}
    assert "ACME_LOUD" not in os.environ


class _First(NumpyAdapter):
    name: ClassVar[str] = "first"
    module_names: ClassVar[tuple[str, ...]] = ("first_module",)
    import_before: ClassVar[tuple[str, ...]] = ("amid_module",)


class _Amid(NumpyAdapter):
    name: ClassVar[str] = "amid"
    module_names: ClassVar[tuple[str, ...]] = ("amid_module",)
    import_before: ClassVar[tuple[str, ...]] = ("early_module",)


class _Early(NumpyAdapter):
    name: ClassVar[str] = "early"
    module_names: ClassVar[tuple[str, ...]] = ("early_module",)


def test_each_framework_is_loaded_before_those_that_it_cannot_be_loaded_after():
    ordered = in_safe_order([_Early(), _Amid(), _First()])
    assert [adapter.name for adapter in ordered] == ["first", "amid", "early"]


def test_frameworks_that_exclude_each_other_have_no_safe_order_and_all_stay():
    class Late(_Early):
        import_before: ClassVar[tuple[str, ...]] = ("first_module",)

    ordered = in_safe_order([Late(), _Amid(), _First()])
    assert sorted(adapter.name for adapter in ordered) == ["amid", "early", "first"]


@pytest.mark.driverless
def test_the_core_loads_tensorflow_after_pyclesperanto():
    names = [adapter.name for adapter in in_safe_order([ARRAYS[name]() for name in ARRAYS])]
    assert names.index("pyclesperanto") < names.index("tensorflow")


def test_the_plane_is_of_the_size_that_is_told():
    assert SHAPE == (1024, 1024)
    info = ArrayInfo("numpy", SHAPE, "uint16", "cpu", (2048, 2), 64, False, 2 << 20)
    assert plan(info, "torch").action == "alias"
