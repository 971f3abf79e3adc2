"""What a user writes: steps, and the four patterns that say what a step calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, get_args

from hcs_core.plates import Component
from hcs_pipeline.errors import PipelineError

Function = str | Callable[..., Any]
"""A kernel, ``"library:kernel"`` or bare for the library hcs, or a decorated function."""

Pattern = Any
"""``f``, ``(f, kwargs)``, ``[f, (g, kwargs)]`` or ``{component value: pattern}``."""


# Bytes; with a channel's name and an ending it must fit a file name of 255.
_LONGEST = 100


class VariableComponents(StrEnum):
    """Components whose planes are stacked for one call."""

    SITE = "site"
    CHANNEL = "channel"
    Z_INDEX = "z_index"
    TIMEPOINT = "timepoint"


class GroupBy(StrEnum):
    """The component by whose values the keys of a dict pattern choose functions."""

    SITE = "site"
    CHANNEL = "channel"
    Z_INDEX = "z_index"
    TIMEPOINT = "timepoint"


@dataclass(frozen=True, slots=True)
class Call:
    """One function and the arguments that the user set."""

    function: Function
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a person calls the function."""
        if isinstance(self.function, str):
            return self.function
        return getattr(self.function, "__qualname__", type(self.function).__name__)


Chain = tuple[Call, ...]


@dataclass(frozen=True)
class FunctionStep:
    """One step of a pipeline: what to call, on which planes, and what to keep.

    Parameters
    ----------
    func : pattern
        ``f``; ``(f, {"sigma_px": 2})``; a chain ``[f, (g, {...})]`` whose image goes from
        one to the next; or ``{"DAPI": pattern, "w2": pattern}`` with `group_by`, where
        planes of keys that are not named pass by.
    name : str, optional
        The step's name; the last function's name by default.
    variable_components : sequence of VariableComponents
        Components whose planes are stacked along n for one call; none: one plane a call.
    group_by : GroupBy, optional
        What the keys of a dict pattern are. Keys of channels are names or labels.
    inputs : Mapping of str to str
        Array arguments that come from an earlier step: ``{"labels": "Nuclei.labels"}``.
    save : sequence of str, optional
        Outputs that the step leaves in the plate: ``"image"``, ``"labels"``.
    framework : str, optional
        The array framework to run on; the kernel's first by default.

    Attributes
    ----------
    patterns : Mapping of str or None to tuple of Call
        `func` in one form: chains by key; None stands for all planes.

    Raises
    ------
    PipelineError
        If the pattern or an option cannot be understood.
    """

    func: Pattern
    name: str = ""
    variable_components: Sequence[str] = ()
    group_by: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    save: Sequence[str] | None = None
    framework: str | None = None
    patterns: Mapping[str | None, Chain] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        where = f"step {self.name!r}" if self.name else "a step"
        _check_options(self, where)
        patterns = _by_key(self.func, where)
        last = next(reversed(patterns.values()))[-1].name.rpartition(":")[2].rpartition(".")[2]
        normal = {
            "patterns": MappingProxyType(patterns),
            "name": _plain_name(self.name or last, where),
            "variable_components": tuple(_component(c, where) for c in self.variable_components),
            "group_by": None if self.group_by is None else _component(self.group_by, where),
            "inputs": MappingProxyType(_inputs(self.inputs or {}, where)),
            "save": None if self.save is None else tuple(self.save),
        }
        for attribute, value in normal.items():
            object.__setattr__(self, attribute, value)  # how a frozen dataclass normalises
        if None not in patterns and self.group_by is None:
            keys = ", ".join(str(key) for key in patterns)
            reason = f"func has keys ({keys}) but group_by is not set; add group_by = 'channel'"
            raise PipelineError(where, reason)

    def __reduce__(self) -> tuple[type[FunctionStep], tuple[Any, ...]]:
        """Pickle and copy what the user wrote; the read-only mappings are made again."""
        options = (self.variable_components, self.group_by, dict(self.inputs), self.save)
        return type(self), (self.func, self.name, *options, self.framework)


class Pipeline(list[FunctionStep]):
    """The steps of an analysis, in order: a list with a name.

    Parameters
    ----------
    steps : iterable of FunctionStep
        The steps.
    name, description : str
        What the analysis is called and for; both are part of the plan's hash.
    """

    def __init__(
        self, steps: Iterable[FunctionStep] = (), *, name: str = "pipeline", description: str = ""
    ) -> None:
        super().__init__(steps)
        for step in self:
            if not isinstance(step, FunctionStep):
                raise PipelineError("a pipeline", f"its steps must be FunctionSteps, got {step!r}")
        self.name = name
        self.description = description


def _by_key(func: Pattern, where: str) -> dict[str | None, Chain]:
    if isinstance(func, Mapping):
        if not func:
            raise PipelineError(where, "func is an empty dict; name at least one channel")
        return {str(key): _chain(pattern, where) for key, pattern in func.items()}
    return {None: _chain(func, where)}


def _chain(pattern: Pattern, where: str) -> Chain:
    if _is_call(pattern):
        return (_call(pattern, where),)
    if isinstance(pattern, Sequence) and not isinstance(pattern, str) and pattern:
        return tuple(_call(part, where) for part in pattern)
    raise PipelineError(where, f"{_FORMS}, got {pattern!r}")


_FORMS = "func must be a function, (function, {arguments}), a list of these, or a dict of them"


def _is_call(pattern: Pattern) -> bool:
    """Return whether a pattern is one function, alone or with its arguments.

    TOML has no tuples, so ``["tophat", {radius_px = 25}]`` is a call, and a chain of two
    is ``["tophat", "gaussian_blur"]``.
    """
    if isinstance(pattern, str) or callable(pattern):
        return True
    is_pair = isinstance(pattern, list | tuple) and len(pattern) == 2
    return is_pair and isinstance(pattern[1], Mapping)


def _call(pattern: Pattern, where: str) -> Call:
    if not _is_call(pattern):
        raise PipelineError(where, f"{_FORMS}, got {pattern!r}")
    function, arguments = pattern if isinstance(pattern, list | tuple) else (pattern, {})
    if not (isinstance(function, str) and function) and not callable(function):
        raise PipelineError(where, f"{function!r} is neither a kernel's name nor a function")
    return Call(function, MappingProxyType({str(name): v for name, v in arguments.items()}))


def _inputs(inputs: Mapping[str, Any], where: str) -> dict[str, str]:
    for name, source in inputs.items():
        if not isinstance(source, str):
            raise PipelineError(where, f'input {name} must be text, "Step.labels", got {source!r}')
    return dict(inputs)


def _component(value: object, where: str) -> Component:
    known = [component for component in get_args(Component) if component != "well"]
    word = str(value)
    for component in known:
        if component == word:
            return component  # type: ignore[no-any-return]
    raise PipelineError(where, f"{word!r} is no component (available: {', '.join(known)})")


def _check_options(step: FunctionStep, where: str) -> None:
    """Refuse options that are of another kind than a step's."""
    for option in ("name", "group_by", "framework"):
        value = getattr(step, option)
        if value is not None and not isinstance(value, str):
            raise PipelineError(where, f"{option} must be text, got {value!r}")
    for option in ("variable_components", "save"):
        value = getattr(step, option)
        words = value if isinstance(value, list | tuple) else (None,)
        if value is not None and not all(isinstance(word, str) for word in words):
            raise PipelineError(where, f"{option} must be a list of words, got {value!r}")
    if not isinstance(step.inputs, Mapping):
        raise PipelineError(where, f"inputs must be a table, got {step.inputs!r}")


def _plain_name(name: str, where: str) -> str:
    """Return a name that can stand in a path, in a line and in ``Step.labels``."""
    is_plain = name.isprintable() and name.strip(". ") == name and len(name.encode()) <= _LONGEST
    if not name or not is_plain or any(c in name for c in './\\:*?"<>|'):
        shown = name if len(name) <= _LONGEST else f"{name[:20]}..."
        reason = f"{shown!r} cannot be a step's name: it becomes part of paths, use a few words"
        raise PipelineError(where, reason)
    return name
