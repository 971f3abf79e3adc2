"""The persistent index: what was found in a directory, kept while its stamps are the same.

For network file systems and very large environments (``HCS_PLUGIN_INDEX=auto|on``). It is
text, with one segment for each directory, so that a new working directory rescans one only.
Whatever is wrong with the file makes it a miss; it is never a reason to fail, and nothing is
imported on its word alone (see `Registry`).
"""

from __future__ import annotations

import os
import sys
from time import time_ns

from hcs_core.registry._discovery import RACY_NS, discover, stamp_of, stamp_text
from hcs_core.registry._scanner import SITE_FOLDERS, Claims, Found, read_bytes
from hcs_core.registry._settings import cache_folder, index_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hcs_core.registry._discovery import Discovery, Place, Stamp

_FORMAT = "hcs plugin index 1"
_END = "end\n"
_MOST_SEGMENTS = 64
_MOST_BYTES = 1 << 26
_AN_HOUR_NS = 3_600_000_000_000
_FILE = "/entry_points.txt"
_BINARY = getattr(os, "O_BINARY", 0)
# Not through a link, and not waiting for somebody to write into a pipe.
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_METADATA_FOLDERS = (".dist-info", ".egg-info")


class Index:
    """The index of one Python environment, read when it is made.

    Parameters
    ----------
    prefixes : tuple of str
        Of the groups that it holds; another set has a file of its own.

    Attributes
    ----------
    file : str
        Where it lies.
    state : str
        What became of it, for people: ``used``, ``absent``, ``refused: ...``.
    """

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._header = "\t".join((_FORMAT, sys.prefix, *prefixes))
        name = f"{os.path.basename(sys.prefix)}-{_checksum(os.fsencode(self._header)):08x}"
        self.file = os.path.join(cache_folder(), f"plugins-{name}.txt")
        self.state = "used"
        self._segments: dict[str, str] = {}
        try:
            self._segments = _segments(_trusted(self.file), self._header)
        except FileNotFoundError:
            self.state = "absent"
        except (OSError, ValueError) as cause:  # unreadable, damaged, not ours: a miss
            self.state = f"refused: {cause}"

    def get(self, folder: str, stamp: Stamp) -> Found | None:
        """Return the distributions of a directory, None unless all stamps are as they were."""
        segment = self._segments.get(folder)
        if segment is None:
            return None
        try:
            return _unpacked(folder, segment, stamp)
        except (OSError, ValueError, IndexError):  # a plugin's file is gone; not our format
            return None

    def store(self, places: list[Place], started_ns: int) -> None:
        """Write what was found; what changed in the last seconds is left for the next time."""
        new = {}
        for place in places:
            if place.is_folder and not place.from_index:
                self._segments.pop(place.path, None)
                packed = _packed(place, started_ns - RACY_NS)
                if packed is not None:
                    new[place.path] = packed
        self.put(new, keep=[place.path for place in places])

    def segment(self, name: str) -> str | None:
        """Return a segment as it was put."""
        return self._segments.get(name)

    def put(self, new: dict[str, str], *, keep: list[str]) -> None:
        """Add segments and write the file; of the old ones those to keep go last."""
        if not new or _bar():
            return
        merged = self._segments | new
        others = [name for name in merged if name not in keep and name not in new]
        for name in others[: max(0, len(merged) - _MOST_SEGMENTS)]:
            del merged[name]
        self._segments = merged
        body = "".join(f">{name}\n{segment}" for name, segment in merged.items())
        try:
            _write(self.file, f"{self._header}\n{body}{_END}")
        except (OSError, ValueError) as cause:  # a read-only home; a name that is no Unicode
            self.state = f"not written: {cause}"

    def remove(self) -> None:
        """Delete the file."""
        self._segments = {}
        try:
            os.unlink(self.file)
        except FileNotFoundError:
            self.state = "absent"


def rebuild_index() -> tuple[Discovery, Index]:
    """Read the environment again, and write its index anew, or remove it where it is off.

    What is in directories that changed in the last seconds is left out, and stays right.
    """
    mode = index_mode()
    discovery = discover(with_index=False)
    index = Index(discovery.prefixes)
    index.remove()
    _remove_others(index.file)
    if mode != "off":
        index.state = "used"
        index.store(discovery.places, discovery.started_ns)
    return discovery, index


def _remove_others(file: str) -> None:
    """Remove the indexes that programs with kinds of their own keep of this environment."""
    folder, name = os.path.split(file)
    start = f"{name.rpartition('-')[0]}-"
    for other in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, other)
        if other.startswith(start) and other.endswith(".txt"):
            try:
                header = read_bytes(path).split(b"\n", 2)[1]
            except IndexError:  # not one of ours
                continue
            if header.startswith(os.fsencode(f"{_FORMAT}\t{sys.prefix}\t")):
                os.unlink(path)


def refusal(state: os.stat_result) -> str:
    """Return why a file must not say which plugins there are, or nothing.

    Its values choose what is imported, so nobody else may have written it.
    """
    if state.st_mode & 0o170000 != 0o100000:
        return "it is no regular file"
    if hasattr(os, "geteuid"):
        if state.st_uid != os.geteuid():
            return "it belongs to another user"
        if state.st_mode & 0o022:
            return "others may write it"
    return ""


def _bar() -> str:
    """Return why this process must leave the index alone, or nothing."""
    if sys.flags.isolated:
        return "Python runs isolated"
    if hasattr(os, "geteuid") and os.getuid() != os.geteuid():
        return "the process acts for another user"
    return ""


def _trusted(file: str) -> bytes:
    """Return the file's content if it is ours alone and whole."""
    reason = _bar()
    if reason:
        raise ValueError(reason)
    descriptor = os.open(file, os.O_RDONLY | _CAREFULLY | _BINARY)
    try:
        state = os.fstat(descriptor)
        reason = refusal(state)
        if reason:
            raise ValueError(reason)
        if state.st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        return os.read(descriptor, state.st_size + 1)
    finally:
        os.close(descriptor)


def _segments(content: bytes, header: str) -> dict[str, str]:
    """Return the segments by name of a file that is whole and of this environment."""
    checksum, _, rest = content.partition(b"\n")
    if checksum != b"%08x" % _checksum(rest):
        raise ValueError("it is damaged")
    text = rest.decode("utf-8", "surrogateescape")
    first, _, body = text.partition("\n")
    if first != header or not body.endswith(_END):
        raise ValueError("it is of another environment")
    found = {}
    for part in body[: -len(_END)].split("\n>") if len(body) > len(_END) else ():
        name, _, segment = part.removeprefix(">").partition("\n")
        found[name] = segment if segment.endswith("\n") else f"{segment}\n"
    return found


def _write(file: str, text: str) -> None:
    """Replace the file whole; who reads it meanwhile has the old one."""
    content = text.encode("utf-8", "surrogateescape")
    folder = os.path.dirname(file)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = f"{file}.{os.getpid()}-{time_ns()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    try:
        with open(descriptor, "wb") as opened:
            opened.write(b"%08x\n" % _checksum(content) + content)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
    _sweep(folder, os.path.basename(file))


def _sweep(folder: str, name: str) -> None:
    """Remove what processes that were killed while writing have left."""
    for other in os.listdir(folder):
        if other.startswith(f"{name}.") and other.endswith(".tmp"):
            path = f"{folder}/{other}"
            try:
                if os.stat(path).st_mtime_ns < time_ns() - _AN_HOUR_NS:
                    os.unlink(path)
            except FileNotFoundError:  # another process was faster
                continue


def _packed(place: Place, racy_ns: int) -> str | None:
    """Return the segment of a directory, None where it cannot be held, or is too young."""
    try:
        rows = [_row("D", place.stamp), *_plugin_rows(place), *_watched_rows(place)]
    except (OSError, ValueError):  # removed meanwhile; a name with a tab
        return None
    others = sorted({*place.found.entries} - {*_declared(place)})
    if any(map(_breaks, (place.path, *others))):
        return None
    newest = max(max(map(int, row.split("\t")[1].split()[:2])) for row in rows)
    for entry in others:  # an installer may be at work, with the file still empty
        newest = max(newest, _newest_time(f"{place.path}/{entry}{_FILE}"))
    return None if newest > racy_ns else "\n".join((*rows, "\t".join(("N", *others)), ""))


def _newest_time(path: str) -> int:
    try:
        return max(stamp_of(os.stat(path))[:2])
    except OSError:  # most distributions have no entry points
        return 0


def _declared(place: Place) -> dict[str, list[str]]:
    """Return what each distribution of a place declares: kind, API, key, value, kind, ..."""
    declared: dict[str, list[str]] = {}
    for kind, claims in place.found.claims.items():
        for key, value, folder, api in claims:
            entry = folder.rpartition("/")[2]
            declared.setdefault(entry, []).extend((kind, str(api), key, value))
    return declared


def _plugin_rows(place: Place) -> Iterator[str]:
    for entry, texts in _declared(place).items():
        yield _row("P", stamp_of(os.stat(f"{place.path}/{entry}{_FILE}")), entry, *texts)


def _watched_rows(place: Place) -> Iterator[str]:
    """Yield what else of a source tree changes when a build rewrites its metadata in place."""
    if place.path.endswith(SITE_FOLDERS):
        return
    declaring = _declared(place)
    for entry in place.found.entries:
        if entry.endswith(".egg-info") and entry not in declaring:
            for name in (entry, entry + _FILE):
                if os.path.exists(f"{place.path}/{name}"):
                    yield _row("W", stamp_of(os.stat(f"{place.path}/{name}")), name)


def _row(letter: str, stamp: Stamp, *texts: str) -> str:
    if any(map(_breaks, texts)):
        raise ValueError("a name that the index cannot hold")
    return "\t".join((letter, stamp_text(stamp), *texts))


def _breaks(text: str) -> bool:
    return "\t" in text or "\n" in text


def _unpacked(folder: str, segment: str, stamp: Stamp) -> Found | None:
    """Return the distributions of a segment, None where a stamp is another now."""
    found = Found()
    for row in segment.split("\n")[:-1]:
        fields = row.split("\t")
        letter = fields[0]
        if letter == "P":
            entry = fields[2]
            if "/" in entry or not entry.endswith(_METADATA_FOLDERS):
                raise ValueError("metadata elsewhere")
            if stamp_text(stamp_of(os.stat(f"{folder}/{entry}{_FILE}"))) != fields[1]:
                return None
            found.entries.append(entry)
            for at in range(3, len(fields), 4):
                kind, api, key, value = fields[at : at + 4]
                claims = found.claims.get(kind)
                if claims is None:
                    claims = found.claims[kind] = Claims()
                claims.add((key, value, f"{folder}/{entry}", int(api)))
        elif letter == "N":
            found.entries += filter(None, fields[1:])
        else:
            now = stamp if letter == "D" else stamp_of(os.stat(f"{folder}/{fields[2]}"))
            if stamp_text(now) != fields[1]:
                return None
    return found


def _checksum(content: bytes) -> int:
    """Return the remainder by a prime: what crc32 is for, without a library to load."""
    return int.from_bytes(content, "little") % 1_073_741_789
