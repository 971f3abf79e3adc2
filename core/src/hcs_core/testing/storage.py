"""What every storage backend must hold: inherit `StorageBackendTests`, give it a backend."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.errors import (
    CapabilityError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    ShapeError,
    StorageError,
    UnsavableValueError,
)
from hcs_core.storage import Capability, Item, StorageBackend
from hcs_core.testing._samples import PIXEL_DTYPES, extremes

OUTSIDE_KEYS = (
    "",
    "/etc/passwd",
    "../above",
    "a/../../above",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "C:/windows",
    "C:windows",
    "a\\b",
    "a\0b",
    "a/.. /b",
    "...",
)
"""Keys that every backend refuses: they could lead out of it, or name nothing."""


class StorageBackendTests:
    """Tests that a storage backend passes, whatever it stores in.

    Subclass it in a test module, and give it the fixture `backend`: an empty backend that
    holds arrays under keys that end in `suffix`.

    Examples
    --------
    >>> class TestMyBackend(StorageBackendTests):
    ...     @pytest.fixture
    ...     def backend(self, tmp_path):
    ...         return MyBackend(tmp_path)
    """

    suffix: str = ".npy"
    """What the key of an array ends in."""

    @pytest.fixture
    def backend(self) -> StorageBackend:
        """Return an empty backend."""
        raise NotImplementedError("a subclass gives the backend")

    def key(self, name: str) -> str:
        """Return the key of an array called `name`."""
        return f"{name}{self.suffix}"

    def stack(self, first: int = 0) -> NDArray[np.uint16]:
        """Return a small stack, no two of its values the same."""
        return np.arange(first, first + 24, dtype=np.uint16).reshape(2, 3, 4)

    def test_a_saved_array_reads_back_exactly(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        loaded = backend.load(self.key("a"))
        assert loaded.dtype == np.uint16
        np.testing.assert_array_equal(loaded, self.stack(), strict=True)

    @pytest.mark.parametrize("dtype", PIXEL_DTYPES)
    def test_every_dtype_of_pixels_is_kept_to_its_extremes(
        self, backend: StorageBackend, dtype: str
    ) -> None:
        plane = extremes(np.dtype(dtype))
        backend.save(self.key("a"), plane)
        loaded = backend.load(self.key("a"))
        assert loaded.dtype == plane.dtype
        assert loaded.tobytes() == plane.tobytes()  # also NaN and the sign of zero

    @pytest.mark.parametrize("layout", ["fortran", "reversed", "every second", "big-endian"])
    def test_the_layout_of_an_array_does_not_change_its_values(
        self, backend: StorageBackend, layout: str
    ) -> None:
        plane = np.arange(48, dtype=np.uint16).reshape(6, 8)
        laid_out = {
            "fortran": np.asfortranarray(plane),
            "reversed": plane[::-1, ::-1],
            "every second": plane[::2, ::2],
            "big-endian": plane.astype(">u2"),
        }[layout]
        backend.save(self.key("a"), laid_out)
        np.testing.assert_array_equal(backend.load(self.key("a")), laid_out)

    def test_what_is_stored_does_not_change_with_the_array_that_was_saved(
        self, backend: StorageBackend
    ) -> None:
        stack = self.stack()
        backend.save(self.key("a"), stack)
        stack[:] = 0
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack())

    def test_what_is_stored_does_not_change_with_the_array_that_was_loaded(
        self, backend: StorageBackend
    ) -> None:
        backend.save(self.key("a"), self.stack())
        loaded = backend.load(self.key("a"))
        if loaded.flags.writeable:
            loaded[:] = 0
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack())

    def test_saving_does_not_touch_the_array(self, backend: StorageBackend) -> None:
        stack = self.stack()
        stack.flags.writeable = False
        backend.save(self.key("a"), stack)
        np.testing.assert_array_equal(stack, self.stack())

    def test_a_key_that_is_taken_is_kept_unless_replacing_is_asked_for(
        self, backend: StorageBackend
    ) -> None:
        backend.save(self.key("a"), self.stack())
        with pytest.raises(KeyExistsError, match="replace"):
            backend.save(self.key("a"), self.stack(100))
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack())
        backend.save(self.key("a"), self.stack(100), mode="replace")
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack(100))

    def test_replacing_takes_the_new_shape_and_dtype(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        backend.save(self.key("a"), np.full((5, 7), 0.5, np.float32), mode="replace")
        loaded = backend.load(self.key("a"))
        assert (loaded.shape, str(loaded.dtype)) == ((5, 7), "float32")

    def test_replacing_saves_under_a_new_key_too(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack(), mode="replace")
        assert backend.exists(self.key("a"))

    def test_parents_of_a_key_are_made(self, backend: StorageBackend) -> None:
        key = self.key("plate/A/02/site 1")
        backend.save(key, self.stack())
        assert backend.exists(key)
        np.testing.assert_array_equal(backend.load(key), self.stack())

    def test_a_missing_key_is_a_file_not_found_that_names_it(self, backend: StorageBackend) -> None:
        assert not backend.exists(self.key("deep/missing"))
        with pytest.raises(KeyNotFoundError, match="deep/missing") as caught:
            backend.load(self.key("deep/missing"))
        assert isinstance(caught.value, FileNotFoundError)
        with pytest.raises(KeyNotFoundError, match="deep/missing"):
            backend.delete(self.key("deep/missing"))

    def test_a_folder_of_keys_is_no_value(self, backend: StorageBackend) -> None:
        folder = self.key("wells")
        backend.save(f"{folder}/{self.key('a')}", self.stack())
        assert not backend.exists(folder)
        with pytest.raises(KeyNotFoundError):
            backend.load(folder)
        with pytest.raises(KeyNotFoundError):
            backend.delete(folder)
        assert backend.exists(f"{folder}/{self.key('a')}")

    def test_saving_under_the_name_of_a_folder_never_costs_what_lies_in_it(
        self, backend: StorageBackend
    ) -> None:
        folder = self.key("wells")
        inner = f"{folder}/{self.key('a')}"
        backend.save(inner, self.stack())
        backend.save_batch([Item(folder, self.stack(50))], mode="replace")  # may be refused
        np.testing.assert_array_equal(backend.load(inner), self.stack())

    def test_a_deleted_key_is_gone_and_free(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        backend.save(self.key("b"), self.stack(50))
        backend.delete(self.key("a"))
        assert not backend.exists(self.key("a"))
        assert list(backend.list()) == [self.key("b")]
        with pytest.raises(KeyNotFoundError):
            backend.load(self.key("a"))
        backend.save(self.key("a"), self.stack(100))
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack(100))

    @pytest.mark.parametrize("key", OUTSIDE_KEYS)
    def test_a_key_that_could_lead_outside_is_refused_by_every_operation(
        self, backend: StorageBackend, key: str
    ) -> None:
        with pytest.raises(InvalidKeyError):
            backend.save(key, self.stack())
        with pytest.raises(InvalidKeyError):
            backend.save_batch([Item(self.key("good"), self.stack()), Item(key, self.stack())])
        with pytest.raises(InvalidKeyError):
            backend.load(key)
        with pytest.raises(InvalidKeyError):
            backend.exists(key)
        with pytest.raises(InvalidKeyError):
            backend.delete(key)
        if key:  # an empty prefix stands for all
            with pytest.raises(InvalidKeyError):
                list(backend.list(key))
        assert list(backend.list()) == []

    def test_a_batch_reads_back_in_the_order_that_is_asked_for(
        self, backend: StorageBackend
    ) -> None:
        names = ["a", "b", "c"]
        items = [Item(self.key(name), self.stack(100 * n)) for n, name in enumerate(names)]
        outcomes = backend.save_batch(items)
        assert [(outcome.key, outcome.ok) for outcome in outcomes] == [
            (self.key(name), True) for name in names
        ]
        loaded = backend.load_batch([self.key("c"), self.key("a"), self.key("c")])
        assert [array.flat[0] for array in loaded] == [200, 0, 200]

    def test_an_empty_batch_is_nothing_to_do(self, backend: StorageBackend) -> None:
        assert backend.save_batch([]) == []
        assert backend.load_batch([]) == []

    def test_a_failed_item_is_reported_and_does_not_stop_the_others(
        self, backend: StorageBackend
    ) -> None:
        backend.save(self.key("taken"), self.stack())
        outcomes = backend.save_batch(
            [
                Item(self.key("first"), self.stack(1)),
                Item(self.key("taken"), self.stack(2)),
                Item(self.key("objects"), np.array([object()])),
                Item(self.key("last"), self.stack(3)),
            ]
        )
        kinds = [type(outcome.error) for outcome in outcomes]
        assert kinds == [type(None), KeyExistsError, UnsavableValueError, type(None)]
        assert [outcome.key for outcome in outcomes if outcome.ok] == [
            self.key("first"),
            self.key("last"),
        ]
        np.testing.assert_array_equal(backend.load(self.key("taken")), self.stack())
        assert not backend.exists(self.key("objects"))

    def test_outcomes_survive_the_way_to_another_process(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        (outcome,) = backend.save_batch([Item(self.key("a"), self.stack())])
        copy = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - made one line above
        assert (copy.key, str(copy.error)) == (outcome.key, str(outcome.error))

    def test_a_key_twice_in_one_batch_is_refused_before_anything_is_written(
        self, backend: StorageBackend
    ) -> None:
        items = [Item(self.key(name), self.stack()) for name in ("a", "b", "a")]
        with pytest.raises(InvalidKeyError, match="twice"):
            backend.save_batch(items)
        assert list(backend.list()) == []

    @pytest.mark.parametrize("kind", ["objects", "masked"])
    def test_an_array_that_cannot_be_kept_exactly_is_refused_and_leaves_the_old_value(
        self, backend: StorageBackend, kind: str
    ) -> None:
        value: Any = np.array([[object()]])
        if kind == "masked":
            value = np.ma.masked_greater(self.stack(), 3)
        backend.save(self.key("a"), self.stack())
        with pytest.raises(UnsavableValueError):
            backend.save(self.key("a"), value, mode="replace")
        np.testing.assert_array_equal(backend.load(self.key("a")), self.stack())
        assert list(backend.list()) == [self.key("a")]

    def test_keys_are_listed_in_natural_order(self, backend: StorageBackend) -> None:
        for name in ("A/w10", "A/w2", "B/w1", "A/w1", "top"):
            backend.save(self.key(name), self.stack())
        assert list(backend.list()) == self._keys("A/w1", "A/w2", "A/w10", "B/w1", "top")
        assert list(backend.list("A")) == self._keys("A/w1", "A/w2", "A/w10")
        assert list(backend.list(recursive=False)) == self._keys("top")

    def test_a_prefix_is_a_folder_and_not_the_start_of_a_name(
        self, backend: StorageBackend
    ) -> None:
        for name in ("A/1", "AB/1", "A1"):
            backend.save(self.key(name), self.stack())
        assert list(backend.list("A")) == self._keys("A/1")
        assert list(backend.list("missing")) == []

    def test_endings_are_compared_without_case(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        assert list(backend.list(suffixes=(self.key("a").upper(),))) == [self.key("a")]
        assert list(backend.list(suffixes=("no such ending",))) == []

    def test_what_a_failed_save_leaves_is_not_listed(self, backend: StorageBackend) -> None:
        outcomes = backend.save_batch([Item(self.key("a"), np.array([object()]))])
        assert not outcomes[0].ok
        assert list(backend.list()) == []

    def test_a_region_is_exactly_that_part(self, backend: StorageBackend) -> None:
        backend.save(self.key("a"), self.stack())
        region = (slice(1, 2), slice(None), slice(1, 3))
        if Capability.REGION not in backend.capabilities:
            with pytest.raises(CapabilityError):
                backend.load(self.key("a"), region=region)
            return
        expected = [[[13, 14], [17, 18], [21, 22]]]
        np.testing.assert_array_equal(backend.load(self.key("a"), region=region), expected)

    @pytest.mark.parametrize(
        "region",
        [
            (slice(0, 3), slice(None), slice(None)),
            (slice(-1, None), slice(None), slice(None)),
            (slice(None), slice(None), slice(0, 4, 2)),
            (slice(1, 0), slice(None), slice(None)),
            (slice(None),),
            (slice(None),) * 4,
        ],
    )
    def test_a_region_that_is_not_inside_is_refused(
        self, backend: StorageBackend, region: tuple[slice, ...]
    ) -> None:
        backend.save(self.key("a"), self.stack())
        wanted = ShapeError if Capability.REGION in backend.capabilities else CapabilityError
        with pytest.raises(wanted):
            backend.load(self.key("a"), region=region)

    def test_a_durable_save_is_made_or_refused(self, backend: StorageBackend) -> None:
        if Capability.DURABLE in backend.capabilities:
            backend.save(self.key("deep/a"), self.stack(), durable=True)
            np.testing.assert_array_equal(backend.load(self.key("deep/a")), self.stack())
        else:
            with pytest.raises(CapabilityError):
                backend.save(self.key("a"), self.stack(), durable=True)
            assert not backend.exists(self.key("a"))

    def test_every_error_of_the_store_is_one_kind(self, backend: StorageBackend) -> None:
        with pytest.raises(StorageError):
            backend.load(self.key("missing"))

    def _keys(self, *names: str) -> Sequence[str]:
        return [self.key(name) for name in names]
