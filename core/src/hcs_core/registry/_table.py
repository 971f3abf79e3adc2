"""The plugins of one kind, sorted into those that can be used and those that cannot."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hcs_core.registry._discovery import Claim, Discovery
    from hcs_core.registry._info import PluginInfo, State
    from hcs_core.registry._selection import Selection

HIDDEN = ("disabled", "shadowed")
"""States of what a listing shows only when it is asked for all."""


class Table:
    """The plugins of one kind, made once for each discovery.

    Attributes
    ----------
    usable : dict of str to Claim
        The one claim of each key that can be used.
    conflicts : dict of str to list of PluginInfo
        The claims of each key that several distributions have.
    names : tuple of str
        The keys of both, sorted when they are first asked for.
    others : list of PluginInfo
        What cannot be used for another reason.
    """

    __slots__ = ("conflicts", "discovery", "kind", "names", "others", "usable")

    def __init__(self, kind: str, apis: tuple[int, ...] | None, discovery: Discovery) -> None:
        self.kind = kind
        self.discovery = discovery
        self.names: tuple[str, ...] = ()
        self.usable: dict[str, Claim] = {}
        self.conflicts: dict[str, list[PluginInfo]] = {}
        self.others: list[PluginInfo] = []
        claims = discovery.claims.get(kind, [])
        by_key = {claim[0]: claim for claim in claims}
        is_plain = discovery.selection is None and len(by_key) == len(claims)
        if is_plain and (apis is None or {claim[3] for claim in claims}.issubset(apis)):
            self.usable = by_key
        else:
            for key in by_key:
                self._judge([claim for claim in claims if claim[0] == key], apis)
        for claim in discovery.shadowed.get(kind, ()):
            name = claim[2].name
            self._reject(claim, "shadowed", f"another {name} comes first on the path")

    def add_own(self, claims: Iterable[Claim]) -> None:
        """Add what an application's own package declares."""
        for claim in claims:
            key, value, _, api = claim
            other = self.usable.get(key)
            if other is not None and other[1] != value:
                self._conflict([self.usable.pop(key), claim])
            elif key in self.conflicts:
                self._conflict([claim])
            elif other is None:
                self._judge([claim], (api,))

    def add_broken(self, claim: Claim, reason: str) -> None:
        """Add a module of the package that cannot be read, under its own name."""
        self._reject(claim, "broken", reason)

    def infos(self, *, all: bool = False) -> list[PluginInfo]:
        """Return every claim, sorted; with `all` also those that are hidden."""
        rows = [self.info(claim) for claim in self.usable.values()]
        rows += [info for claims in self.conflicts.values() for info in claims]
        rows += [info for info in self.others if all or info.state not in HIDDEN]
        return sorted(rows, key=lambda info: (info.key, info.distribution))

    def info(self, claim: Claim, state: State = "declared", error: str | None = None) -> PluginInfo:
        """Return a claim as a plugin, which nothing is wrong with where nothing is said."""
        from hcs_core.registry._info import PluginInfo  # not needed for names alone

        key, value, source, api = claim
        return PluginInfo(
            *(self.kind, key, value, source.name, source.version, api),
            state=state,
            error=error,
            location=source.folder,
        )

    def others_of(self, key: str) -> list[PluginInfo]:
        """Return what is declared under a key and cannot be used."""
        return [info for info in self.others if info.key == key]

    def _judge(self, claims: list[Claim], apis: tuple[int, ...] | None) -> None:
        """Sort the claims of one key: switched off, of another API, preferred, or doubled."""
        selection = self.discovery.selection
        left = claims if selection is None else self._selected(claims, selection)
        fitting = [claim for claim in left if apis is None or claim[3] in apis]
        served = [claim[2] for claim in fitting]
        for claim in left:
            if claim[2] not in served:  # one that serves both APIs is no problem
                self._reject(claim, "incompatible", self._need(claim, apis or ()))
        if apis and fitting:  # one that serves two of ours is used in the newer
            newest = max(claim[3] for claim in fitting)
            fitting = [claim for claim in fitting if claim[3] == newest]
        fitting = list({(claim[2].name, claim[1]): claim for claim in reversed(fitting)}.values())
        if len(fitting) > 1 and selection is not None:
            fitting = self._preferred(fitting, selection)
        if len(fitting) > 1:
            self._conflict(fitting)
        elif fitting:
            self.usable[fitting[0][0]] = fitting[0]

    def _selected(self, claims: list[Claim], selection: Selection) -> list[Claim]:
        left = []
        for claim in claims:
            reason = selection.reason_against(self.kind, claim[0], claim[2].name)
            if reason:
                self._reject(claim, "disabled", reason)
            else:
                left.append(claim)
        return left

    def _preferred(self, claims: list[Claim], selection: Selection) -> list[Claim]:
        name = selection.preferred(self.kind, claims[0][0])
        chosen = [claim for claim in claims if claim[2].name == name]
        if not chosen:
            return claims
        for claim in claims:
            if claim not in chosen:
                self._reject(claim, "shadowed", f"{name} is preferred")
        return chosen

    def _conflict(self, claims: list[Claim]) -> None:
        key = claims[0][0]
        infos = self.conflicts.get(key, []) + [self.info(claim, "conflict") for claim in claims]
        error = f"declared by {', '.join(sorted(info.origin for info in infos))}"
        for info in infos:
            info.error = error
        self.conflicts[key] = sorted(infos, key=lambda info: info.origin)

    def _need(self, claim: Claim, apis: tuple[int, ...]) -> str:
        newest = max(apis, default=0)
        older = "hcs-core" if claim[3] > newest else claim[2].name
        return f"it needs API {claim[3]} of {self.kind}, this core has {newest}; update {older}"

    def _reject(self, claim: Claim, state: State, reason: str) -> None:
        self.others.append(self.info(claim, state, reason))
