"""A call of a decorated function: arrays into its framework, and its result out of it.

A function is wrapped from the inside outwards: what converts its arrays and helps where
memory is missing, then what goes through a stack plane by plane, then what refuses other
images than stacks. The outer two are there only where the contract asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, TypeVar, cast

from hcs_core.arrays._adapter import ARRAYS
from hcs_core.arrays._adapters import adapter_for, adapter_of
from hcs_core.arrays.calls._arguments import ArrayArguments, Given
from hcs_core.arrays.calls._contract import CONTRACT_ATTRIBUTE, PIXELS, FunctionContract, OomPolicy
from hcs_core.arrays.calls._host_types import HOST_TYPES
from hcs_core.arrays.calls._inputs import Inputs
from hcs_core.arrays.calls._lending import Loans
from hcs_core.arrays.calls._oom import Recovery
from hcs_core.arrays.calls._parts import (
    CallInParts,
    check_counts,
    check_stacks,
    part_of,
    plane_counts,
)
from hcs_core.arrays.calls._results import Results
from hcs_core.arrays.calls._traced import described

F = TypeVar("F", bound=Callable[..., Any])


def decorated(function: F, contract: FunctionContract) -> F:
    """Return the function as it is called through its contract, which is attached to it."""
    call = DecoratedCall(function, contract)
    wrapper = _converting(call)
    if contract.slice_by_slice:
        wrapper = _plane_by_plane(call, wrapper)
    if contract.enforce_3d:
        wrapper = _stacks_only(call, wrapper)
    wrapper = wraps(function)(wrapper)
    setattr(wrapper, CONTRACT_ATTRIBUTE, contract)
    return cast(F, wrapper)


def _converting(call: DecoratedCall) -> Callable[..., Any]:
    """Return the function with its arrays converted, and helped where memory is missing."""
    function, framework = call.function, call.contract.memory_in
    places, is_native = call.arguments.places(), call.results.is_native
    known_types = HOST_TYPES if call.runs_on_host else {}

    def converting(*args: Any, **kwargs: Any) -> Any:
        # What most calls do is written out here: with nothing to convert it takes 0.3 us.
        known = known_types.get(ARRAYS[framework])
        try:
            if known is None:
                return call.in_full(args, kwargs)
            plain, count = known.plain, len(args)
            for position, name, may_be_none in places:
                value = args[position] if position < count else kwargs.get(name)
                if type(value) in plain or (value is None and may_be_none):
                    continue
                if not known.has(value):
                    return call.in_full(args, kwargs)
            result = function(*args, **kwargs)
            if is_native and (type(result) in plain or known.has(result)):
                return result
            return call.finished(result, args, kwargs)
        except Exception as error:  # foreign code: each framework has errors of its own for it
            if not call.lacks_memory(error):
                raise
            lack, result = error, None  # what was returned takes memory too
        return call.recovered(lack, args, kwargs)

    return converting


def _plane_by_plane(call: DecoratedCall, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of stacks that calls one of single planes for each."""

    def plane_by_plane(*args: Any, **kwargs: Any) -> Any:
        given = call.arguments.given(args, kwargs)
        check_counts(call.name, given)
        counts = plane_counts(given)
        if not counts:
            return function(*args, **kwargs)
        calls = (part_of(given, index) for index in range(counts[0]))
        return call.results.together([function(*each.args, **each.kwargs) for each in calls])

    return plane_by_plane


def _stacks_only(call: DecoratedCall, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that refuses images that are no stacks."""

    def stacks_only(*args: Any, **kwargs: Any) -> Any:
        check_stacks(call.name, call.arguments.given(args, kwargs))
        return function(*args, **kwargs)

    return stacks_only


class DecoratedCall:
    """How a function is called through its contract; it keeps nothing of a call.

    Parameters
    ----------
    function : callable
        The function itself.
    contract : FunctionContract
        What it says of itself.

    Attributes
    ----------
    function, contract
        As given.
    name : str
        The function with its module, for messages.
    arguments : ArrayArguments
        Its images and labels; tables and positions are passed as they are.
    inputs : Inputs
        What becomes of those on the way in.
    results : Results
        What becomes of that which it returns.
    runs_on_host : bool
        Whether arrays of its framework on the host need nothing done.
    """

    def __init__(self, function: Callable[..., Any], contract: FunctionContract) -> None:
        self.function, self.contract = function, contract
        self.name = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        self.arguments = ArrayArguments(self.name, function, contract)
        self.inputs = Inputs(self.name, contract)
        self.results = Results(self.name, contract)
        self.runs_on_host = self.inputs.device in (None, "cpu")

    def in_full(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the function returns, with all that the contract asks for."""
        return self._once(self.arguments.given(args, kwargs))

    def finished(self, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a result as the contract says, for a call with these arguments."""
        finished = self.results.finished(result, self.arguments.like(args, kwargs))
        if self.results.is_native and self.runs_on_host:
            self.inputs.device_of(finished)  # which remembers it: the next call needs not come here
        return finished

    def lacks_memory(self, error: BaseException) -> bool:
        """Return whether an error of the call says that memory was missing."""
        names = dict.fromkeys((self.contract.memory_in, self.contract.memory_out))
        return any(adapter_for(name).is_out_of_memory(error) for name in names)

    def recovered(self, lack: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of a call that has run out of memory, if it can be helped."""
        given = self.arguments.given(args, kwargs)
        adapter, place = self.inputs.adapter(), self.inputs.place(given)
        recovery = Recovery(self.name, adapter, place, lack, self.lacks_memory)
        policy = self.contract.oom
        if any(isinstance(value, Iterator) for value in (*args, *kwargs.values())):
            lack.add_note("not called again: an argument is an iterator, which may be used up")
            policy = OomPolicy(retries=0, split=False)
        return recovery.run(policy, partial(self._once, given), self._in_parts(given))

    def _once(self, given: Given) -> Any:
        """Return what the function returns for one call, converted on the way in and out."""
        loans = Loans()
        device, call = self.inputs.ready(given, loans)
        with self.inputs.computing_on(device):
            result = self.function(*call.args, **call.kwargs)
        finished = self.finished(result, given.args, given.kwargs)
        return self.results.protected(finished, loans) if loans else finished

    def _in_parts(self, given: Given) -> CallInParts | None:
        """Return the call as one that can be made in parts, or None."""
        counts = plane_counts(given)
        kinds = {value.kind for value in self.contract.outputs}
        can = self.contract.stack == "per_plane" and kinds <= {*PIXELS} and len(counts) == 1
        # Parts are put together in memory, which what is traced does not have.
        has_values = all(described(adapter_of(v), v) for v in given.arrays.values())
        is_several = can and has_values and counts[0] > 1
        return CallInParts(self.name, self._once, given, counts[0]) if is_several else None
