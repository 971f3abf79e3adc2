"""`hcs plugins new`: a copy of the template of a kind, under other names.

A template is a package that works, ``_templates/<kind>/``. It is called
``example-<kind>`` there; one folder more is one kind more.
"""

from __future__ import annotations

import keyword
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import click

from hcs_core.cli._output import print_json
from hcs_core.errors import UsageError, listed, near
from hcs_core.registry import all_infos
from hcs_core.registry._known import ADDON_OF
from hcs_core.storage.atomic import access_error, temporary_path

_TEMPLATES = Path(__file__).with_name("_templates")
_NAME = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")
# The lines of a template that have the name in them have room for so much in 100 columns.
_LONGEST_NAME = 36


class Names(NamedTuple):
    """What a package is called: of a template what is replaced, of a new one by what."""

    distribution: str
    module: str
    class_: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Return the names of a package; ``Our.Scope`` and ``our-scope`` are the same one."""
        parts = re.split(r"[-_.]+", name.lower())
        return cls("-".join(parts), "_".join(parts), "".join(map(str.capitalize, parts)))


class Template(NamedTuple):
    """The package that new ones of a kind are copied from."""

    kind: str
    folder: Path

    @property
    def names(self) -> Names:
        """What is to be replaced in it."""
        return Names.of(f"example-{self.kind}")

    def texts(self) -> dict[str, str]:
        """Return the text of each file, by its path below the folder."""
        files = [path.relative_to(self.folder) for path in sorted(self.folder.rglob("*"))]
        return {
            file.as_posix(): (self.folder / file).read_text("utf-8")
            for file in files
            if (self.folder / file).is_file() and not _is_left_over(file)
        }

    def about(self) -> dict[str, Any]:
        """Return what its pyproject.toml says."""
        return tomllib.loads(self.texts()["pyproject.toml"])

    def registry(self) -> str:
        """Return the kind of plugin that it declares first, as registries are called."""
        groups = self.about()["project"]["entry-points"]
        return str(next(iter(groups))).rpartition(".v")[0]

    def needs(self) -> set[str]:
        """Return the distributions that a new package needs, for its build and tests too."""
        about = self.about()
        project = about["project"]
        requirements = [
            *about.get("build-system", {}).get("requires", ()),
            *project.get("dependencies", ()),
            *chain(*project.get("optional-dependencies", {}).values()),
            *(requires("hcs-core") or ()),
        ]
        return {_required(requirement) for requirement in requirements}

    def named(self, names: Names) -> dict[str, str]:
        """Return the text of each file of a new package."""
        texts = self.texts().items()
        return {self._put(names, file): self._put(names, text) for file, text in texts}

    def classes(self, names: Names) -> dict[str, str]:
        """Return what the classes of a new package are called, by their names here."""
        return {word: self._put(names, word) for word in self._words() if self._is_own(word)}

    def foreign_words(self) -> set[str]:
        """Return the words that stay as they are: what it imports among them."""
        return {word for word in self._words() if not self._is_own(word)}

    def _words(self) -> set[str]:
        return set(re.findall(r"\w+", " ".join(self.texts().values())))

    def _is_own(self, word: str) -> bool:
        return self.names.class_ in word

    def _put(self, names: Names, text: str) -> str:
        # No name contains another: each has separators, or capitals, that the others lack.
        for old, new in zip(self.names, names, strict=True):
            text = text.replace(old, new)
        return text


def new_package(name: str, kind: str | None, parent: str, *, as_json: bool) -> None:
    """Write a package for a plugin, and say what to do next.

    Parameters
    ----------
    name : str
        What to call it.
    kind : str or None
        The name of its template; None is answered like one that does not exist.
    parent : str
        The folder that its own folder is made in.
    as_json : bool
        Whether to print a document instead of text for people.

    Raises
    ------
    UsageError
        If the name, the kind or the folder cannot be taken; nothing is written.
    StoreAccessError
        If the system refuses to write; nothing is left.
    """
    template, names = _template(kind), Names.of(name)
    folder = Path(parent, names.distribution)
    problem = _problem_with_name(name, names, template) or _problem_with_place(folder)
    if problem:
        raise UsageError(problem)
    texts = template.named(names)
    with _appearing(folder) as unfinished:
        for file, text in texts.items():
            _write(unfinished / file, text)
    if as_json:
        print_json(
            {
                "path": str(folder.resolve()),
                "files": sorted(texts),
                "kind": template.kind,
                "name": names.distribution,
            }
        )
    else:
        _tell(folder, sorted(texts), template.registry())


def templates() -> dict[str, Template]:
    """Return the template of each kind."""
    folders = sorted(file.parent for file in _TEMPLATES.glob("*/pyproject.toml"))
    return {folder.name: Template(folder.name, folder) for folder in folders}


def _template(kind: str | None) -> Template:
    known = templates()
    if kind in known:
        return known[kind]
    wrong = f"no plugin of the kind {kind!r} can be started{near(kind, (*known,))}" if kind else ""
    raise UsageError(
        f"{wrong or 'what kind of plugin is it to be?'} (available: {listed([*known])}); "
        "pick one of these with --kind"
    )


def _is_left_over(file: Path) -> bool:
    """Return whether a file is what tools leave; an installer compiles what it has installed."""
    leftovers = [part for part in file.parts if part.startswith((".", "__pycache__"))]
    return leftovers not in ([], [".gitignore"])


def _problem_with_name(name: str, names: Names, template: Template) -> str | None:
    """Return why a package cannot have this name, or None."""
    if not _NAME.fullmatch(name):
        return (
            f"{name!r} is no name for a package; use letters, digits and dashes, such as our-scope"
        )
    reason = (
        _problem_with_module(template, names)
        or _problem_with_key(template.registry(), names)
        or _problem_with_class(template, names)
    )
    return reason and f"the package cannot be called {name!r}: {reason}; choose another name"


def _problem_with_module(template: Template, names: Names) -> str | None:
    distribution, module = names.distribution, names.module
    if len(distribution) > _LONGEST_NAME:
        return f"it has {len(distribution)} letters, more than {_LONGEST_NAME}"
    if not module.isidentifier():
        return f"Python cannot import {module}, which begins with a digit"
    if keyword.iskeyword(module):
        return f"{module} is a word of the language Python"
    if module in sys.stdlib_module_names:
        return f"{module} is a module of Python's own library"
    if distribution in {"hcs", *ADDON_OF.values()} or distribution.startswith("hcs-"):
        return "that name is kept for hcs itself"
    if distribution in template.needs():
        return f"it needs another package of the name {distribution}"
    found = find_spec(module)
    if found is not None and found.origin is not None:
        return f"{module} is installed already, in {found.origin}"
    return None


def _problem_with_key(registry: str, names: Names) -> str | None:
    key = names.distribution
    owners = [info.origin for info in all_infos() if (info.kind, info.key) == (registry, key)]
    if (registry, key) in ADDON_OF:
        owners.append(ADDON_OF[registry, key])
    return f"{registry} {key!r} is a plugin of {owners[0]}" if owners else None


def _problem_with_class(template: Template, names: Names) -> str | None:
    classes = template.classes(names)
    taken = template.foreign_words().intersection(classes.values())
    if taken:
        return f"its class would be called {min(taken)}, as one of hcs is"
    # pytest collects whatever a module of tests has by such a name.
    tests = [new for old, new in classes.items() if _is_test(new) and not _is_test(old)]
    if tests:
        return f"its class would be called {min(tests)}, which pytest takes for tests"
    return None


def _is_test(class_: str) -> bool:
    return class_.startswith("Test")


def _problem_with_place(folder: Path) -> str | None:
    """Return why a package cannot be written there, or None."""
    if not folder.parent.is_dir():
        return f"there is no folder {folder.parent}; make it, or name another with --folder"
    if os.path.lexists(folder):
        return (
            f"{folder} exists already, and nothing is overwritten; "
            "choose another name, or another place with --folder"
        )
    return None


def _required(requirement: str) -> str:
    """Return the name of the distribution in a requirement such as ``NumPy>=2.1; ...``."""
    found = re.match(r"[-_.A-Za-z0-9]+", requirement)
    return Names.of(found[0]).distribution if found else requirement


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Make a folder that gets its name when the block ends well, and is gone otherwise."""
    unfinished = Path(temporary_path(folder))
    try:
        unfinished.mkdir()
        yield unfinished
        unfinished.rename(folder)
    except OSError as cause:
        raise access_error(cause, folder) from cause
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # not there when all went well


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def _tell(folder: Path, files: list[str], registry: str) -> None:
    click.echo(f"{folder} is a package that works:")
    for file in files:
        click.echo(f"  {file}")
    # pip takes a path for a name unless there is a separator in it.
    place = folder if folder.is_absolute() else os.path.join(os.curdir, folder)
    click.echo("Install it beside hcs, see that it is there, and run its tests:")
    click.echo(f"  python -m pip install -e {_quoted(f'{place}[test]')}")
    click.echo(f"  hcs plugins list --kind {registry.removeprefix('hcs.')}")
    click.echo(f"  python -m pytest {_quoted(str(folder))}")
    click.echo(f"Then make it yours: {folder / 'README.md'} says what to change where.")


def _quoted(text: str) -> str:
    """Return a word as the user's shell takes it."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)
