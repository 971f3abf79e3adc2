"""What every kernel library must hold: inherit `KernelLibraryTests`, give it a library."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.arrays import ARRAYS, Value, convert
from hcs_core.errors import DtypeError
from hcs_core.kernels import Kernel, KernelLibrary, Parameter
from hcs_core.testing._processes import modules_after
from hcs_core.testing._samples import is_one_line, same

_DTYPES = ("uint16", "uint8", "float32")
_CAMERA_DTYPE = "uint16"
_SHAPE = (3, 48, 64)
_FACTS: dict[str, Any] = {"pixel_size_um": (0.5, 0.5)}
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "fortran": np.asfortranarray,
    "reversed": lambda array: array[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "every second": lambda array: np.repeat(np.repeat(array, 2, -1), 2, -2)[..., ::2, ::2],
}


class Implementation(NamedTuple):
    """One kernel on one framework."""

    kernel: Kernel
    framework: str

    def __str__(self) -> str:
        return f"{self.kernel.name}-{self.framework}"


class KernelLibraryTests:
    """Tests that a library of kernels passes: that the catalogue tells the truth.

    Subclass it in a test module, and give it `library` and `catalogue`. Every kernel runs on
    small images on each framework that is installed; whether its numbers are right is for
    tests of its own. A kernel that refuses a dtype with `DtypeError` is skipped for it,
    except for uint16, the dtype of cameras.

    Examples
    --------
    >>> class TestMyLibrary(KernelLibraryTests):
    ...     library = LIBRARY
    ...     catalogue = "my_kernels.catalogue:LIBRARY"
    """

    library: ClassVar[KernelLibrary]
    catalogue: ClassVar[str]
    """Where the library is, as its entry point says: ``"module:attribute"``."""
    arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Arguments to run a kernel with, by its name: such as it requires, or as suit images of
    48 x 64 pixels. Without them the defaults are taken."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test for each kernel or implementation, by the name of the argument."""
        cases: dict[str, list[Any]] = {
            "kernel": list(self.library.kernels),
            "implementation": [
                Implementation(kernel, framework)
                for kernel in self.library.kernels
                for framework in kernel.frameworks
            ],
        }
        for name in cases.keys() & set(metafunc.fixturenames):
            metafunc.parametrize(name, cases[name], ids=_name_of)

    def arrays_for(self, kernel: Kernel, dtype: str, *, as_stack: bool) -> list[NDArray[Any]]:
        """Return what to call a kernel with, in the order of its inputs.

        Images are blobs on a background with noise, labels are those of the blobs; a
        subclass gives other inputs. Without `as_stack` they are single planes.
        """
        return [_sample(value, dtype, as_stack=as_stack) for value in kernel.inputs]

    def test_the_catalogue_is_where_it_is_said_to_be(self) -> None:
        module, _, attribute = self.catalogue.partition(":")
        assert getattr(import_module(module), attribute) is self.library

    def test_names_are_lower_case_words_and_each_is_one_kernel(self) -> None:
        names = [kernel.name for kernel in self.library.kernels]
        assert names
        assert [name for name in names if not _is_name(name)] == []
        assert len(set(names)) == len(names)
        assert _is_name(self.library.name.replace("-", "_")), self.library.name

    def test_listing_the_catalogue_imports_no_implementation(self) -> None:
        module, _, attribute = self.catalogue.partition(":")
        listing = "[(k.name, k.category, k.doc, k.frameworks, k.parameters) for k in L.kernels]"
        loaded = modules_after(f"from {module} import {attribute} as L\n{listing}")
        targets = {t for kernel in self.library.kernels for t in kernel.implementations.values()}
        assert module in loaded
        assert sorted(loaded & {target.partition(":")[0] for target in targets}) == []

    def test_it_is_described_in_one_line(self, kernel: Kernel) -> None:
        assert is_one_line(kernel.category)
        assert is_one_line(kernel.doc)

    def test_its_parameters_make_sense(self, kernel: Kernel) -> None:
        names = [parameter.name for parameter in kernel.parameters]
        taken = {value.name for value in kernel.inputs} | set(kernel.context)
        assert len(set(names)) == len(names)
        assert not taken & set(names)
        for parameter in kernel.parameters:
            assert _is_name(parameter.name), parameter.name
            assert is_one_line(parameter.doc), parameter.name
            assert _problem_with(parameter) is None, parameter.name

    def test_it_has_an_implementation_that_loads(self, kernel: Kernel) -> None:
        assert kernel.frameworks
        for framework in kernel.frameworks:
            if _is_installed(framework):
                assert callable(kernel.load(framework)), framework

    def test_its_function_takes_what_the_catalogue_says(
        self, implementation: Implementation
    ) -> None:
        kernel = implementation.kernel
        takes = inspect.signature(_load(implementation)).parameters
        assert not [name for name, each in takes.items() if each.kind in _COLLECTING]
        first, *names = takes
        assert takes[first].kind is not inspect.Parameter.KEYWORD_ONLY
        others = [value.name for value in kernel.inputs[1:]]
        assert names[: len(others)] == others  # arrays first
        assert all(takes[name].default is inspect.Parameter.empty for name in [first, *others])
        free = [name for name in names if name not in {*others, *kernel.context}]
        assert free == [parameter.name for parameter in kernel.parameters]
        assert set(kernel.context) <= set(names)

    def test_its_function_has_the_defaults_of_the_catalogue(
        self, implementation: Implementation
    ) -> None:
        takes = inspect.signature(_load(implementation)).parameters
        for parameter in implementation.kernel.parameters:
            default = takes[parameter.name].default
            if parameter.required:
                assert default is inspect.Parameter.empty, parameter.name
            else:
                assert same(default, parameter.default), parameter.name

    @pytest.mark.parametrize("dtype", _DTYPES)
    def test_what_comes_out_is_what_is_declared(
        self, implementation: Implementation, dtype: str
    ) -> None:
        kernel = implementation.kernel
        arrays = self._arrays(implementation, dtype)
        outputs = self._run(implementation, arrays)
        assert len(outputs) == len(kernel.outputs)
        for value, output in zip(kernel.outputs, outputs, strict=True):
            _CHECKS[value.kind](kernel, output, arrays[0])

    @pytest.mark.parametrize("dtype", _DTYPES)
    def test_the_same_images_give_the_same_result(
        self, implementation: Implementation, dtype: str
    ) -> None:
        arrays = self._arrays(implementation, dtype)
        first = self._run(implementation, arrays)
        assert _all_same(self._run(implementation, arrays), first)

    def test_a_result_does_not_change_with_the_next_call(
        self, implementation: Implementation
    ) -> None:
        arrays = self._arrays(implementation)
        first = self._run(implementation, arrays)
        kept = [_copied(output) for output in first]
        self._run(implementation, [array[..., ::-1, ::-1].copy() for array in arrays])
        assert _all_same(first, kept)

    @pytest.mark.parametrize("dtype", _DTYPES)
    def test_what_goes_in_is_not_changed(self, implementation: Implementation, dtype: str) -> None:
        for as_stack in (False, True):
            arrays = self._arrays(implementation, dtype, as_stack=as_stack)
            before = [array.copy() for array in arrays]
            self._run(implementation, arrays)
            assert _all_same(arrays, before)

    def test_what_goes_in_may_be_read_only(self, implementation: Implementation) -> None:
        for as_stack in (False, True):
            arrays = self._arrays(implementation, as_stack=as_stack)
            expected = self._run(implementation, [array.copy() for array in arrays])
            locked = [_locked(array) for array in arrays]
            assert _all_same(self._run(implementation, locked), expected)

    @pytest.mark.parametrize("layout", _LAYOUTS)
    def test_the_layout_of_an_image_does_not_matter(
        self, implementation: Implementation, layout: str
    ) -> None:
        arrays = self._arrays(implementation)
        laid_out = [_LAYOUTS[layout](array) for array in arrays]
        assert _all_same(laid_out, arrays)
        expected = self._run(implementation, arrays)
        assert _all_same(self._run(implementation, laid_out), expected)

    def test_facts_of_the_plate_may_be_unknown(self, implementation: Implementation) -> None:
        outputs = self._run(implementation, self._arrays(implementation), facts={})
        assert len(outputs) == len(implementation.kernel.outputs)

    def test_a_stack_gives_what_its_planes_give(self, implementation: Implementation) -> None:
        kernel = implementation.kernel
        if kernel.stack != "per_plane":
            pytest.skip(f"its planes are treated together: {kernel.stack}")
        stacks = self._arrays(implementation, as_stack=True)
        together = self._run(implementation, stacks)
        for number in range(len(stacks[0])):
            alone = self._run(implementation, [stack[number] for stack in stacks])
            for value, whole, part in zip(kernel.outputs, together, alone, strict=True):
                if value.kind in ("image", "labels"):
                    assert same(np.ascontiguousarray(whole[number]), np.ascontiguousarray(part))

    def _arrays(
        self, implementation: Implementation, dtype: str = _CAMERA_DTYPE, *, as_stack: bool = False
    ) -> list[NDArray[Any]]:
        kernel = implementation.kernel
        return self.arrays_for(kernel, dtype, as_stack=as_stack or kernel.stack != "per_plane")

    def _run(
        self,
        implementation: Implementation,
        arrays: list[NDArray[Any]],
        facts: Mapping[str, Any] = _FACTS,
    ) -> list[Any]:
        """Call a kernel as the pipeline does; return its outputs, arrays in host memory."""
        kernel, framework = implementation
        function = _load(implementation)
        first, *others = [_to_framework(array, framework) for array in arrays]
        named = dict(zip([value.name for value in kernel.inputs[1:]], others, strict=True))
        named |= {name: facts.get(name) for name in kernel.context}
        try:
            result = function(first, **named, **self._arguments(kernel))
        except DtypeError as refusal:
            if not _may_refuse(kernel, arrays):
                raise
            pytest.skip(str(refusal))
        outputs = result if len(kernel.outputs) > 1 else (result,)
        assert isinstance(outputs, tuple), type(outputs)
        return [_to_host(output, framework) for output in outputs]

    def _arguments(self, kernel: Kernel) -> dict[str, Any]:
        given = dict(self.arguments.get(kernel.name, {}))
        for parameter in kernel.parameters:
            if parameter.required and parameter.name not in given:
                given[parameter.name] = _a_value_of(kernel, parameter)
        return given


def _name_of(case: object) -> str:
    return case.name if isinstance(case, Kernel) else str(case)


def _is_name(name: str) -> bool:
    return name.isidentifier() and name == name.lower() and not keyword.iskeyword(name)


def _problem_with(parameter: Parameter) -> str | None:
    """Return what is wrong with a parameter's description, or None."""
    if parameter.type not in (int, float, bool, str):
        return f"its type is {parameter.type!r}"
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None and low > high:
        return f"its minimum {low!r} is above its maximum {high!r}"
    if parameter.choices and parameter.type is not str:
        return "only a text has choices"
    return None if parameter.required else parameter.problem_with(parameter.default)


def _a_value_of(kernel: Kernel, parameter: Parameter) -> Any:
    """Return some value that a required parameter may have."""
    candidates = (*parameter.choices, parameter.minimum, parameter.maximum, False, 1, 1.0, "")
    for value in candidates:
        if value is not None and parameter.problem_with(value) is None:
            return value
    return pytest.skip(f"{kernel.name} requires {parameter.name}: say it in `arguments`")


def _is_installed(framework: str) -> bool:
    names = ARRAYS[framework].module_names if framework in ARRAYS else (framework,)
    return any(find_spec(name) is not None for name in names)


def _load(implementation: Implementation) -> Callable[..., Any]:
    if not _is_installed(implementation.framework):
        pytest.skip(f"{implementation.framework} is not installed")
    return implementation.kernel.load(implementation.framework)


def _may_refuse(kernel: Kernel, arrays: list[NDArray[Any]]) -> bool:
    """Return whether images are of a dtype that a kernel need not take."""
    pairs = zip(kernel.inputs, arrays, strict=True)
    return any(value.kind == "image" and array.dtype != _CAMERA_DTYPE for value, array in pairs)


def _to_framework(array: NDArray[Any], framework: str) -> Any:
    if framework == "numpy":
        return array
    if framework not in ARRAYS:
        pytest.skip(f"no adapter for arrays of {framework} is installed")
    return convert(array, framework)


def _to_host(output: Any, framework: str) -> Any:
    if isinstance(output, Mapping):
        return {str(title): _to_host(column, framework) for title, column in output.items()}
    if framework == "numpy" or isinstance(output, np.ndarray | list | tuple):
        return output
    return convert(output, "numpy")


def _sample(value: Value, dtype: str, *, as_stack: bool) -> NDArray[Any]:
    """Return blobs that are brighter than what lies around them, or their labels."""
    labels = _blobs()
    if value.kind == "image":
        noise = np.random.default_rng(0).integers(5, 20, _SHAPE)
        brightness = np.array([100, 150, 200])[:, np.newaxis, np.newaxis]  # differs by plane
        sample: NDArray[Any] = (noise + brightness * (labels > 0)).astype(dtype)
    elif value.kind == "labels":
        sample = labels
    else:
        pytest.skip(f"it takes {value.kind}: give them by overriding `arrays_for`")
    return sample if as_stack else sample[0]


def _blobs() -> NDArray[np.int32]:
    """Return labels of two disks in each plane, at other places in each."""
    y, x = np.mgrid[: _SHAPE[1], : _SHAPE[2]]
    labels = np.zeros(_SHAPE, np.int32)
    for number, plane in enumerate(labels):
        for label, column in ((1, 16 + number), (2, 46 - 2 * number)):
            plane[(y - 24) ** 2 + (x - column) ** 2 <= 64] = label
    return labels


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be unlocked, because what it looks at is locked."""
    owner = array.copy()
    owner.flags.writeable = False
    return owner.view()


def _all_same(found: list[Any], expected: list[Any]) -> bool:
    return len(found) == len(expected) and all(map(_is_same, found, expected))


def _is_same(found: Any, expected: Any) -> bool:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        return same(_columns(found), _columns(expected))
    return same(found, expected)


def _columns(table: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {title: np.asarray(column) for title, column in table.items()}


def _copied(output: Any) -> Any:
    if isinstance(output, Mapping):
        return {title: np.array(column) for title, column in output.items()}
    return output.copy()


def _check_image(kernel: Kernel, image: Any, before: NDArray[Any]) -> None:
    policy = before.dtype.name if kernel.dtype in ("preserve", "scale") else kernel.dtype
    assert isinstance(image, np.ndarray)
    assert policy in ("native", image.dtype.name)
    if kernel.stack == "across":
        assert image.ndim == 2, image.shape
    else:  # a kernel may shrink planes, but not leave some out
        assert image.shape[:-2] == before.shape[:-2]


def _check_labels(kernel: Kernel, labels: Any, before: NDArray[Any]) -> None:
    assert isinstance(labels, np.ndarray)
    assert labels.dtype == np.int32
    assert labels.shape == (before.shape[-2:] if kernel.stack == "across" else before.shape)
    assert labels.min() >= 0


def _check_table(_: Kernel, table: Any, __: NDArray[Any]) -> None:
    assert isinstance(table, Mapping)
    columns = _columns(table)
    assert columns
    assert {column.ndim for column in columns.values()} == {1}
    assert len({column.size for column in columns.values()}) == 1
    assert "label" not in columns or columns["label"].dtype.kind in "iu"


def _check_positions(_: Kernel, positions: Any, __: NDArray[Any]) -> None:
    assert isinstance(positions, np.ndarray)
    assert positions.ndim == 2


_CHECKS: dict[str, Callable[[Kernel, Any, NDArray[Any]], None]] = {
    "image": _check_image,
    "labels": _check_labels,
    "table": _check_table,
    "positions": _check_positions,
}
