"""The arrays among the arguments of a call: where they stand, and that they are arrays."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hcs_core.arrays._adapters import adapter_of
from hcs_core.arrays.calls._contract import PIXELS, FunctionContract, ValueKind
from hcs_core.errors import UnsupportedArrayError


class Argument(NamedTuple):
    """An argument that is an array, and how to find it in a call."""

    name: str
    position: int
    kind: ValueKind
    is_optional: bool

    def is_given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Return whether a call says what it is."""
        return self.position < len(args) or self.name in kwargs

    def value_in(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what it is in a call; None where that does not say it."""
        return args[self.position] if self.position < len(args) else kwargs.get(self.name)


class Given(NamedTuple):
    """What a function is called with, and which of it are its arrays."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    arrays: dict[Argument, Any]

    def replaced(self, arrays: Mapping[Argument, Any]) -> Given:
        """Return the same call with other arrays."""
        args, kwargs = list(self.args), dict(self.kwargs)
        for argument, value in arrays.items():
            if argument.position < len(args):
                args[argument.position] = value
            else:
                kwargs[argument.name] = value
        return Given(tuple(args), kwargs, {**self.arrays, **arrays})


class ArrayArguments:
    """The images and labels among the arguments of a function; all else is passed as it is.

    Parameters
    ----------
    name : str
        What the function is called in messages.
    function : callable
        The function itself.
    contract : FunctionContract
        What it says of itself.
    """

    def __init__(self, name: str, function: Callable[..., Any], contract: FunctionContract) -> None:
        self._name = name
        self._all = _found(function, contract)
        images = [argument for argument in self._all if argument.kind == "image"]
        self._like = next(iter(images or self._all), None)

    def places(self) -> list[tuple[int, str, bool]]:
        """Return of each argument its position, its name, and whether it may be None."""
        return [(each.position, each.name, each.is_optional) for each in self._all]

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Given:
        """Return a call with its arrays.

        Raises
        ------
        UnsupportedArrayError
            If one of them is no array.
        """
        arrays = {}
        for argument in self._all:
            value = argument.value_in(args, kwargs)
            is_left_out = value is None and argument.is_optional
            if argument.is_given(args, kwargs) and not is_left_out:
                self._check(argument, value)
                arrays[argument] = value
        return Given(args, kwargs, arrays)

    def like(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the array whose dtype an image that comes out may have to have, or None."""
        return None if self._like is None else self._like.value_in(args, kwargs)

    def _check(self, argument: Argument, value: Any) -> None:
        try:
            adapter_of(value)
        except UnsupportedArrayError as error:
            reason = f"argument {argument.name!r} of {self._name} must be an array"
            raise UnsupportedArrayError(error.found, error.known, reason) from None


def _found(function: Callable[..., Any], contract: FunctionContract) -> tuple[Argument, ...]:
    """Return the images and labels among the arguments, and where they stand."""
    places = {}
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        by_position = parameter.kind is not parameter.KEYWORD_ONLY
        places[parameter.name] = (position if by_position else sys.maxsize, parameter.default)
    return tuple(
        Argument(value.name, position, value.kind, default is None)
        for value in contract.inputs
        if value.kind in PIXELS
        for position, default in [places[value.name]]
    )
