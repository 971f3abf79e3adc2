"""Which claims of a key can be used, where that is a question.

Something is declared twice, made for another API, or the user has said what is wanted.
"""

from __future__ import annotations

from hcs_core.registry._known import API_OF
from hcs_core.registry._metadata import name_of
from hcs_core.registry._scanner import Claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hcs_core.registry._discovery import Table
    from hcs_core.registry._scanner import Claim


def sort_out(table: Table, apis: tuple[int, ...] | None) -> None:
    """Judge every key of a table."""
    positions: dict[str, list[int]] = {}
    for position, key in enumerate(table.claims.keys):
        positions.setdefault(key, []).append(position)
    table.usable = {}
    for found in positions.values():
        _judge(table, found, apis)


def add_own(table: Table, claims: Iterable[Claim]) -> None:
    """Add what an application's own package declares."""
    rows = Claims()
    rows.extend(table.claims)
    table.claims = rows
    for claim in claims:
        key, value = claim[:2]
        other = table.claim(key)
        if key in table.conflicts:
            _conflict(table, [claim])
        elif other is None:
            rows.add(claim)
            _judge(table, [len(rows) - 1], None)
        elif other[1] != value:
            chosen = _preferred(table, [other, claim])
            if len(chosen) > 1:
                del table.usable[key]
                _conflict(table, chosen)


def _judge(table: Table, positions: list[int], apis: tuple[int, ...] | None) -> None:
    """Sort the claims of one key: switched off, of another API, preferred, or doubled."""
    claims = {table.claims[position]: position for position in reversed(positions)}
    left = _selected(table, [*reversed(claims)])
    fitting = [claim for claim in left if apis is None or claim[3] in apis]
    served = {claim[2] for claim in fitting}
    for claim in left:
        if claim[2] not in served:  # one that serves both APIs is no problem
            table.reject(claim, "incompatible", _need(table.kind, claim, apis or ()))
    if apis and fitting:  # one that serves two of ours is used in the newer
        newest = max(claim[3] for claim in fitting)
        fitting = [claim for claim in fitting if claim[3] == newest]
    once = {(name_of(claim[2]), claim[1]): claim for claim in reversed(fitting)}
    chosen = _preferred(table, list(once.values()))
    if len(chosen) > 1:
        _conflict(table, chosen)
    elif chosen:
        table.usable[chosen[0][0]] = claims[chosen[0]]


def _selected(table: Table, claims: list[Claim]) -> list[Claim]:
    selection = table.discovery.selection
    if selection is None or table.is_secondary:
        return claims  # secondary keys go with the plugin that they stand for
    left = []
    for claim in claims:
        reason = selection.reason_against(table.kind, claim[0], name_of(claim[2]))
        if reason:
            table.reject(claim, "disabled", reason)
        else:
            left.append(claim)
    return left


def _preferred(table: Table, claims: list[Claim]) -> list[Claim]:
    selection = table.discovery.selection
    if selection is None or len(claims) <= 1:
        return claims
    name = selection.preferred(table.kind, claims[0][0])
    if not name:
        return claims
    chosen = [claim for claim in claims if name_of(claim[2]) == name]
    for claim in claims:
        if chosen and claim not in chosen:
            table.reject(claim, "shadowed", f"{name} is preferred")
    return chosen or claims


def _conflict(table: Table, claims: list[Claim]) -> None:
    key = claims[0][0]
    infos = [*table.conflicts.get(key, []), *(table.info(claim, "conflict") for claim in claims)]
    origins = sorted(info.origin for info in infos)
    if len(set(origins)) < len(origins):  # two of one distribution, or of one package
        origins = sorted(f"{info.origin} ({info.value})" for info in infos)
    error = f"declared by {', '.join(origins)}"
    for info in infos:
        info.error = error
    table.conflicts[key] = sorted(infos, key=lambda info: info.origin)


def _need(kind: str, claim: Claim, apis: tuple[int, ...]) -> str:
    newest = max(apis, default=0)
    ours = "hcs-core" if kind in API_OF else "the application that reads it"
    older = ours if claim[3] > newest else name_of(claim[2])
    has = "this core has" if kind in API_OF else "what is read here is"
    return f"it needs API {claim[3]} of {kind}, {has} {newest}; update {older}"
