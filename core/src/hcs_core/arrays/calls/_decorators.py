"""Decorators that attach a contract to a user's function, and call it as that says."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypedDict, TypeVar, Unpack, overload

from hcs_core.arrays.calls._calling import decorated
from hcs_core.arrays.calls._contract import (
    DtypePolicy,
    FunctionContract,
    OomPolicy,
    StackMode,
    Value,
    ValueKind,
    contract_of,
)
from hcs_core.errors import ContractError, NotAFunctionError, ParameterError, listed, near

F = TypeVar("F", bound=Callable[..., Any])

_KIND_OF_NAME: dict[str, ValueKind] = {
    "labels": "labels",
    "table": "table",
    "positions": "positions",
}
_IMAGE: ValueKind = "image"
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Options(TypedDict, total=False):
    """What every decorator takes; `memory_types` says what each means."""

    images: tuple[str, ...]
    outputs: tuple[ValueKind, ...]
    dtype: DtypePolicy
    stack: StackMode
    context: tuple[str, ...]
    device: str | None
    slice_by_slice: bool
    oom: OomPolicy
    enforce_3d: bool
    writable: bool


@overload
def memory_types(function: F, /) -> F: ...
@overload
def memory_types(
    *, input: str = ..., output: str | None = ..., **options: Unpack[Options]
) -> Callable[[F], F]: ...
def memory_types(
    function: F | None = None,
    /,
    *,
    input: str = "numpy",
    output: str | None = None,
    **options: Unpack[Options],
) -> F | Callable[[F], F]:
    """Declare which arrays a function takes and returns; any others are converted.

    The first argument is the image, or what it is called after. Arguments called
    ``labels``, ``table`` or ``positions`` take these. All other arguments are parameters,
    and reach the function as they are. Images and labels may be arrays of any installed
    framework, given by position or by name; where ``labels`` may be left out, it may be
    None. Tables and positions are passed as they are, arrays or not.

    Arrays that are not of the framework go to one device: that of the first one that is of
    it, else as `convert` does. What is of it already is passed as it is, also what stands for
    an array while ``jax.jit``, ``torch.vmap`` or ``tf.function`` trace a function. Name,
    signature, docstring and annotations are the function's, which ``__wrapped__`` gives.

    Parameters
    ----------
    input : str
        The framework that the function is written in, by its key in ``ARRAYS``.
    output : str, optional
        The framework that images and labels are returned in; by default the same.
    images : tuple of str
        Names of further arguments that are images, such as a background.
    outputs : tuple of {"image", "labels", "table", "positions"}
        What it returns, in order; several are returned as a tuple, of its type if that is
        a named one.
    dtype : {"native", "preserve", "scale", "float32", "int32"}
        The dtype of an image that comes out, as in `FunctionContract`; labels keep theirs.
    stack : {"per_plane", "across", "volume"}
        How it treats the planes of one call, as in `FunctionContract`.
    context : tuple of str
        Facts of the plate that it takes as keyword arguments, such as ``"pixel_size_um"``.
    device : str, optional
        Where it runs, such as ``"cuda:1"``; by default where its first array lies.
    slice_by_slice : bool
        Give a stack (n, y, x) to it plane by plane. Stacks of labels go along; a plane is
        given whole each time. Images and labels come back as stacks, anything else as a
        tuple of what it returned for each plane.
    oom : OomPolicy
        What is done when it runs out of memory: by default the memory that frameworks keep
        unused is freed and it is called once more. Where you say ``stack="per_plane"``, or
        ``OomPolicy(split=True)``, it is then called with ever fewer planes, if only images
        and labels come out. A function that writes into its arguments needs
        ``OomPolicy(retries=0, split=False)``.
    enforce_3d : bool
        Refuse images that are no stacks (n, y, x).
    writable : bool
        Whether it may write into its arguments. True promises nothing: what is read-only
        stays so, as NumPy tells a function that writes into it, and frameworks that cannot
        get a copy; anything else may be the caller's own memory, as without a decorator.
        False is your promise that it does not write: read-only memory is then shared
        instead of copied, and an array that it returns of that is read-only, or copied for
        a framework that cannot mark it.

    Raises
    ------
    NotAFunctionError
        If it is a bound method, a class, a builtin, a ``functools.partial`` or another
        object that can be called, a coroutine or a generator, or has a contract already.
    ContractError, ParameterError
        If it takes no array, or an option contradicts the function or another option.

    Examples
    --------
    >>> @memory_types(input="torch", output="numpy", dtype="preserve")
    ... def brightest(stack):
    ...     return stack.float().amax(dim=0)  # torch computes little with uint16
    """
    return _declared("memory_types", input, output or input, function, options)


@overload
def numpy(function: F, /) -> F: ...
@overload
def numpy(**options: Unpack[Options]) -> Callable[[F], F]: ...
def numpy(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns NumPy arrays; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @numpy(stack="across")
    ... def mean_of(stack):
    ...     return stack.mean(axis=0)
    """
    return _declared("numpy", "numpy", "numpy", function, options)


@overload
def torch(function: F, /) -> F: ...
@overload
def torch(**options: Unpack[Options]) -> Callable[[F], F]: ...
def torch(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns tensors of PyTorch; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @torch(device="cuda", dtype="preserve")
    ... def halved(image):
    ...     return image / 2
    """
    return _declared("torch", "torch", "torch", function, options)


@overload
def cupy(function: F, /) -> F: ...
@overload
def cupy(**options: Unpack[Options]) -> Callable[[F], F]: ...
def cupy(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns CuPy arrays; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @cupy(stack="across")
    ... def mean_of(stack):
    ...     return stack.mean(axis=0)
    """
    return _declared("cupy", "cupy", "cupy", function, options)


@overload
def tensorflow(function: F, /) -> F: ...
@overload
def tensorflow(**options: Unpack[Options]) -> Callable[[F], F]: ...
def tensorflow(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns tensors of TensorFlow; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @tensorflow(dtype="float32")
    ... def doubled(image):
    ...     return image * 2
    """
    return _declared("tensorflow", "tensorflow", "tensorflow", function, options)


@overload
def jax(function: F, /) -> F: ...
@overload
def jax(**options: Unpack[Options]) -> Callable[[F], F]: ...
def jax(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns JAX arrays; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @jax(stack="across")
    ... def mean_of(stack):
    ...     return stack.mean(axis=0)
    """
    return _declared("jax", "jax", "jax", function, options)


@overload
def pyclesperanto(function: F, /) -> F: ...
@overload
def pyclesperanto(**options: Unpack[Options]) -> Callable[[F], F]: ...
def pyclesperanto(function: F | None = None, /, **options: Unpack[Options]) -> F | Callable[[F], F]:
    """Declare that a function takes and returns pyclesperanto's images; others are converted.

    Parameters
    ----------
    **options
        As for `memory_types`.

    Examples
    --------
    >>> @pyclesperanto(device="opencl:0")
    ... def smooth(image):
    ...     return cle.gaussian_blur(image, sigma_x=2, sigma_y=2)
    """
    return _declared("pyclesperanto", "pyclesperanto", "pyclesperanto", function, options)


def _declared(
    decorator: str, memory_in: str, memory_out: str, function: F | None, options: Options
) -> F | Callable[[F], F]:
    """Return the decorated function, or what decorates one where none is given yet."""

    def attach(function: F) -> F:
        _refuse_other_callables(decorator, function)
        _check_options(decorator, options)
        given: dict[str, Any] = {**options, "oom": _settled(options)}
        kinds, images = given.pop("outputs", ("image",)), given.pop("images", ())
        contract = FunctionContract(
            memory_in=memory_in,
            memory_out=memory_out,
            inputs=_inputs_of(decorator, function, images, options.get("context", ())),
            outputs=_outputs(kinds),
            **given,
        )
        return decorated(function, contract)

    return attach if function is None else attach(function)


def _settled(options: Options) -> OomPolicy:
    """Return the policy for lacks of memory, which says now whether a call may be split."""
    policy = options.get("oom", OomPolicy())
    if policy.split is not None:
        return policy
    # Nobody who left `stack` out has said that planes have nothing to do with each other.
    return replace(policy, split=options.get("stack") == "per_plane")


def _check_options(decorator: str, options: Options) -> None:
    """Refuse options that there are not, and one text where several are asked for."""
    known = tuple(Options.__annotations__)
    for name, value in options.items():
        if name not in known:
            wanted = f"left out: its options are {listed(known)}{near(name, known)}"
            raise ParameterError(f"@{decorator}", name, value, wanted)
    if not isinstance(options.get("oom", OomPolicy()), OomPolicy):
        raise ParameterError(f"@{decorator}", "oom", options.get("oom"), "an OomPolicy")
    # Each letter of a text would be taken for one.
    for name in ("images", "outputs", "context"):
        value = options.get(name)
        if isinstance(value, str):
            raise ParameterError(f"@{decorator}", name, value, f"a tuple, as in ({value!r},)")


def _outputs(kinds: tuple[ValueKind, ...]) -> tuple[Value, ...]:
    """Return outputs called after their kinds, the second image ``image_2`` and so on."""
    counts = Counter[str]()
    outputs = []
    for kind in kinds:
        counts[kind] += 1
        outputs.append(Value(f"{kind}_{counts[kind]}" if counts[kind] > 1 else kind, kind))
    return tuple(outputs)


def _refuse_other_callables(decorator: str, function: Any) -> None:
    """Refuse what has no name of its own to be found by, and what a call does not run."""
    if isinstance(function, str):
        found = f"the text {function!r} (its options go by name, as dtype='preserve' does)"
        raise NotAFunctionError(decorator, found)
    if inspect.ismethod(function):
        raise NotAFunctionError(decorator, f"the bound method {function.__qualname__}")
    if isinstance(function, staticmethod):
        found = f"the static method {function.__qualname__} (write @staticmethod above it)"
        raise NotAFunctionError(decorator, found)
    if isinstance(function, classmethod):
        raise NotAFunctionError(decorator, f"the class method {function.__qualname__}")
    if isinstance(function, type):
        raise NotAFunctionError(decorator, f"the class {function.__qualname__}")
    if inspect.isbuiltin(function) or not hasattr(function, "__qualname__"):
        kind = type(function)
        found = f"an object of type {kind.__module__}.{kind.__qualname__}"
        raise NotAFunctionError(decorator, found)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise NotAFunctionError(decorator, f"the coroutine {function.__qualname__}")
    if inspect.isgeneratorfunction(function):
        raise NotAFunctionError(decorator, f"the generator {function.__qualname__}")
    if contract_of(function) is not None:
        found = f"{function.__qualname__}, which has been decorated already"
        raise NotAFunctionError(decorator, found)


def _inputs_of(
    decorator: str, function: Callable[..., Any], images: tuple[str, ...], context: tuple[str, ...]
) -> tuple[Value, ...]:
    """Return the array arguments: the first one, and those named or called after a kind."""
    parameters = inspect.signature(function).parameters.values()
    free = [p for p in parameters if p.name not in context and p.kind not in _COLLECTING]
    if not free or free[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ContractError("input", ())
    if free[0].name in ("self", "cls"):
        raise NotAFunctionError(decorator, f"the method {function.__qualname__}")
    first, *others = (parameter.name for parameter in free)
    if not {*images} <= {first, *others}:
        wanted = f"names of its arguments ({listed([first, *others])})"
        raise ParameterError(function.__qualname__, "images", images, wanted)
    kinds = _KIND_OF_NAME | dict.fromkeys(images, _IMAGE)
    known = [Value(name, kinds[name]) for name in others if name in kinds]
    return (Value(first, kinds.get(first, "image")), *known)
