"""What conversions were made and what they cost, what was rescaled and what was lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from hcs_core.arrays._plan import Route


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion that was made.

    Parameters
    ----------
    route : Route
        How.
    seconds : float
        How long it took the caller; a device may still be at work.
    """

    route: Route
    seconds: float


@dataclass(frozen=True, slots=True)
class Rescaling:
    """One change of dtype by `rescale`.

    Parameters
    ----------
    mode : str
        ``native``, ``preserve``, ``scale`` or ``stretch``.
    source, target : str
        The dtypes, by name.
    in_range : tuple of float, optional
        The range that was mapped, also where it was taken from the array; None where no
        range was given, or the array to take it from has no elements.
    saturated : int
        How many elements lay outside and were set to the nearest end.
    nans : int
        How many elements were NaN and were replaced.
    """

    mode: str
    source: str
    target: str
    in_range: tuple[float, float] | None
    saturated: int
    nans: int


@dataclass(slots=True)
class Recorder:
    """Collects what was done; pass one as ``record=``. It belongs to its caller alone.

    Attributes
    ----------
    conversions : list of Conversion
        In the order in which they were made.
    rescalings : list of Rescaling
        Likewise.
    """

    conversions: list[Conversion] = field(default_factory=list)
    rescalings: list[Rescaling] = field(default_factory=list)

    def add(self, route: Route, seconds: float) -> None:
        """Note a conversion."""
        self.conversions.append(Conversion(route, seconds))

    @property
    def copied_bytes(self) -> int:
        """The bytes that were written."""
        return sum(conversion.route.nbytes for conversion in self.conversions)

    @property
    def seconds(self) -> float:
        """The time of all conversions."""
        return sum(conversion.seconds for conversion in self.conversions)

    def count(self, action: str) -> int:
        """Return how many conversions were ``same``, ``alias``, ``copy`` or ``move``."""
        return sum(conversion.route.action == action for conversion in self.conversions)
