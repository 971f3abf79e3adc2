"""One kernel: a function contract with a name, a category and described parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hcs_core.arrays import FunctionContract
from hcs_core.errors import FrameworkUnavailableError

# Tables of several channels are joined by it: a column of a table depends on the channel's
# pixels exactly when its name ends so; all others are the same for every channel.
PER_CHANNEL_SUFFIX = "_intensity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a kernel that a user may set.

    Parameters
    ----------
    name : str
        Its keyword, with the unit at the end where it has one: ``radius_px``.
    type : type
        ``int``, ``float``, ``bool`` or ``str``. An int is accepted for a float; infinity
        and NaN are not.
    default : object
        The value when the user says nothing; ``None`` where the kernel derives it.
    doc : str
        One line for the user.
    unit : str
        Its unit, such as ``"px"`` or ``"um"``; empty where it has none.
    minimum, maximum : float, optional
        The closed range of a number.
    choices : tuple of str
        The words allowed for a ``str``; empty when any is.
    required : bool
        Whether the user must give it; `default` then means nothing.
    """

    name: str
    type: type
    default: Any = None
    doc: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    def problem_with(self, value: object) -> str | None:
        """Return what is wrong with `value` for this parameter, or None."""
        if value is None:
            return None if self.default is None and not self.required else "must not be empty"
        accepted = (int, float) if self.type is float else (self.type,)
        is_unasked_bool = isinstance(value, bool) and self.type is not bool
        if not isinstance(value, accepted) or is_unasked_bool:
            return f"must be {self.type.__name__}, got {type(value).__name__} {value!r}"
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(self.choices)}, got {value!r}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"must be a finite number, got {value!r}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._range_problem(value)
        return None

    def _range_problem(self, value: float) -> str | None:
        low_ok = self.minimum is None or value >= self.minimum
        high_ok = self.maximum is None or value <= self.maximum
        if low_ok and high_ok:
            return None
        low = "-inf" if self.minimum is None else f"{self.minimum:g}"
        high = "inf" if self.maximum is None else f"{self.maximum:g}"
        return f"must be between {low} and {high}, got {value!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel(FunctionContract):
    """A function contract that is catalogued under a name.

    Parameters
    ----------
    name : str
        The name that users type.
    category : str
        The chapter of the catalogue: intensity, filters, projection, objects, ...
    doc : str
        One line that says what comes out.
    parameters : tuple of Parameter
        What a user may set, in the order of the function's keywords.
    implementations : Mapping of str to str
        Framework name to ``"module:function"``; the first is the default. The
        module is imported when the kernel is first called.
    """

    name: str
    category: str
    doc: str
    parameters: tuple[Parameter, ...] = ()
    implementations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The array frameworks that the kernel runs on, the default first."""
        return tuple(self.implementations)

    def load(self, framework: str | None = None) -> Callable[..., Any]:
        """Import and return the function for `framework` (default: the first).

        Raises
        ------
        FrameworkUnavailableError
            If the kernel has no implementation for it.
        """
        wanted = framework or next(iter(self.implementations), "")
        target = self.implementations.get(wanted)
        if target is None:
            raise FrameworkUnavailableError(self.name, wanted, self.frameworks)
        module, _, attribute = target.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), attribute)
        return function
