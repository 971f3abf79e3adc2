"""From what a user wrote to a function with a contract, every argument checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hcs_core.arrays import FunctionContract, contract_of
from hcs_core.errors import HcsError, UsageError, listed, near
from hcs_core.kernels import KERNELS, Kernel, Parameter, find_kernel
from hcs_pipeline._plan import PlannedCall, frozen_items
from hcs_pipeline._steps import Call

USER_FUNCTIONS = "python"
HOST = "numpy"
"""The framework that planes are read into; no step converts them to another one."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A call that has been checked; nothing of a kernel is imported for it.

    Parameters
    ----------
    call : PlannedCall
        What goes into the plan.
    contract : FunctionContract
        How the function is called.
    user_function : callable, optional
        The function itself where it is not a kernel.
    """

    call: PlannedCall
    contract: FunctionContract
    user_function: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class LoadedCall:
    """A planned call whose function is imported."""

    call: PlannedCall
    contract: FunctionContract
    run: Callable[..., Any]


def resolve(call: Call, framework: str | None) -> tuple[Resolved | None, list[str]]:
    """Return the resolved call, or None, and everything that is wrong with it."""
    if isinstance(call.function, str):
        try:
            library, kernel = find_kernel(call.function)
        except HcsError as cause:
            return None, [str(cause)]
        return _resolve_kernel(library, kernel, call, framework)
    return _resolve_function(call.function, call, framework)


def load(call: PlannedCall, functions: Mapping[str, Callable[..., Any]]) -> LoadedCall:
    """Return a planned call with its contract and its imported function.

    Raises
    ------
    HcsError
        If the kernel or the function is not here any more.
    """
    library, _, rest = call.function.partition(":")
    if library != USER_FUNCTIONS:
        _, kernel = find_kernel(call.function)
        return LoadedCall(call, kernel, kernel.load(call.framework))
    function = functions.get(call.function) or _imported(rest)
    contract = contract_of(function)
    if contract is None:
        raise UsageError(f"{call.function} has lost its decorator since the plan was made")
    return LoadedCall(call, contract, function)


def _resolve_kernel(
    library: str, kernel: Kernel, call: Call, framework: str | None
) -> tuple[Resolved | None, list[str]]:
    problems = []
    chosen = framework or HOST
    if chosen not in kernel.frameworks:
        available = listed(kernel.frameworks)
        problems.append(f"{kernel.name} does not run on {chosen!r} (available: {available})")
    elif chosen != HOST:
        problems.append(f"planes are arrays of {HOST}, {chosen!r} is not; leave out framework")
    problems += _kernel_argument_problems(kernel, call.arguments)
    if problems:
        return None, problems
    origin = KERNELS.info(library).origin
    arguments = frozen_items(call.arguments)
    planned = PlannedCall(f"{library}:{kernel.name}", chosen, arguments, origin)
    return Resolved(planned, kernel), []


def _kernel_argument_problems(kernel: Kernel, arguments: Mapping[str, Any]) -> Iterator[str]:
    parameters = {parameter.name: parameter for parameter in kernel.parameters}
    for name, value in arguments.items():
        if name not in parameters:
            yield _unknown_argument(kernel.name, name, tuple(parameters))
        elif problem := parameters[name].problem_with(value):
            yield f"{kernel.name}: {name} {problem}{_meaning(parameters[name])}"
    for name, parameter in parameters.items():
        if parameter.required and name not in arguments:
            yield f"{kernel.name}: {name} must be given ({parameter.doc})"


def _resolve_function(
    function: Callable[..., Any], call: Call, framework: str | None
) -> tuple[Resolved | None, list[str]]:
    name = call.name
    contract = contract_of(function)
    if contract is None:
        advice = "decorate it with @hcs_core.arrays.numpy, which says what it takes and returns"
        return None, [f"function {name} has no contract; {advice}"]
    problems = []
    memory = (contract.memory_in, contract.memory_out)
    if framework not in (None, contract.memory_in) or memory != (HOST, HOST):
        problems.append(f"planes are arrays of {HOST}, {name} runs on {contract.memory_in!r}")
    images = tuple(value.name for value in contract.inputs if value.kind == "image")
    if len(images) > 1:
        problems.append(f"{name} takes several images ({listed(images)}); a step gives it one")
    problems += _function_argument_problems(function, contract, call)
    if problems:
        return None, problems
    reference = f"{USER_FUNCTIONS}:{function.__module__}:{function.__qualname__}"
    planned = PlannedCall(reference, contract.memory_in, frozen_items(call.arguments))
    return Resolved(planned, contract, function), []


def _function_argument_problems(
    function: Callable[..., Any], contract: FunctionContract, call: Call
) -> Iterator[str]:
    arrays = {value.name for value in contract.inputs} | set(contract.context)
    parameters = inspect.signature(function).parameters.values()
    free = [p for p in parameters if p.name not in arrays]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in free)
    named = {p.name: p for p in free if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for name, value in call.arguments.items():
        if name not in named and not takes_any:
            yield _unknown_argument(call.name, name, tuple(named))
        elif not _is_json(value):
            wrong = f"{name} = {value!r} is a {type(value).__name__}"
            yield f"{call.name}: {wrong}; a plan holds finite numbers, text and lists"
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in call.arguments:
            yield f"{call.name}: {name} must be given"


def _unknown_argument(function: str, name: str, known: tuple[str, ...]) -> str:
    return (
        f"{function} has no argument {name!r}{near(name, known)} "
        f"(available: {listed(known, most=40)})"
    )


def _meaning(parameter: Parameter) -> str:
    words = ", ".join(word for word in (parameter.doc, parameter.unit) if word)
    return f" ({words})" if words else ""


def _is_json(value: Any) -> bool:
    """Return whether a value is a number, text, truth, None, or a list of these."""
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def _imported(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    try:
        value: Any = import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as cause:
        reason = "a function of a notebook or of another function lives in one process only"
        raise UsageError(f"cannot import {reference}: {reason}; move it to a module") from cause
    function: Callable[..., Any] = value
    return function
