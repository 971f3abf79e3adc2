"""What is known of one plugin before, and after, it is imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    State = Literal["declared", "loaded", "broken", "conflict", "incompatible"]


class PluginInfo:
    """One plugin: where it comes from and what state it is in.

    A plain class with slots: typing.NamedTuple and dataclasses cost more to import
    than a whole scan of the environment.

    Attributes
    ----------
    kind : str
        The registry it belongs to, such as ``"hcs.storage"``.
    key : str
        Its name there.
    value : str
        ``"module:attribute"``, what is imported when the key is used.
    distribution, version : str
        The installed distribution that declares it; empty for one added at run time.
    api : int
        The API major that its entry-point group names.
    state : str
        ``declared``, ``loaded``, ``broken``, ``conflict`` or ``incompatible``.
    error : str or None
        Why it is in a state that cannot be used.
    """

    __slots__ = ("api", "distribution", "error", "key", "kind", "state", "value", "version")

    def __init__(
        self,
        kind: str,
        key: str,
        value: str,
        distribution: str,
        version: str,
        api: int,
        state: State = "declared",
        error: str | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.value = value
        self.distribution = distribution
        self.version = version
        self.api = api
        self.state = state
        self.error = error

    @property
    def origin(self) -> str:
        """The distribution and its version, or that it was added at run time."""
        return f"{self.distribution} {self.version}".strip() or "this process"

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the fields as one JSON object, in the documented order."""
        return {
            "kind": self.kind,
            "key": self.key,
            "distribution": self.distribution,
            "version": self.version,
            "api": self.api,
            "state": self.state,
            "value": self.value,
            "error": self.error,
        }

    def __repr__(self) -> str:
        return f"PluginInfo({self.kind}:{self.key} = {self.value}, {self.origin}, {self.state})"
