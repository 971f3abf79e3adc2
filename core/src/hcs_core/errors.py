"""Every error that hcs raises on purpose, in one tree.

::

    HcsError
    ├── UsageError                  what was asked cannot be done as asked       exit code 2
    │   ├── UnknownPluginError      KeyError
    │   ├── PluginConflictError     LookupError
    │   ├── PluginLoadError         ImportError
    │   ├── SettingError            ValueError
    │   ├── UnknownKernelError      LookupError
    │   ├── FrameworkUnavailableError
    │   ├── DeviceNotFoundError     LookupError
    │   ├── PinnedMemoryError
    │   ├── FrameworkOrderError     ImportError
    │   ├── ContractError           ValueError
    │   ├── NotAFunctionError       TypeError
    │   ├── ParameterError          ValueError
    │   ├── UnknownFormatError      LookupError
    │   ├── CapabilityError         TypeError
    │   └── MissingLibraryError     ImportError
    ├── ArrayError
    │   ├── UnsupportedArrayError   TypeError
    │   ├── ShapeError              ValueError
    │   ├── DtypeError              TypeError
    │   ├── LossyConversionError    TypeError
    │   ├── UnscalableValuesError   ValueError
    │   ├── CopyRequiredError       BufferError
    │   ├── ResultError             TypeError
    │   └── OutOfMemory             MemoryError
    ├── StorageError                a store could not do it
    │   ├── KeyNotFoundError        FileNotFoundError
    │   ├── KeyExistsError          FileExistsError
    │   ├── InvalidKeyError         ValueError
    │   ├── UnsavableValueError     TypeError
    │   ├── StoreAccessError        OSError, keeps its errno                     exit code 75
    │   └── CorruptDataError        ValueError                                   exit code 65
    └── PlateError                  the plate is not what it should be           exit code 65
        ├── PlateNotFoundError      FileNotFoundError
        ├── NotAPlateError          ValueError
        ├── AmbiguousPlateError     ValueError
        ├── DuplicatePlanesError    ValueError
        ├── MissingPlaneError       FileNotFoundError
        └── DamagedPlaneError       ValueError

Every class hands its raw fields to ``super().__init__`` and builds its one line in
``__str__``, so that it survives pickling on the way back from a worker process. Addons
derive theirs from the nearest branch.
"""

from __future__ import annotations

from errno import EEXIST, ENOENT  # built into the interpreter: costs nothing

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone costs 7 ms; `import hcs_core` must stay light
    from typing import ClassVar

MOST_NAMES = 12


def listed(names: tuple[str, ...] | list[str], *, most: int = MOST_NAMES) -> str:
    """Return names as one readable phrase: ``a, b, c and 7 more``, or ``none``."""
    shown = ", ".join(names[:most])
    hidden = len(names) - most
    return f"{shown} and {hidden} more" if hidden > 0 else shown or "none"


def sized(nbytes: float) -> str:
    """Return a number of bytes as people read it: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} TiB"


def near(name: str, known: tuple[str, ...]) -> str:
    """Return ``; did you mean 'x'?`` where a known name is close to `name`, else nothing."""
    from difflib import get_close_matches  # 2 ms, only when something went wrong

    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def one_line(error: BaseException) -> str:
    """Return an error of foreign code in one line: its type, and the first words it says."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that fails to say itself is still one
        text = "(it has no text)"
    return f"{type(error).__name__}: {text.strip()}".partition("\n")[0].removesuffix(": ")


class HcsError(Exception):
    """Base of all errors raised on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(HcsError):
    """What was asked cannot be done as it was asked."""

    exit_code = 2


class UnknownPluginError(UsageError, KeyError):
    """No plugin of this kind is registered under the requested key."""

    def __init__(self, kind: str, key: str, known: tuple[str, ...], hint: str = "") -> None:
        super().__init__(kind, key, known, hint)
        self.kind, self.key, self.known, self.hint = kind, key, known, hint

    def __str__(self) -> str:
        advice = self.hint or (
            "pick one of these, or install the addon that provides it "
            "(one registered at run time is known to its own process alone)"
        )
        return (
            f"{self.kind} has no plugin {self.key!r}{near(str(self.key), self.known)} "
            f"(available: {listed(self.known)}); {advice}"
        )


class PluginConflictError(UsageError, LookupError):
    """Several distributions declare the same key, or it is taken already."""

    def __init__(self, kind: str, key: str, claims: tuple[str, ...], advice: str = "") -> None:
        super().__init__(kind, key, claims, advice)
        self.kind, self.key, self.claims, self.advice = kind, key, claims, advice

    def __str__(self) -> str:
        advice = self.advice or (
            "uninstall all but one, or say which you prefer: "
            f"HCS_PLUGINS_PREFER={self.kind.removeprefix('hcs.')}:{self.key}=DISTRIBUTION"
        )
        return f"{self.kind} key {self.key!r} is declared by {listed(self.claims)}; {advice}"


class PluginLoadError(UsageError, ImportError):
    """A declared plugin could not be imported, or is not what it declares."""

    def __init__(self, kind: str, key: str, origin: str, value: str, cause: str) -> None:
        super().__init__(kind, key, origin, value, cause)
        self.kind, self.key, self.origin, self.value, self.cause = kind, key, origin, value, cause

    def __str__(self) -> str:
        # An application's own package is named by its folder.
        advice = "mend it" if "/" in self.origin else "update or uninstall that distribution"
        return (
            f"{self.kind} plugin {self.key!r} of {self.origin} ({self.value}) cannot be loaded: "
            f"{self.cause}; {advice}, the others are not affected"
        )


class SettingError(UsageError, ValueError):
    """An environment variable or an entry of the configuration file says what it cannot."""

    def __init__(self, setting: str, value: str, wanted: str) -> None:
        super().__init__(setting, value, wanted)
        self.setting, self.value, self.wanted = setting, value, wanted

    def __str__(self) -> str:
        return f"{self.setting} is {self.value!r}, but must be {self.wanted}"


class PluginWarning(UserWarning):
    """A plugin or an observer failed and was passed over; all else goes on."""


class UnknownKernelError(UsageError, LookupError):
    """A kernel library has no kernel of this name."""

    def __init__(self, name: str, library: str, known: tuple[str, ...]) -> None:
        super().__init__(name, library, known)
        self.name, self.library, self.known = name, library, known

    def __str__(self) -> str:
        return (
            f"library {self.library!r} has no kernel {self.name!r}{near(self.name, self.known)} "
            f"(available: {listed(self.known, most=40)}); `hcs kernels list` shows them all"
        )


class FrameworkUnavailableError(UsageError):
    """Something does not exist on the requested array framework."""

    def __init__(self, name: str, framework: str, available: tuple[str, ...]) -> None:
        super().__init__(name, framework, available)
        self.name, self.framework, self.available = name, framework, available

    def __str__(self) -> str:
        return (
            f"{self.name} does not run on {self.framework!r} "
            f"(available: {listed(self.available)}); choose one of these frameworks"
        )


class DeviceNotFoundError(UsageError, LookupError):
    """An array framework has no such device here."""

    def __init__(self, device: str, framework: str, available: tuple[str, ...]) -> None:
        super().__init__(device, framework, available)
        self.device, self.framework, self.available = device, framework, available

    def __str__(self) -> str:
        advice = "name one of these" if self.available else "is its driver installed?"
        return (
            f"{self.framework} has no device {self.device!r} here "
            f"(available: {listed(self.available)}); {advice}"
        )


class PinnedMemoryError(UsageError):
    """No framework that is imported can page-lock host memory."""

    def __init__(self, imported: tuple[str, ...]) -> None:
        super().__init__(imported)
        self.imported = imported

    def __str__(self) -> str:
        return (
            "page-locked memory needs a framework that has a CUDA device and is imported in this "
            f"process (imported: {listed(self.imported)}); import one first, or leave pinned away"
        )


class FrameworkOrderError(UsageError, ImportError):
    """A framework cannot be imported after another one: the process would crash."""

    def __init__(self, framework: str, loaded: str) -> None:
        super().__init__(framework, loaded)
        self.framework, self.loaded = framework, loaded

    def __str__(self) -> str:
        return (
            f"{self.framework} cannot be loaded after {self.loaded}, which would crash the "
            f"process; import {self.framework} first, or use it in a process of its own"
        )


class ContractError(UsageError, ValueError):
    """A function contract names an argument or an output twice, or none at all."""

    def __init__(self, role: str, names: tuple[str, ...]) -> None:
        super().__init__(role, names)
        self.role, self.names = role, names

    def __str__(self) -> str:
        return (
            f"a function contract needs at least one {self.role}, each under its own name, "
            f"got {listed(self.names)}"
        )


class NotAFunctionError(UsageError, TypeError):
    """Something else than a function was given to a decorator of functions."""

    def __init__(self, decorator: str, found: str) -> None:
        super().__init__(decorator, found)
        self.decorator, self.found = decorator, found

    def __str__(self) -> str:
        return (
            f"@{self.decorator} decorates functions, got {self.found}; "
            "decorate a function written with def that calls it"
        )


class ParameterError(UsageError, ValueError):
    """A function was given a parameter that makes no sense for it."""

    def __init__(self, function: str, parameter: str, value: object, wanted: str) -> None:
        super().__init__(function, parameter, value, wanted)
        self.function, self.parameter, self.value, self.wanted = function, parameter, value, wanted

    def __str__(self) -> str:
        return f"{self.function}: {self.parameter} must be {self.wanted}, got {self.value!r}"


class UnknownFormatError(UsageError, LookupError):
    """No file format is registered for this file name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name, self.known = name, known

    def __str__(self) -> str:
        return (
            f"no file format reads or writes {self.name!r} (known extensions: "
            f"{listed(self.known, most=40)}); use one of these, or install an addon for it"
        )


class CapabilityError(UsageError, TypeError):
    """A backend was asked for something that it does not offer."""

    def __init__(self, backend: str, wanted: str) -> None:
        super().__init__(backend, wanted)
        self.backend, self.wanted = backend, wanted

    def __str__(self) -> str:
        return f"storage backend {self.backend!r} cannot {self.wanted}; choose another backend"


class MissingLibraryError(UsageError, ImportError):
    """An optional library is needed and not installed; `extra` of the core has it, if any."""

    def __init__(self, library: str, purpose: str, extra: str = "") -> None:
        super().__init__(library, purpose, extra)
        self.library, self.purpose, self.extra = library, purpose, extra

    def __str__(self) -> str:
        what = f'"./core[{self.extra}]"' if self.extra else self.library
        return (
            f"{self.purpose} needs {self.library}, which is not installed; "
            f"install it with: python -m pip install {what}"
        )


class ArrayError(HcsError):
    """An array is not what the operation needs."""


class UnsupportedArrayError(ArrayError, TypeError):
    """No installed adapter owns this kind of array, or it must not be handed on."""

    def __init__(self, found: str, known: tuple[str, ...], reason: str = "") -> None:
        super().__init__(found, known, reason)
        self.found, self.known, self.reason = found, known, reason

    def __str__(self) -> str:
        if self.reason:
            return f"cannot take {self.found}: {self.reason}"
        return (
            f"cannot take {self.found}, which is no array of a known framework "
            f"({listed(self.known)}); make one of it first"
        )


class ShapeError(ArrayError, ValueError):
    """An array has another shape than the operation needs."""

    def __init__(self, wanted: str, shape: tuple[int, ...]) -> None:
        super().__init__(wanted, shape)
        self.wanted, self.shape = wanted, shape

    def __str__(self) -> str:
        return f"needs {self.wanted}, got shape {self.shape}"


class DtypeError(ArrayError, TypeError):
    """An array has a dtype that the operation does not take."""

    def __init__(self, operation: str, dtype: str, accepted: str) -> None:
        super().__init__(operation, dtype, accepted)
        self.operation, self.dtype, self.accepted = operation, dtype, accepted

    def __str__(self) -> str:
        return f"{self.operation} takes {self.accepted}, got {self.dtype}; convert it first"


class LossyConversionError(ArrayError, TypeError):
    """A conversion would change values and was not asked to."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(source, target)
        self.source, self.target = source, target

    def __str__(self) -> str:
        return (
            f"converting {self.source} to {self.target} can change values; "
            "pass a weaker casting, 'same_kind' or 'unsafe', if that is what you want"
        )


class UnscalableValuesError(ArrayError, ValueError):
    """An array holds values that have no place in the dtype that it is rescaled to."""

    def __init__(self, count: int, found: str, target: str, advice: str) -> None:
        super().__init__(count, found, target, advice)
        self.count, self.found, self.target, self.advice = count, found, target, advice

    def __str__(self) -> str:
        return f"{self.target} has no place for {self.count} {self.found}; {self.advice}"


class CopyRequiredError(ArrayError, BufferError):
    """``copy=False`` was asked for and the memory cannot be shared."""

    def __init__(self, source: str, target: str, reason: str) -> None:
        super().__init__(source, target, reason)
        self.source, self.target, self.reason = source, target, reason

    def __str__(self) -> str:
        return (
            f"{self.source} cannot become {self.target} without a copy: {self.reason}; "
            "pass copy=None to allow one"
        )


class ResultError(ArrayError, TypeError):
    """A decorated function returned something else than its contract says."""

    def __init__(self, function: str, found: str, wanted: str) -> None:
        super().__init__(function, found, wanted)
        self.function, self.found, self.wanted = function, found, wanted

    def __str__(self) -> str:
        return (
            f"{self.function} returned {self.found}, not {self.wanted}; "
            "return that, or say in its decorator what it returns"
        )


class OutOfMemory(ArrayError, MemoryError):  # noqa: N818 - named as people speak of it
    """A function found too little memory, also after other memory had been freed.

    Parameters
    ----------
    function : str
        The function that was called.
    device : str
        Where the memory was lacking.
    requested : int, optional
        How many bytes it asked for the first time, where the framework says so.
    freed : int
        How many bytes were given back in between, as far as the frameworks tell.
    attempts : int
        How often the function was called.
    free, total : int, optional
        Bytes that are free on the device, and its size, where that is known.
    """

    def __init__(
        self,
        function: str,
        device: str,
        requested: int | None,
        freed: int,
        attempts: int,
        free: int | None = None,
        total: int | None = None,
    ) -> None:
        super().__init__(function, device, requested, freed, attempts, free, total)
        self.function, self.device, self.requested = function, device, requested
        self.freed, self.attempts = freed, attempts
        self.free, self.total = free, total

    def __str__(self) -> str:
        numbers = [f"tried {self.attempts} times" if self.attempts != 1 else "tried once"]
        if self.requested is not None:
            numbers.append(f"asked for {sized(self.requested)}")
        numbers.append(f"{sized(self.freed)} were freed in between")
        if self.free is not None and self.total is not None:
            numbers.append(f"{sized(self.free)} of {sized(self.total)} are free")
        return (
            f"{self.function} ran out of memory on {self.device}: {', '.join(numbers)}; give it "
            "fewer or smaller planes at once, or free what else holds memory there"
        )


class StorageError(HcsError):
    """A store could not do what it was asked."""


class KeyNotFoundError(StorageError, FileNotFoundError):
    """Nothing is stored under this key."""

    def __init__(self, key: str, store: str) -> None:
        super().__init__(key, store)
        self.errno = ENOENT  # OSError has taken the key for it
        self.key, self.store = key, store

    def __str__(self) -> str:
        return f"nothing is stored under {self.key!r} in {self.store}"


class KeyExistsError(StorageError, FileExistsError):
    """The key is taken, and replacing was not asked for."""

    def __init__(self, key: str, store: str) -> None:
        super().__init__(key, store)
        self.errno = EEXIST  # OSError has taken the key for it
        self.key, self.store = key, store

    def __str__(self) -> str:
        return f"{self.key!r} exists already in {self.store}; pass mode='replace' to replace it"


class InvalidKeyError(StorageError, ValueError):
    """A key is not a relative path below the store's root, or stands twice in a batch."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key!r} is not a usable key: {self.reason}"


class UnsavableValueError(StorageError, TypeError):
    """A value cannot be stored exactly in the chosen format."""

    def __init__(self, key: str, format: str, reason: str) -> None:
        super().__init__(key, format, reason)
        self.key, self.format, self.reason = key, format, reason

    def __str__(self) -> str:
        return f"cannot save {self.key!r} as {self.format}: {self.reason}"


class StoreAccessError(StorageError, OSError):
    """The system refused to read or write; `errno` says why. A retry may help."""

    exit_code = 75

    def __init__(self, code: int, message: str, path: str) -> None:
        super().__init__(code, message, path)

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class CorruptDataError(StorageError, ValueError):
    """What is stored is damaged; nothing is guessed in its place."""

    exit_code = 65

    def __init__(self, path: str, format: str, reason: str) -> None:
        super().__init__(path, format, reason)
        self.path, self.format, self.reason = path, format, reason

    def __str__(self) -> str:
        return f"{self.path} is not a complete {self.format} file: {self.reason}"


class PlateError(HcsError):
    """A plate is not what it should be."""

    exit_code = 65


class PlateNotFoundError(PlateError, FileNotFoundError):
    """There is no such folder, or it cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.errno = ENOENT  # OSError has taken the path for it
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"no plate at {self.path}: {self.reason}; give the folder that holds the images"


class NotAPlateError(PlateError, ValueError):
    """No installed reader recognises the folder, or the one that does finds no planes."""

    def __init__(
        self, path: str, found: str, readers: tuple[str, ...], advice: str = "Check the folder"
    ) -> None:
        super().__init__(path, found, readers, advice)
        self.path, self.found, self.readers, self.advice = path, found, readers, advice

    def __str__(self) -> str:
        return (
            f"{self.path} is no plate that an installed reader knows: found {self.found}; "
            f"readers: {listed(self.readers)}. {self.advice}"
        )


class AmbiguousPlateError(PlateError, ValueError):
    """Several readers, or several plates, fit equally well."""

    def __init__(self, path: str, candidates: tuple[str, ...], advice: str) -> None:
        super().__init__(path, candidates, advice)
        self.path, self.candidates, self.advice = path, candidates, advice

    def __str__(self) -> str:
        return f"{self.path} can be read in several ways ({listed(self.candidates)}); {self.advice}"


class DuplicatePlanesError(PlateError, ValueError):
    """Two files claim to be the same plane."""

    def __init__(self, path: str, plane: str, files: tuple[str, ...], count: int = 1) -> None:
        super().__init__(path, plane, files, count)
        self.path, self.plane, self.files, self.count = path, plane, files, count

    def __str__(self) -> str:
        more = f" ({self.count} planes are affected)" if self.count > 1 else ""
        return (
            f"{self.path}: two files for one plane, {self.plane}: "
            f"{' and '.join(self.files)}{more}; remove or move one of them"
        )


class MissingPlaneError(PlateError, FileNotFoundError):
    """A plane that the plate should have is not there."""

    def __init__(self, plane: str, file: str) -> None:
        super().__init__(plane, file)
        self.errno = ENOENT  # OSError has taken the plane for it
        self.plane, self.file = plane, file

    def __str__(self) -> str:
        where = f" (file {self.file})" if self.file else ""
        return f"plane {self.plane} is missing{where}"


class DamagedPlaneError(PlateError, ValueError):
    """A plane's file cannot be read completely, or has another shape than its plate."""

    def __init__(self, plane: str, file: str, reason: str) -> None:
        super().__init__(plane, file, reason)
        self.plane, self.file, self.reason = plane, file, reason

    def __str__(self) -> str:
        return f"plane {self.plane} cannot be read from {self.file}: {self.reason}"
