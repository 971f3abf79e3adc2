"""What the modules of an application's own package register, read from their source.

No module is imported: a class that says ``key="..."`` and a decorator
``@REGISTRY.register("...")`` are found in the syntax tree. Where the persistent index is
on, what was found in a file is kept until the file changes.
"""

from __future__ import annotations

import os
import sys

from hcs_core.registry._discovery import RACY_NS, stamp_of, stamp_text
from hcs_core.registry._judging import add_own
from hcs_core.registry._metadata import name_of
from hcs_core.registry._scanner import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Mapping
    from typing import Any

    from hcs_core.registry._discovery import Discovery, Stamp, Table
    from hcs_core.registry._index import Index
    from hcs_core.registry._registry import Registry
    from hcs_core.registry._scanner import Claim

_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST, without importing ast
BROKEN = "!"
"""In the place of a class's name: the file cannot be read, and why stands in its key's."""


class Finding:
    """A class or function at the top of a module that registers itself, or may.

    Attributes
    ----------
    module, name : str
        Where it is.
    key : str
        The key that it says; empty for a class that says none.
    """

    __slots__ = ("key", "module", "name")

    def __init__(self, module: str, name: str, key: str) -> None:
        self.module = module
        self.name = name
        self.key = key


def add_package(registry: Registry[Any], table: Table) -> None:
    """Add to a registry's table what the modules of its package register.

    Raises
    ------
    ModuleNotFoundError
        If there is no such package.
    """
    for folder in _folders_of(registry.package):
        try:
            findings = _kept(registry.package, folder, table.discovery)
        except OSError as cause:  # it lies in a zip file, or may not be read
            name = registry.package
            reason = f"its modules cannot be listed: {cause}"
            table.reject((name, name, folder, registry.api), "broken", reason)
            continue
        claims: list[Claim] = []
        for found in findings:
            key = found.key or registry.key_from(found.name)
            if found.name == BROKEN:
                claim = (found.module, found.module, folder, registry.api)
                table.reject(claim, "broken", found.key)
            elif key:
                claims.append((key, f"{found.module}:{found.name}", folder, registry.api))
        add_own(table, claims)


def check_enrolled(enrolled: Mapping[str, object], claim: Claim) -> None:
    """Refuse what only looks as if it registered itself in the package's registry.

    Raises
    ------
    TypeError
        If it has registered elsewhere, or nowhere.
    """
    key, _, folder, _ = claim
    if not name_of(folder) and key not in enrolled:
        raise TypeError(f"it does not register as {key!r} in this registry")


def is_in_source(registry: Registry[Any], claim: Claim) -> bool:
    """Return whether the source of a module in the registry's package makes a claim."""
    key, value, folder, _ = claim
    module, _, name = value.partition(":")
    inside = module.removeprefix(registry.package).split(".")[1:]
    if module != ".".join((registry.package, *inside)) or not all(map(str.isidentifier, inside)):
        return False
    stem = "/".join((folder, *inside))
    findings = (*_findings(module, f"{stem}/__init__.py"), *_findings(module, f"{stem}.py"))
    return any(
        found.name == name and (found.key or registry.key_from(name)) == key for found in findings
    )


def _folders_of(package: str) -> list[str]:
    """Return the folders of a package, importing neither it nor its parents."""
    loaded = sys.modules.get(package)
    if loaded is not None and hasattr(loaded, "__path__"):
        return list(loaded.__path__)
    from importlib.machinery import PathFinder

    folders: list[str] | None = None
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, folders)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"there is no package {name}", name=name)
        folders = list(spec.submodule_search_locations)
    return folders or []


def _kept(package: str, folder: str, discovery: Discovery) -> list[Finding]:
    """Return the findings of a folder, out of the index where it is on and right."""
    index = discovery.index
    name = f"{folder} as {package}"
    if index is None:
        return [finding for *_, findings in _modules(package, folder) for finding in findings]
    segment = index.segment(name)
    if segment is not None:
        try:
            return _unpacked(segment)
        except (OSError, ValueError, IndexError):  # changed, gone, or not our format: look again
            pass
    return _read_and_kept(name, package, folder, discovery.started_ns, index)


def _read_and_kept(
    name: str, package: str, folder: str, started_ns: int, index: Index
) -> list[Finding]:
    modules = list(_modules(package, folder))
    newest = max((max(stamp[:2]) for _, stamp, _ in modules), default=0)
    packed = _packed(modules)
    if packed and newest <= started_ns - RACY_NS:
        index.put({name: packed}, keep=[name])
    return [finding for *_, findings in modules for finding in findings]


def _modules(package: str, folder: str) -> Iterator[tuple[str, Stamp, list[Finding]]]:
    """Yield each folder and each module below one: path, stamp and what it registers."""
    yield folder, stamp_of(os.stat(folder)), []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        stem, suffix = os.path.splitext(name)
        if suffix == ".py" and stem.isidentifier():
            module = package if stem == "__init__" else f"{package}.{stem}"
            try:
                stamp = stamp_of(os.stat(path))
            except OSError:  # a link to nowhere; removed meanwhile
                continue
            yield path, stamp, _findings(module, path)
        elif not suffix and name.isidentifier() and os.path.isfile(f"{path}/__init__.py"):
            yield from _modules(f"{package}.{name}", path)


def _findings(module: str, path: str) -> list[Finding]:
    """Return what one source file registers, without running it."""
    content = read_bytes(path)
    if b"key" not in content and b"register" not in content and b"class" not in content:
        return []
    try:
        tree = compile(content, path, "exec", _ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError) as cause:
        reason = " ".join(f"{type(cause).__name__}: {cause}".split())
        return [Finding(module, BROKEN, reason)]
    return [finding for node in tree.body for finding in _of_node(module, node)]


def _of_node(module: str, node: ast.stmt) -> Iterator[Finding]:
    """Yield what one statement at the top of a module registers."""
    kind = type(node).__name__  # not isinstance: that would import ast
    if kind not in ("ClassDef", "FunctionDef", "AsyncFunctionDef"):
        return
    for decorator in node.decorator_list:  # type: ignore[attr-defined]
        function = getattr(decorator, "func", None)
        if getattr(function, "attr", "") == "register":
            said = [*decorator.args, *(w.value for w in decorator.keywords if w.arg == "key")]
            if said and isinstance(getattr(said[0], "value", None), str):
                yield Finding(module, node.name, said[0].value)  # type: ignore[attr-defined]
                return
    if kind == "ClassDef" and not _is_abstract(node):
        keys = [word.value for word in node.keywords if word.arg == "key"]  # type: ignore[attr-defined]
        key = getattr(keys[0], "value", None) if keys else ""
        if isinstance(key, str):  # None says that it is no plugin
            yield Finding(module, node.name, key)  # type: ignore[attr-defined]


def _is_abstract(node: ast.stmt) -> bool:
    """Return whether a class has a method that is marked as abstract."""
    for statement in node.body:  # type: ignore[attr-defined]
        for decorator in getattr(statement, "decorator_list", ()):
            if "abstractmethod" in (getattr(decorator, "id", ""), getattr(decorator, "attr", "")):
                return True
    return False


def _packed(modules: list[tuple[str, Stamp, list[Finding]]]) -> str:
    rows = []
    for path, stamp, findings in modules:
        texts = [text for f in findings for text in (f.module, f.name, f.key)]
        if any("\t" in text or "\n" in text for text in (path, *texts)):
            return ""  # what the index cannot hold
        rows.append("\t".join((stamp_text(stamp), path, *texts)))
    return "\n".join((*rows, ""))


def _unpacked(segment: str) -> list[Finding]:
    """Return the findings of a segment; a file that has changed is a ValueError."""
    found = []
    for row in segment.split("\n")[:-1]:
        fields = row.split("\t")
        if stamp_text(stamp_of(os.stat(fields[1]))) != fields[0]:
            raise ValueError("a source file has changed")
        texts = fields[2:]
        found += [
            Finding(*three) for three in zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        ]
    return found
