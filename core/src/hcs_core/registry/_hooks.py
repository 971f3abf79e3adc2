"""Hooks: tell everybody of an event, whoever that is.

A lookup by key has one answer, and is a `Registry`; an event has any number of observers,
or none. Observers are functions in entry points of the group ``hcs.hooks.v1``, under the
key ``<hook>.<plugin>``, so that an event imports the modules that observe it and no other.
pluggy calls them, and is imported when the first event has an observer.

No lock is held: what calls the observers is made complete before it is assigned, so two
threads may both make it, and come to the same.
"""

from __future__ import annotations

import sys
from _thread import get_ident  # built into the interpreter; threading costs 4 ms
from itertools import count

from hcs_core.registry._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from pluggy import HookimplMarker

    Function: TypeAlias = Callable[..., object]
    hookimpl: HookimplMarker

OBSERVERS: Registry[Function] = Registry("hcs.hooks", api=1, doc="observers of events")

_VARIADIC = 0x04 | 0x08  # inspect.CO_VARARGS and CO_VARKEYWORDS
_PROJECT = "hcs"  # the name that pluggy's markers carry: hcs_spec, hcs_impl


class ObserverFailure:
    """An observer that failed and was passed over; as text, one line for people.

    Attributes
    ----------
    hook, observer : str
        Which observer of which event.
    origin : str
        The distribution and version that it comes from, or ``this process``.
    action : str
        What it did: ``failed``, ``cannot be loaded`` or ``cannot be called``.
    reason : str
        Why, in one line.
    cause : BaseException or None
        What it raised, where it failed.
    kind : object
        Equal for failures of one kind, which are told once: their texts may differ in the
        number of a unit.
    """

    __slots__ = ("action", "cause", "hook", "kind", "observer", "origin", "reason")

    def __init__(
        self,
        hook: str,
        observer: str,
        origin: str,
        action: str,
        reason: str,
        cause: BaseException | None = None,
        number: int = 0,
    ) -> None:
        self.hook = hook
        self.observer = observer
        self.origin = origin
        self.action = action
        self.reason = reason
        self.cause = cause
        self.kind: object = (hook, observer, origin, number, action, type(cause).__name__)

    def __str__(self) -> str:
        return (
            f"observer {self.observer!r} of {self.hook} ({self.origin}) {self.action}: "
            f"{self.reason}; it is passed over, all else goes on"
        )


class Connection:
    """An observer of this process, from `Hook.connect`; as a context, for one block."""

    __slots__ = ("_hook", "_observer")

    def __init__(self, hook: Hook, observer: _Observer) -> None:
        self._hook = hook
        self._observer = observer

    def disconnect(self) -> None:
        """Tell this observer of nothing more; to do so again changes nothing."""
        self._hook._remove(self._observer)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self.disconnect()


class Hook:
    """An event that others may observe; calling it tells all of them.

    The package that calls a hook declares it, by a function without a body, whose name
    is the hook's, whose arguments are what observers are told, and whose docstring says
    when that is.

    An observer may take fewer arguments, and is given those by name. Whatever it raises,
    short of Ctrl-C, and whatever its import raises, is told in a `PluginWarning`, once
    for each kind of failure, and stops neither the others nor the caller. It is not told
    of events that it causes itself.

    Parameters
    ----------
    spec : function
        What declares the hook.

    Attributes
    ----------
    name : str
        The hook, as entry points name it.
    doc : str
        The first line of its docstring.
    arguments : tuple of str
        What observers may take.

    Examples
    --------
    >>> def hcs_cell_found(cell, plane):
    ...     "Tell that a cell has been found."
    >>> CELL_FOUND = Hook(hcs_cell_found)
    >>> CELL_FOUND(cell=1, plane="A01")
    ()
    >>> with CELL_FOUND.connect(lambda cell: f"saw {cell}"):
    ...     CELL_FOUND(cell=2, plane="A01")
    ('saw 2',)
    """

    def __init__(self, spec: Callable[..., None]) -> None:
        code: Any = getattr(spec, "__code__", None)
        odd = code is None or code.co_kwonlyargcount or code.co_flags & _VARIADIC
        if odd or spec.__defaults__ or "self" in code.co_varnames[: code.co_argcount]:
            wanted = "a function of named arguments without defaults, none of them self"
            raise TypeError(f"the spec of a hook is {wanted}, got {spec!r}")
        self.spec = spec
        self.name = spec.__name__
        self.doc = (spec.__doc__ or "").strip().partition("\n")[0]
        self.arguments: tuple[str, ...] = code.co_varnames[: code.co_argcount]
        self._names = frozenset(self.arguments)
        self._prefix = f"{self.name}."
        self._declared: dict[str, _Observer] = {}  # by key, as far as they have been loaded
        self._connected: dict[_Observer, None] = {}  # in this order
        self._caller: _Caller | None = None
        self._told: dict[object, object] = {}
        _KNOWN[self.name] = self

    def __call__(
        self, report: Callable[[ObserverFailure], object] | None = None, /, **arguments: object
    ) -> tuple[object, ...]:
        """Tell every observer, and return what they return, without None.

        Those of entry points are called in the order of their keys, those of this process
        after them; ``hookimpl(tryfirst=True)`` comes first, ``trylast=True`` last.

        Parameters
        ----------
        report : callable, optional
            Is told of each failure of an observer, beside the warning.
        **arguments
            All of the hook's arguments.
        """
        if arguments.keys() != self._names:
            wanted, got = ", ".join(self.arguments), ", ".join(arguments)
            raise TypeError(f"{self.name} is called with {wanted}, got {got}")
        observers = self._observers()
        if not observers:
            return ()
        caller = self._caller
        if caller is None or caller.observers != observers:
            self._caller = caller = _Caller(self, observers)
        results, failures = caller.call(arguments)
        for failure in failures:
            self._tell(failure, report)
        return results

    def connect(self, function: Function) -> Connection:
        """Add an observer of this process: a progress bar, a notebook's, a test's.

        Parameters
        ----------
        function : callable
            Takes some of the hook's arguments.

        Returns
        -------
        Connection
            A context, after which the function is told nothing more; outside of a
            ``with`` statement until `Connection.disconnect`.

        Raises
        ------
        ParameterError
            If the function cannot be called with the hook's arguments.
        """
        observer = _Observer(self, _name_of(function), number=next(_numbers))
        observer.prepare(function)
        if observer.fault is not None:
            from hcs_core.errors import ParameterError, listed

            wanted = f"a function of some of {listed(self.arguments)} ({observer.fault.reason})"
            raise ParameterError(f"{self.name}.connect", "function", function, wanted)
        self._connected[observer] = None
        return Connection(self, observer)

    def __repr__(self) -> str:
        return f"Hook({self.name}: {', '.join(self.arguments)})"

    def _observers(self) -> tuple[_Observer, ...]:
        """Return who observes now; another plugin or function is another observer."""
        found = [self._declared_observer(key) for key in OBSERVERS if key.startswith(self._prefix)]
        if not found and self._declared:
            self._declared, self._caller = {}, None
        return (*[observer for observer in found if observer], *tuple(self._connected))

    def _declared_observer(self, key: str) -> _Observer | None:
        """Return the observer of a key, loaded if that is new; None where it has just gone."""
        observer = self._declared.get(key)
        try:
            if observer is None or not observer.is_declared_by(key):
                observer = self._declared[key] = _loaded(self, key)
        except KeyError:  # UnknownPluginError: another thread has refreshed the registry
            return None
        return observer

    def _remove(self, observer: _Observer) -> None:
        self._connected.pop(observer, None)
        self._caller = None  # it holds the function, and what that holds

    def _tell(
        self, failure: ObserverFailure, report: Callable[[ObserverFailure], object] | None
    ) -> None:
        """Report a failure, and warn of it when it is the first of its kind."""
        if report is not None:
            report(failure)
        first = object()
        if self._told.setdefault(failure.kind, first) is first:
            _warn(failure)


def hooks() -> dict[str, Hook]:
    """Return the hooks that are declared in this process, by name."""
    return dict(sorted(_KNOWN.items()))


def __getattr__(name: str) -> Any:
    """Make `hookimpl` when it is asked for: pluggy takes 25 ms to import."""
    if name != "hookimpl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pluggy import HookimplMarker

    return globals().setdefault(name, HookimplMarker(_PROJECT))


class _Observer:
    """One observer of a hook; `fault` says why it cannot be called."""

    def __init__(
        self, hook: Hook, name: str, origin: str = "this process", value: str = "", number: int = 0
    ) -> None:
        self.fault: ObserverFailure | None = None
        self.is_first = self.is_last = False
        self._hook = hook
        self._name = name
        self._identity = origin, value
        self._number = number  # a function that is corrected and connected again is another
        self._function: Function | None = None
        self._taken: tuple[str, ...] = ()
        self._inside: set[int] = set()  # threads that it is running in

    def is_declared_by(self, key: str) -> bool:
        """Return whether the registry still has this observer under a key."""
        if self._function is not None:
            try:
                return OBSERVERS[key] is self._function
            except (ImportError, LookupError):  # what has come in its place is broken, or two
                return False
        info = OBSERVERS.info(key)
        # One that is no longer broken has been mended.
        return (info.origin, info.value) == self._identity and info.state in ("broken", "conflict")

    def prepare(self, function: Function) -> None:
        """See what the function takes, and whether it can be an observer."""
        self._function = function
        try:
            self._taken = _taken(function, self._hook.arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # noqa: BLE001 - a signature is foreign code too
            self.refuse("cannot be called", _line(cause).removeprefix("TypeError: "))
            return
        options = _options(function)
        self.is_first, self.is_last = bool(options.get("tryfirst")), bool(options.get("trylast"))

    def refuse(self, action: str, reason: str) -> None:
        """Keep why it is not called, without the error: a traceback holds its caller's arrays."""
        self.fault = self._failure(action, reason)

    def call(self, arguments: dict[str, object]) -> object:
        """Return what the observer returns, or how it failed."""
        thread = get_ident()
        if self._function is None or thread in self._inside:
            return None  # one that opens a plate when a plate is opened would never end
        self._inside.add(thread)
        try:
            return self._function(**{name: arguments[name] for name in self._taken})
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # noqa: BLE001 - foreign code, sys.exit() and all
            return self._failure("failed", _line(cause), cause)
        finally:
            self._inside.discard(thread)

    def _failure(
        self, action: str, reason: str, cause: BaseException | None = None
    ) -> ObserverFailure:
        name, origin = self._name, self._identity[0]
        return ObserverFailure(self._hook.name, name, origin, action, reason, cause, self._number)


def _loaded(hook: Hook, key: str) -> _Observer:
    """Return the observer of an entry point, importing its module."""
    from hcs_core.errors import PluginLoadError, UnknownPluginError

    info = OBSERVERS.info(key)
    observer = _Observer(hook, key.removeprefix(f"{hook.name}."), info.origin, info.value)
    try:
        observer.prepare(OBSERVERS[key])
    except (UnknownPluginError, KeyboardInterrupt):
        raise
    except BaseException as cause:  # noqa: BLE001 - foreign code; it is recorded
        reason = cause.cause if isinstance(cause, PluginLoadError) else _line(cause)
        observer.refuse("cannot be loaded", reason)
    return observer


class _Caller:
    """What calls the observers that a hook has at one time; never changed."""

    def __init__(self, hook: Hook, observers: tuple[_Observer, ...]) -> None:
        self.observers = observers
        self._faults = [observer.fault for observer in observers if observer.fault]
        self._call = _pluggy_caller(hook, [each for each in observers if not each.fault])

    def call(
        self, arguments: dict[str, object]
    ) -> tuple[tuple[object, ...], list[ObserverFailure]]:
        """Call every observer; return what they return, and how the others failed."""
        results = self._call(**arguments)
        failures = [result for result in results if isinstance(result, ObserverFailure)]
        if failures:
            results = [result for result in results if not isinstance(result, ObserverFailure)]
        return tuple(results), [*self._faults, *failures]


def _pluggy_caller(hook: Hook, observers: list[_Observer]) -> Callable[..., list[object]]:
    """Return pluggy's function that calls the observers in their order."""
    from types import ModuleType, SimpleNamespace

    from pluggy import HookimplMarker, HookspecMarker, PluginManager

    manager = PluginManager(_PROJECT)
    specs = ModuleType(hook.spec.__module__)
    setattr(specs, hook.name, HookspecMarker(_PROJECT)(hook.spec))
    manager.add_hookspecs(specs)
    mark = HookimplMarker(_PROJECT)
    for observer in reversed(observers):  # pluggy calls the last one first
        guard = mark(_guard(hook, observer), tryfirst=observer.is_first, trylast=observer.is_last)
        manager.register(SimpleNamespace(**{hook.name: guard}))
    caller: Callable[..., list[object]] = getattr(manager.hook, hook.name)
    return caller


def _guard(hook: Hook, observer: _Observer) -> Function:
    """Return a function that pluggy gives all arguments, in the order of the spec."""

    def guard(*values: object) -> object:
        return observer.call(dict(zip(hook.arguments, values, strict=True)))

    # pluggy reads argument names from signatures or from code objects, as its version is;
    # both look through this. What the observer takes is read here, alike for every callable.
    guard.__wrapped__ = hook.spec  # type: ignore[attr-defined]
    return guard


def _taken(function: object, offered: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of the offered arguments an observer takes.

    Raises
    ------
    TypeError
        If it can be no observer of them.
    """
    import inspect

    if not callable(function):
        raise TypeError(f"it is no function but {type(function).__name__}")
    options = _options(function)
    if options.get("wrapper") or options.get("hookwrapper"):
        raise TypeError("it is a wrapper, and an observer cannot wrap")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise TypeError("it is a generator or coroutine, of which a call runs nothing")
    parameters = _signature(function).parameters.values()
    unknown = [p.name for p in parameters if _is_needed(p) and p.name not in offered]
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and _is_needed(p)]
    if unknown or by_position:
        wrong = ", ".join(unknown or by_position)
        raise TypeError(f"it asks for {wrong}; by name it can have {', '.join(offered)}")
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return offered
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return tuple(name for name in offered if name in by_name)


def _signature(function: Function) -> Any:
    import inspect

    try:
        if sys.version_info >= (3, 14):  # an annotation may name what only type checkers import
            from annotationlib import Format

            return inspect.signature(function, annotation_format=Format.STRING)
        return inspect.signature(function)
    except ValueError as cause:  # some functions that are written in C
        raise TypeError("which arguments it takes cannot be read") from cause


def _is_needed(parameter: Any) -> bool:
    kinds = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.kind not in kinds and parameter.default is parameter.empty


def _options(function: object) -> dict[str, Any]:
    """Return what `hookimpl` says of a function; one that it has not marked is as good."""
    options = getattr(function, f"{_PROJECT}_impl", None)
    return options if isinstance(options, dict) else {}


def _name_of(function: object) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _line(cause: BaseException) -> str:
    from hcs_core.errors import one_line

    return one_line(cause)


def _warn(failure: ObserverFailure) -> None:
    import warnings

    from hcs_core.errors import PluginWarning

    try:
        warnings.warn(str(failure), PluginWarning, stacklevel=4)
    # Where warnings are errors, or cannot be shown, a report must still not stop a run.
    except Exception:  # noqa: BLE001 - the failure is told in another way
        import logging

        logging.getLogger(__name__).warning("%s", failure)


_KNOWN: dict[str, Hook] = {}
_numbers = count(1)
