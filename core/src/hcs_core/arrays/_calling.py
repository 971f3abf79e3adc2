"""A call of a decorated function: arrays into its framework, and its result out of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import adapter_for, adapter_of
from hcs_core.arrays._contract import CONTRACT_ATTRIBUTE, FunctionContract, Value, ValueKind
from hcs_core.arrays._convert import convert
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._oom import Recovery
from hcs_core.arrays._plan import full_name
from hcs_core.arrays._planes import Gathered, check_counts, plane_counts, shape_of
from hcs_core.arrays._rescale import rescale
from hcs_core.arrays._stacking import stack
from hcs_core.errors import HcsError, ResultError, ShapeError, UnsupportedArrayError

F = TypeVar("F", bound=Callable[..., Any])

_PIXELS = ("image", "labels")


class _Absent:
    """What stands for an argument that the caller has not given."""


_ABSENT = _Absent()


class Argument(NamedTuple):
    """An argument that is an array, and how to find it in a call."""

    name: str
    position: int
    kind: ValueKind
    is_optional: bool


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


def decorated(function: F, contract: FunctionContract) -> F:
    """Return the function as it is called through its contract, which is attached to it."""
    call = DecoratedCall(function, contract)
    places = [(each.position, each.name, each.is_optional) for each in call.arguments]
    plain, placed, is_host, own = call.plain, call.placed, call.is_host, call.own
    is_native, enforce_3d = call.is_native, contract.enforce_3d

    # What most calls do is written out here: with nothing to convert it takes 0.3 us.
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        for position, name, is_optional in places:
            value = args[position] if position < len(args) else kwargs.get(name, _ABSENT)
            kind = type(value)
            is_ready = kind in plain or (kind in placed and is_host.get(value.device))
            if not is_ready and not (value is None and is_optional):
                return call.in_full(args, kwargs)
        if enforce_3d:
            call.given(args, kwargs)
        try:
            result = function(*args, **kwargs)
            if is_native and type(result) in own:
                return result
            return call.finished(result, call.like(args, kwargs))
        except Exception as error:
            if not call.lacks_memory(error):
                raise
            lack = error
        return call.recovered(lack, call.given(args, kwargs))

    setattr(wrapper, CONTRACT_ATTRIBUTE, contract)
    return cast(F, wrapper)


class DecoratedCall:
    """How a function is called through its contract.

    Parameters
    ----------
    function : callable
        The function itself.
    contract : FunctionContract
        What it says of itself.

    Attributes
    ----------
    name : str
        The function with its module, for messages.
    arguments : tuple of Argument
        Its images and labels; tables and positions are passed as they are.
    plain : set of type
        Types of arrays, met so far, that need nothing done.
    placed : set of type
        The same, for those that lie on the host.
    is_host : dict
        Whether a device is the host, by what arrays of frameworks with several have for it.
    own : set of type
        Types of arrays of the function's framework, met so far.
    is_native : bool
        Whether an array of its framework is a result that needs nothing done.
    """

    def __init__(self, function: Callable[..., Any], contract: FunctionContract) -> None:
        self._function, self._contract = function, contract
        name = f"{function.__module__}.{function.__qualname__}"
        self.name = name.replace("<locals>.", "")
        self.arguments = _arguments(function, contract)
        images = [argument for argument in self.arguments if argument.kind == "image"]
        self._like = next(iter(images or self.arguments), None)
        self._device = full_name(contract.device)
        self.plain: set[type] = {_Absent}
        self.placed: set[type] = set()
        self.is_host: dict[Hashable, bool] = {}
        self.own: set[type] = set()
        self.is_native = (
            len(contract.outputs) == 1
            and contract.outputs[0].kind in _PIXELS
            and contract.memory_in == contract.memory_out
            and (contract.dtype == "native" or contract.outputs[0].kind == "labels")
        )
        self._may_skip = self._device in (None, "cpu") and not contract.slice_by_slice

    def in_full(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the function returns, with all that the contract asks for."""
        given = self.given(args, kwargs)
        if self._contract.slice_by_slice:
            check_counts(self.name, given.arrays.values())
            if plane_counts(given.arrays.values()):
                return self._plane_by_plane(given)
        return self._guarded(given)

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Given:
        """Return the call with its arrays, if they are arrays, and stacks where asked."""
        arrays = {}
        for argument in self.arguments:
            value = _value(argument, args, kwargs)
            if value is not _ABSENT and not (value is None and argument.is_optional):
                self._check(argument, value)
                arrays[argument] = value
        return Given(args, kwargs, arrays)

    def like(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the array whose dtype an image that comes out may have to have."""
        return None if self._like is None else _value(self._like, args, kwargs)

    def finished(self, result: Any, like: Any) -> Any:
        """Return a result with the dtype and in the framework that the contract says."""
        outputs = self._contract.outputs
        if len(outputs) == 1:
            return self._finished(outputs[0], result, like)
        if not isinstance(result, tuple) or len(result) != len(outputs):
            wanted = f"({', '.join(value.name for value in outputs)})"
            raise ResultError(self.name, _kind_of(result), wanted)
        pairs = zip(outputs, result, strict=True)
        finished = tuple([self._finished(value, each, like) for value, each in pairs])
        is_same = all(old is new for old, new in zip(result, finished, strict=True))
        return result if is_same else finished

    def lacks_memory(self, error: BaseException) -> bool:
        """Return whether an error of the call says that memory was missing."""
        names = (self._contract.memory_in, self._contract.memory_out)
        return any(adapter_for(name).is_out_of_memory(error) for name in dict.fromkeys(names))

    def recovered(self, lack: Exception, given: Given) -> Any:
        """Return the result of a call that has run out of memory, if it can be helped."""
        adapter = self._adapter()
        recovery = Recovery(self.name, adapter, self._place(given), lack, self.lacks_memory)
        return recovery.run(self._contract.oom, partial(self.once, given), self._split(given))

    def once(self, given: Given) -> Any:
        """Return what the function returns for one call, converted on the way in and out."""
        device, ready = self._ready(given.arrays)
        call = given.replaced(ready)
        if device in (None, "cpu"):
            result = self._function(*call.args, **call.kwargs)
        else:
            with self._adapter().on(device):
                result = self._function(*call.args, **call.kwargs)
        return self.finished(result, self.like(given.args, given.kwargs))

    def _guarded(self, given: Given) -> Any:
        try:
            return self.once(given)
        except Exception as error:
            if not self.lacks_memory(error):
                raise
            lack = error
        return self.recovered(lack, given)

    def _plane_by_plane(self, given: Given) -> Any:
        """Return what the function returns for each plane, images and labels as stacks."""
        (count,) = plane_counts(given.arrays.values())
        planes = [self._guarded(given.replaced(_part(given, index))) for index in range(count)]
        outputs = self._contract.outputs
        if len(outputs) == 1:
            return self._together(outputs[0], planes)
        columns = zip(*planes, strict=True)
        return tuple([self._together(*pair) for pair in zip(outputs, columns, strict=True)])

    def _together(self, value: Value, planes: Sequence[Any]) -> Any:
        is_stack = value.kind in _PIXELS
        return stack(planes, self._contract.memory_out) if is_stack else tuple(planes)

    def _split(self, given: Given) -> _Split | None:
        """Return the call as one that can be made in parts, or None."""
        counts = plane_counts(given.arrays.values())
        kinds = {value.kind for value in self._contract.outputs}
        can = self._contract.stack == "per_plane" and kinds <= {*_PIXELS} and len(counts) == 1
        return _Split(self, given, counts[0]) if can and counts[0] > 1 else None

    def _ready(self, arrays: Mapping[Argument, Any]) -> tuple[str | None, dict[Argument, Any]]:
        """Return the arrays in the function's framework, all on one device, and that device."""
        if not arrays:
            return self._device, {}
        own = [argument for argument, value in arrays.items() if self._owns(value)]
        lead = next(iter(own or arrays))
        first = self._converted(lead, arrays[lead], self._device)
        self._remember(first)
        is_host = type(first) in self.plain
        device = "cpu" if is_host else self._device or self._adapter().describe(first).device
        others = {
            argument: self._converted(argument, value, device)
            for argument, value in arrays.items()
            if argument is not lead
        }
        return device, {lead: first, **others}

    def _converted(self, argument: Argument, value: Any, device: str | None) -> Any:
        if self._owns(value) and device in (None, self._adapter().describe(value).device):
            return value
        contract = self._contract
        try:
            return convert(value, contract.memory_in, device=device, writable=contract.writable)
        except HcsError as error:
            error.add_note(f"argument {argument.name!r} of {self.name}")
            raise

    def _finished(self, value: Value, result: Any, like: Any) -> Any:
        if value.kind not in _PIXELS:
            return result
        try:
            framework = adapter_of(result).name
        except UnsupportedArrayError:
            wanted = "an image" if value.kind == "image" else "labels"
            raise ResultError(self.name, _kind_of(result), wanted) from None
        if value.kind == "image" and self._contract.dtype != "native":
            result = self._with_dtype(result, like)
        if framework != self._contract.memory_out:
            return convert(result, self._contract.memory_out)
        self._remember(result)
        return result

    def _with_dtype(self, image: Any, like: Any) -> Any:
        """Return an image in the dtype that the policy says; itself where it has that."""
        policy = self._contract.dtype
        if policy in ("preserve", "scale"):
            if like is None or like is _ABSENT:
                return image
            if type(like) is type(image) and like.dtype == image.dtype:
                return image
            dtype = adapter_of(like).describe(like).dtype
            wanted = dtype_of(dtype).newbyteorder("=").name
        else:
            wanted = policy
        if adapter_of(image).describe(image).dtype == wanted:
            return image
        return rescale(image, wanted, mode="scale" if policy == "scale" else "preserve")

    def _check(self, argument: Argument, value: Any) -> None:
        try:
            adapter_of(value)
        except UnsupportedArrayError as error:
            reason = f"argument {argument.name!r} of {self.name} must be an array"
            raise UnsupportedArrayError(error.found, error.known, reason) from None
        if self._contract.enforce_3d and argument.kind == "image" and not _is_stack(value):
            raise ShapeError(f"{self.name}: a stack (n, y, x)", shape_of(value))

    def _remember(self, value: Any) -> None:
        """Note how arrays that need nothing done are known: on the host, by their type alone."""
        kind, place = type(value), getattr(value, "device", None)
        if kind in self.plain or not self._owns(value):
            return
        self.own.add(kind)
        if not self._may_skip or not isinstance(place, Hashable) or place in self.is_host:
            return
        if self._adapter().devices() == ("cpu",):
            self.plain.add(kind)
            return
        self.is_host[place] = self._adapter().describe(value).device == "cpu"
        self.placed.add(kind)

    def _place(self, given: Given) -> str:
        """Return the device that the function runs on."""
        own = [value for value in given.arrays.values() if self._owns(value)]
        lies_on = self._adapter().describe(own[0]).device if own else ""
        return self._device or lies_on or self._adapter().host_device()

    def _owns(self, value: Any) -> bool:
        return adapter_of(value).name == self._contract.memory_in

    def _adapter(self) -> ArrayAdapter:
        return adapter_for(self._contract.memory_in)


class _Split:
    """A call that is made for some planes at a time."""

    def __init__(self, call: DecoratedCall, given: Given, count: int) -> None:
        self._call, self._given, self.count = call, given, count
        self._outputs: list[Gathered] | None = None
        self._is_tuple = False

    def call(self, start: int, stop: int) -> None:
        """Call the function for the planes from `start` to before `stop`."""
        part = self._given.replaced(_part(self._given, slice(start, stop)))
        result = self._call.once(part)
        self._is_tuple = isinstance(result, tuple)
        results = result if isinstance(result, tuple) else (result,)
        if self._outputs is None:
            self._outputs = [Gathered(self._call.name, self.count) for _ in results]
        for gathered, each in zip(self._outputs, results, strict=True):
            gathered.put(start, stop, each)

    def joined(self) -> Any:
        """Return the results of all planes together."""
        wholes = tuple([gathered.whole() for gathered in self._outputs or ()])
        return wholes if self._is_tuple else wholes[0]


def _part(given: Given, index: int | slice) -> dict[Argument, Any]:
    """Return a plane, or some of the planes, of every stack among the arrays."""
    return {
        argument: value[index]
        for argument, value in given.arrays.items()
        if len(shape_of(value)) == 3
    }


def _arguments(function: Callable[..., Any], contract: FunctionContract) -> tuple[Argument, ...]:
    """Return the images and labels among the arguments, and where they stand."""
    places = {}
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        by_position = parameter.kind is not parameter.KEYWORD_ONLY
        places[parameter.name] = (position if by_position else sys.maxsize, parameter.default)
    return tuple(
        Argument(value.name, position, value.kind, default is None)
        for value in contract.inputs
        if value.kind in _PIXELS
        for position, default in [places[value.name]]
    )


def _value(argument: Argument, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    if argument.position < len(args):
        return args[argument.position]
    return kwargs.get(argument.name, _ABSENT)


def _is_stack(value: Any) -> bool:
    axes = getattr(value, "ndim", None)
    return (len(shape_of(value)) if axes is None else axes) == 3


def _kind_of(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return "nothing" if value is None else f"{article} {name}"
