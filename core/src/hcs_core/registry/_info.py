"""What is known of one plugin before, and after, it is imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    State: TypeAlias = Literal[
        "declared", "loaded", "broken", "conflict", "disabled", "incompatible", "shadowed"
    ]


class PluginInfo:
    """One plugin: where it comes from and what state it is in.

    A plain class with slots: typing.NamedTuple and dataclasses cost more to import
    than a whole scan of the environment. It is a snapshot: ask the registry again for
    the state of now.

    Attributes
    ----------
    kind : str
        The registry it belongs to, such as ``"hcs.storage"``.
    key : str
        Its name there.
    value : str
        ``"module:attribute"``, what is imported when the key is used.
    distribution, version : str
        The installed distribution that declares it, its name normalised (PEP 503); empty
        for one that was added at run time, or found in an application's own package.
    api : int
        The API major that its entry-point group names.
    state : str
        ``declared``: installed, not imported yet. ``loaded``: imported. ``broken``: its
        import failed, or it is not what it declares. ``conflict``: several distributions
        declare the key. ``disabled``: switched off by the user. ``incompatible``: made for
        another API. ``shadowed``: hidden by another distribution of the same name, or by
        the one that the user prefers.
    error : str or None
        Why it is in a state that cannot be used.
    location : str
        The folder of the distribution's metadata, or of the application's package.
    """

    __slots__ = (
        *("api", "distribution", "error", "key", "kind"),
        *("location", "state", "value", "version"),
    )

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
        location: str = "",
    ) -> None:
        self.kind = kind
        self.key = key
        self.value = value
        self.distribution = distribution
        self.version = version
        self.api = api
        self.state: State = state
        self.error = error
        self.location = location

    @property
    def origin(self) -> str:
        """The distribution and its version, the package, or that it was added at run time."""
        return f"{self.distribution} {self.version}".strip() or self.location or "this process"

    def copy(self) -> PluginInfo:
        """Return an equal one."""
        return PluginInfo(*(getattr(self, name) for name in _FIELDS))

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PluginInfo):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.kind, self.key, self.value, self.distribution, self.version))

    def __repr__(self) -> str:
        return f"PluginInfo({self.kind}:{self.key} = {self.value}, {self.origin}, {self.state})"


_FIELDS = (
    *("kind", "key", "value", "distribution", "version"),
    *("api", "state", "error", "location"),
)
