"""Find the reader for a folder."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

from hcs_core.errors import (
    AmbiguousPlateError,
    HcsError,
    NotAPlateError,
    PlateNotFoundError,
    listed,
    one_line,
)
from hcs_core.plates._hooks import PLATE_OPENED
from hcs_core.plates._listing import Listing
from hcs_core.plates._plate import Plate
from hcs_core.plates._reader import MICROSCOPES, Evidence, PlateReader
from hcs_core.registry._known import ADDON_OF, install_hint

# What users of Python and of the command line write.
_NAMED = "format in Python, --format on the command line"

# Two readers this close are equally sure; which one is right is for the user to say.
_MARGIN = 0.1


def open_plate(path: str | os.PathLike[str], format: str = "auto") -> Plate:
    """Open a plate: list its folder, find the reader, index the planes; no pixel is read.

    The observers of the hook ``hcs_plate_opened`` are told.

    Parameters
    ----------
    path : path
        The folder that holds the images.
    format : str
        A reader's key, or ``"auto"`` to let every installed reader look.

    Raises
    ------
    PlateNotFoundError
        If there is no such folder.
    NotAPlateError
        If no reader recognises it, or it holds no planes.
    AmbiguousPlateError
        If two readers are equally sure.
    UnknownPluginError
        If no reader is called `format`.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        reason = "it is a file, not a folder" if root.exists() else "no such folder"
        raise PlateNotFoundError(str(root), reason)
    listing = Listing.scan(root.resolve())
    reader_class = _detect(listing) if format == "auto" else MICROSCOPES[format]
    reader = reader_class(listing)
    index = reader.index()
    if not len(index):
        wanted = _looks_for(reader_class)
        advice = f"The reader {reader_class.format!r} finds no planes in it"
        advice += f"; it looks for {wanted}" if wanted else ""
        raise NotAPlateError(str(root), _found(listing), tuple(MICROSCOPES), advice)
    plate = Plate(reader, index)
    PLATE_OPENED(plate=plate)
    return plate


def _detect(listing: Listing) -> type[PlateReader]:
    """Return the reader that is surest of the listed folder."""
    found: list[tuple[float, str, Evidence]] = []
    for key in MICROSCOPES:
        evidence = _ask(key, listing)
        if evidence is not None:
            found.append((evidence.confidence, key, evidence))
    found.sort(reverse=True, key=lambda item: item[:2])
    if not found:
        raise NotAPlateError(str(listing.root), _found(listing), tuple(MICROSCOPES), _advice())
    close = [item for item in found if found[0][0] - item[0] < _MARGIN]
    if len(close) > 1:
        candidates = tuple(f"{key}: {evidence.reason}" for _, key, evidence in close)
        advice = f"name the one you mean: {_NAMED}"
        raise AmbiguousPlateError(str(listing.root), candidates, advice)
    return MICROSCOPES[found[0][1]]


def _ask(key: str, listing: Listing) -> Evidence | None:
    """Return what one reader sees; a broken one sees nothing and does not stop the others."""
    try:
        evidence: object = MICROSCOPES[key].detect(listing)
    except KeyboardInterrupt:
        raise
    # A reader is foreign code: sys.exit() and a panic of compiled code are its own affair too.
    except BaseException as cause:  # noqa: BLE001
        reason = str(cause) if isinstance(cause, HcsError) else one_line(cause)
    else:
        if evidence is None or isinstance(evidence, Evidence):
            return evidence
        wanted = "detect must return Evidence or None"
        reason = f"{wanted}, but returned an object of type {type(evidence).__name__}"
    text = f"plate reader {key!r} could not look at {listing.root}: {reason}"
    warnings.warn(text, RuntimeWarning, stacklevel=4)
    return None


def _found(listing: Listing) -> str:
    """Return what lies in the folder, and what of it was left out for what it is."""
    parts = ["no files"]
    if listing.file_count:
        parts = [f"{_count(listing.file_count, 'file')}, such as {listed(listing.examples())}"]
    special, links = listing.ignored.get("special", 0), listing.ignored.get("link", 0)
    if special:
        parts.append(f"{special} that are no regular files (FIFOs, sockets, devices)")
    if links:
        followed = "which is not followed" if links == 1 else "which are not followed"
        advice = "copy the files, or open the folder that they point to"
        parts.append(f"{_count(links, 'link')}, {followed}; {advice}")
    return ", and ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _advice() -> str:
    """Return what to do about a folder that no reader knows."""
    return ". ".join(filter(None, [_advice_on_readers(), _advice_on_settings()]))


def _advice_on_settings() -> str:
    """Return which readers are not asked because the user has switched them off."""
    off: dict[str, list[str]] = {}
    for info in MICROSCOPES.infos(all=True):
        if info.state == "disabled":
            off.setdefault(str(info.error), []).append(f"{info.key} of {info.origin}")
    told = "; ".join(f"{listed(names)} ({reason})" for reason, names in off.items())
    return f"Readers that are installed are switched off: {told}" if told else ""


def _advice_on_readers() -> str:
    ours = {key: addon for (kind, key), addon in ADDON_OF.items() if kind == "hcs.microscopes"}
    installed = {info.key for info in MICROSCOPES.infos(all=True)} | {*MICROSCOPES}
    if not any(key in installed for key in ours):
        addon = next(iter(ours.values()))
        return f"Check the folder, or for the readers of {addon} {install_hint(addon)}"
    if not MICROSCOPES:
        return "Check the folder"
    wanted: list[str] = []
    for key in MICROSCOPES:
        with suppress(HcsError):  # one that cannot be loaded was named when it was asked
            looks_for = _looks_for(MICROSCOPES[key])
            wanted += [f"{key} looks for {looks_for}"] if looks_for else []
    known = f" ({'; '.join(wanted)})" if wanted else ""
    return f"Check the folder{known}, or name the reader: {_NAMED}"


def _looks_for(reader_class: type[PlateReader]) -> str:
    # Nothing makes a plugin derive from PlateReader, and this is on the way to an error.
    return str(getattr(reader_class, "looks_for", ""))
