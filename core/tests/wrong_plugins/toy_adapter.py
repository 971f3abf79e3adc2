"""The adapter of the toy framework, which it imports in its methods only."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from hcs_core.arrays import ArrayAdapter, ArrayInfo, Capabilities

_CAPABILITIES = Capabilities(
    dtypes=frozenset(("bool", "uint8", "uint16", "int32", "float32", "float64")),
    marks_readonly=True,
    ndim=(1, 3),
)


class BoxAdapter(ArrayAdapter):
    """Boxes, which share the memory that is put into them."""

    name: ClassVar[str] = "toy_box"
    module_names: ClassVar[tuple[str, ...]] = ("toy_framework",)

    def owns(self, value: object) -> bool:
        return type(value).__module__ == "toy_framework"

    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    def describe(self, array: Any) -> ArrayInfo:
        values = array.values
        return ArrayInfo(
            framework=self.name,
            shape=values.shape,
            dtype=values.dtype.name,
            device="cpu",
            strides=values.strides,
            pointer=values.ctypes.data if values.size else 0,
            readonly=not values.flags.writeable,
            nbytes=values.nbytes,
        )

    def to_host(self, array: Any) -> NDArray[Any]:
        values: NDArray[Any] = array.values
        return values

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        from toy_framework import Box

        self.require(device)
        return Box(array)


class EagerAdapter(BoxAdapter):
    """Imports its framework to say what it holds."""

    def capabilities(self) -> Capabilities:
        import toy_framework  # noqa: F401

        return super().capabilities()
