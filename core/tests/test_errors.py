"""Every error says what was asked in one line, and survives the way back from a worker."""

from __future__ import annotations

import errno
import inspect
import pickle
import re

import pytest

from hcs_core import errors
from hcs_core.errors import HcsError, KeyNotFoundError, StoreAccessError, listed, near

CLASSES = sorted(
    (
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, HcsError)
    ),
    key=lambda kind: kind.__name__,
)


def example(kind: type[HcsError]) -> HcsError:
    """Make an error, with values that fit the names of its arguments."""
    numbers = ("count", "requested", "freed", "attempts", "free", "total")
    texts = {"code": errno.ENOSPC, "shape": (3, 4), **dict.fromkeys(numbers, 3)}
    plural = ("known", "claims", "available", "names", "readers", "candidates", "files")
    arguments = {}
    if kind.__init__ is not HcsError.__init__:
        for name in list(inspect.signature(kind).parameters):
            arguments[name] = ("one", "two") if name in plural else texts.get(name, f"the {name}")
    return kind(*arguments.values())


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_pickling_with_all_of_its_fields(kind):
    error = example(kind)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert getattr(copy, "errno", None) == getattr(error, "errno", None)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind.__str__ is not HcsError.__str__])
def test_an_error_is_one_line_that_names_what_was_asked(kind):
    text = str(example(kind))
    assert "\n" not in text
    assert re.search(r"the |one", text)
    assert text == text.strip()


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    [│├└─ ]*(\w+Error|OutOfMemory)\b\s*(\w+Error)?", line)
        if found:
            drawn[found[1]] = found[2]
    assert set(drawn) == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        builtin = drawn[kind.__name__]
        if builtin:
            assert builtin in {base.__name__ for base in kind.__mro__}, kind


def test_exit_codes_follow_the_branch():
    assert HcsError.exit_code == 1
    for kind in CLASSES:
        if issubclass(kind, errors.UsageError):
            assert kind.exit_code == 2
        if issubclass(kind, errors.PlateError | errors.CorruptDataError):
            assert kind.exit_code == 65


def test_errors_of_files_have_the_errno_of_the_builtin():
    assert KeyNotFoundError("a", "disk").errno == errno.ENOENT
    assert errors.KeyExistsError("a", "disk").errno == errno.EEXIST
    assert errors.PlateNotFoundError("a", "gone").errno == errno.ENOENT
    assert errors.MissingPlaneError("B02", "a.tif").errno == errno.ENOENT
    error = StoreAccessError(errno.ENOSPC, "No space left on device", "a.tif")
    assert (error.errno, str(error)) == (errno.ENOSPC, "a.tif: No space left on device")


def test_long_lists_are_cut_and_say_so():
    assert listed(()) == "none"
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(5)], most=3) == "0, 1, 2 and 2 more"


def test_a_near_miss_is_suggested_and_a_far_one_is_not():
    assert near("gausian_blur", ("gaussian_blur", "tophat")) == "; did you mean 'gaussian_blur'?"
    assert near("xyz", ("gaussian_blur",)) == ""
