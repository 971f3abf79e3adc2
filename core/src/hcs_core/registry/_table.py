"""The plugins of one kind, sorted into those that can be used and those that cannot."""

from __future__ import annotations

from hcs_core.registry._discovery import Claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcs_core.registry._discovery import Claim, Discovery
    from hcs_core.registry._info import PluginInfo, State

HIDDEN = ("disabled", "shadowed")
"""States of what a listing shows only when it is asked for all."""


class Table:
    """The plugins of one kind, made once for each discovery.

    Attributes
    ----------
    claims : Claims
        All declarations of the kind.
    usable : dict of str to int
        The position of the one claim of each key that can be used; see `claim`.
    conflicts : dict of str to list of PluginInfo
        The claims of each key that several distributions have.
    names : tuple of str
        The keys of both, sorted when they are first asked for.
    others : list of PluginInfo
        What cannot be used for another reason.
    """

    __slots__ = (
        *("claims", "conflicts", "discovery", "is_secondary"),
        *("kind", "names", "others", "usable"),
    )

    def __init__(
        self,
        kind: str,
        apis: tuple[int, ...] | None,
        discovery: Discovery,
        *,
        is_secondary: bool = False,
    ) -> None:
        self.kind = kind
        self.is_secondary = is_secondary
        self.discovery = discovery
        self.names: tuple[str, ...] = ()
        self.conflicts: dict[str, list[PluginInfo]] = {}
        self.others: list[PluginInfo] = []
        self.claims = claims = discovery.claims.get(kind) or Claims()
        self.usable = dict(zip(claims.keys, range(len(claims)), strict=True))
        is_plain = discovery.selection is None and len(self.usable) == len(claims)
        if not is_plain or (apis is not None and not set(claims.apis).issubset(apis)):
            from hcs_core.registry._judging import sort_out

            sort_out(self, apis)
        for claim in discovery.shadowed.get(kind) or ():
            info = self.info(claim, "shadowed")
            info.error = f"another {info.distribution} comes first on the path"
            self.others.append(info)

    def claim(self, key: str) -> Claim | None:
        """Return what a key stands for, None where nothing of it can be used."""
        position = self.usable.get(key)
        return None if position is None else self.claims[position]

    def info(self, claim: Claim, state: State = "declared", error: str | None = None) -> PluginInfo:
        """Return a claim as a plugin, which nothing is wrong with where nothing is said."""
        from hcs_core.registry._info import PluginInfo  # not needed for names alone
        from hcs_core.registry._metadata import name_of, version_of

        key, value, folder, api = claim
        return PluginInfo(
            *(self.kind, key, value, name_of(folder), version_of(folder), api),
            state=state,
            error=error,
            location=folder if "/" in folder else "",
        )

    def infos(self, *, all: bool = False) -> list[PluginInfo]:
        """Return every claim, sorted; with `all` also those that are hidden."""
        rows = [self.info(self.claims[position]) for position in self.usable.values()]
        rows += [info for claims in self.conflicts.values() for info in claims]
        rows += [info for info in self.others if all or info.state not in HIDDEN]
        return sorted(rows, key=lambda info: (info.key, info.distribution))

    def others_of(self, key: str) -> list[PluginInfo]:
        """Return what is declared under a key and cannot be used."""
        return [info for info in self.others if info.key == key]

    def reject(self, claim: Claim, state: State, reason: str) -> None:
        """Note what cannot be used, and why."""
        self.others.append(self.info(claim, state, reason))
