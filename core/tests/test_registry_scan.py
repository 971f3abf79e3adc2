"""What is installed is known without importing it, and as importlib.metadata knows it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs_core.registry import PluginInfo, _index
from hcs_core.registry._discovery import Discovery, Table
from hcs_core.registry._metadata import normalised

HEAVY = {
    *("numpy", "typing", "json", "re", "pathlib", "dataclasses", "threading", "logging", "inspect"),
    *("importlib.metadata", "importlib_metadata", "pluggy", "click", "rich", "torch", "jax"),
    *("tensorflow", "cupy", "pyclesperanto", "tifffile", "zarr", "tensorstore"),
}


def install(
    site: Path,
    name: str,
    entry_points: str | bytes | None,
    *,
    version: str = "1.0",
    suffix: str = "dist-info",
    metadata: bool = True,
) -> Path:
    """Lay a distribution into a folder as an installer would."""
    folder = site / f"{name.replace('-', '_')}-{version}.{suffix}"  # as the standard has it
    folder.mkdir(parents=True)
    if metadata:
        file = "METADATA" if suffix == "dist-info" else "PKG-INFO"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / file).write_text(text)
    if isinstance(entry_points, str):
        entry_points = entry_points.encode()
    if entry_points is not None:
        (folder / "entry_points.txt").write_bytes(entry_points)
    return folder


def run(script: str, *path: Path) -> str:
    """Run a script in a fresh interpreter that has `path` before all else."""
    code = "import sys; sys.path[:0] = " + repr([str(place) for place in path]) + "\n"
    done = subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def scan(path: list[Any]) -> list[PluginInfo]:
    """Return what counts of a path."""
    discovery = Discovery(("hcs.",), with_index=False, path=path)
    return [
        Table(kind, None, discovery).info(claim)
        for kind, claims in discovery.claims.items()
        for claim in claims
    ]


def found(*path: Path) -> list[tuple[str, str, str]]:
    infos = scan([str(place) for place in path])
    return [(f"{info.kind}.v{info.api}", info.key, info.value) for info in infos]


def test_importing_the_core_loads_nothing_heavy():
    loaded = run("before = set(sys.modules); import hcs_core; print(*set(sys.modules) - before)")
    assert set(loaded.split()) - {"__future__"} == {"hcs_core"}


def test_listing_plugins_loads_nothing_heavy_and_no_plugin(tmp_path):
    install(tmp_path, "acme", "[hcs.storage.v1]\nacme = acme_plugin:Backend\n")
    (tmp_path / "acme_plugin.py").write_text("raise SystemExit('imported')")
    loaded = run(
        """
        before = set(sys.modules)
        from hcs_core.registry import AutoRegisterMeta, Registry, all_infos
        registry = Registry("hcs.storage")
        assert "acme" in registry and len(registry) >= 1 and "acme" in list(registry)
        assert registry.info("acme").value == "acme_plugin:Backend"
        repr(registry), registry.infos(), [info.as_dict() for info in all_infos()]
        print(*set(sys.modules) - before)
        """,
        tmp_path,
    )
    assert set(loaded.split()) & HEAVY == set()
    assert {name for name in loaded.split() if not name.startswith("hcs_core")} <= {
        "__future__",
        "errno",
    }
    assert "acme_plugin" not in loaded


def test_every_name_of_the_catalogue_is_there():
    import hcs_core

    for name in hcs_core.__all__:
        assert getattr(hcs_core, name) is not None
    assert dir(hcs_core) == hcs_core.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        hcs_core.nonsense  # noqa: B018


def test_comments_blank_lines_windows_line_ends_and_spaces_are_as_in_importlib_metadata(tmp_path):
    install(
        tmp_path,
        "acme",
        b"# comment\r\n\r\n[console_scripts]\r\nx = y:z\r\n"
        b"[hcs.storage.v1]\r\n  # indented comment\r\n  one=a.b:C\r\n"
        b"two   =   a.b : D.e  [extra1, extra2]\r\n"
        b"; comment of the specification\r\nthree = module\r\n",
    )
    assert found(tmp_path) == [
        ("hcs.storage.v1", "one", "a.b:C"),
        ("hcs.storage.v1", "two", "a.b:D.e"),
        ("hcs.storage.v1", "three", "module"),
    ]


def test_groups_of_others_are_not_read(tmp_path):
    install(tmp_path, "acme", "[pytest11]\na = b\n[hcsx.storage.v1]\na = b:c\n")
    assert found(tmp_path) == []


def test_the_first_distribution_of_a_name_on_the_path_wins(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    install(first, "Acme_Plugins", "[hcs.x.v1]\na = first:A\n", version="1.0")
    install(second, "acme.plugins", "[hcs.x.v1]\na = second:A\nb = second:B\n", version="2.0")
    assert found(first, second) == [("hcs.x.v1", "a", "first:A")]
    assert [key for _, key, _ in found(second, first)] == ["a", "b"]


def test_what_an_uninstallation_left_does_not_hide_the_real_distribution(tmp_path):
    (tmp_path / "acme-1.0.dist-info/__pycache__").mkdir(parents=True)
    install(tmp_path, "acme", "[hcs.x.v1]\na = m:A\n", version="2.0")
    install(tmp_path, "~cme", "[hcs.x.v1]\na = m:A\n", version="0.9")
    (acme,) = scan([str(tmp_path)])
    assert (acme.distribution, acme.version) == ("acme", "2.0")


def test_of_two_versions_in_one_folder_the_one_installed_last_wins(tmp_path):
    for version in ("1.0", "2.0"):
        install(tmp_path, "acme", f"[hcs.x.v1]\na = m:V{version[0]}\n", version=version)
    for newest in ("1.0", "2.0"):
        for version in ("1.0", "2.0"):
            time = 2000 if version == newest else 1000
            os.utime(tmp_path / f"acme-{version}.dist-info/METADATA", (time, time))
        assert [acme.version for acme in scan([str(tmp_path)])] == [newest]


def test_a_folder_reached_under_two_names_is_read_once(tmp_path):
    install(tmp_path / "lib", "acme", "[hcs.x.v1]\na = m:A\n")
    try:
        (tmp_path / "lib64").symlink_to(tmp_path / "lib")
    except OSError:
        pytest.skip("needs the right to make links")
    assert found(tmp_path / "lib", tmp_path / "lib64", tmp_path / "lib") == [
        ("hcs.x.v1", "a", "m:A")
    ]


def test_metadata_of_a_source_tree_counts(tmp_path):
    folder = tmp_path / "acme.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: acme\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[hcs.x.v1]\na = m:A\n")
    assert found(tmp_path) == [("hcs.x.v1", "a", "m:A")]


def test_a_zip_file_on_the_path_is_read_through_importlib_metadata(tmp_path):
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("acme-1.0.dist-info/METADATA", "Name: acme\nVersion: 1.0\n")
        file.writestr("acme-1.0.dist-info/entry_points.txt", "[hcs.x.v1]\na = m:A\n")
        file.writestr("bare-1.0.dist-info/entry_points.txt", "[hcs.x.v1]\nb = m:B\n")
    assert ("hcs.x.v1", "a", "m:A") in found(archive)


def test_odd_entries_of_the_path_are_skipped_as_imports_skip_them(tmp_path):
    (tmp_path / "file").write_text("no archive")
    odd = [str(tmp_path / "missing"), str(tmp_path / "file"), "\0", 3, None, Path(tmp_path)]
    assert scan(odd) == []


def test_unreadable_metadata_breaks_only_itself(tmp_path):
    (tmp_path / "a-1.0.dist-info/entry_points.txt").mkdir(parents=True)
    install(tmp_path, "b", b"[hcs.x.v1]\n\xff\xfe = m:A\nno equals sign\n= m:B\n[hcs.x.v1")
    install(tmp_path, "c", "[hcs.x.v1]\nc = m:C\n")
    assert ("hcs.x.v1", "c", "m:C") in found(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a working directory from removal")
def test_a_working_directory_that_is_gone_is_no_error(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"""
    import os
    os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})
    sys.path.insert(0, "")
    from hcs_core.registry import all_infos
    print("listed", len(all_infos()) >= 0)
    """
    assert run(script) == "listed True"


@pytest.mark.parametrize("name", ["Foo.Bar", "foo-bar", "FOO__bar", "foo-_.bar", "foo_bar"])
def test_names_are_compared_as_in_pep_503(name):
    assert normalised(name) == "foo-bar"


# -- the same as importlib.metadata, on random layouts ----------------------------------------


SPACES = st.sampled_from(["", " ", "\t", "  "])
DISTRIBUTIONS = st.sampled_from(["acme", "Acme", "ac.me", "ac-me", "ac__me", "other", "tool_kit"])
GROUPS = st.sampled_from(["hcs.storage.v1", "hcs.storage.v2", "hcs.kernels.v1", "console_scripts"])
VALUES = st.sampled_from(["a.b:C", "mod:attr.inner", "module", "a:b [x]", "a : b", "a:b [x, y]"])
LINES = st.one_of(
    st.just(""),
    st.builds("{}# {}".format, SPACES, st.text("ab [=]#", max_size=6)),
    st.builds("{}[{}]{}".format, SPACES, GROUPS, SPACES),
    st.builds(
        "{}{}{}={}{}{}".format,
        SPACES,
        st.sampled_from(["one", "two", "Three", "ünï", "with space", "a.b"]),
        SPACES,
        SPACES,
        VALUES,
        SPACES,
    ),
)
# What no build tool writes, but a person may, or a damaged disk.
ODD = """
[foo = bar
foo] = bar
[foo = a:b]
[foo = a]b
[hcs.storage.v1
hcs.storage.v1]
[[hcs.storage.v1]]
[hcs.storage.v1]]
[hcs.storage.v1] # comment
[hcs.storage.v1] = a:b
[hcs.storage.v1] x]
[ hcs.storage.v1 ]
\ufeff[hcs.storage.v1]
# [hcs.storage.v1]
y [hcs.storage.v1] = a:b
x = a.b:c [hcs.kernels.v1]
x = a:b [hcs.y
x = a:b [
x = a:b []
x = [a:b]
x = a-b:c
x = a:b:c
x =
= a:b
=
a == b
no equals sign
[]
[[
]
[hcs]
[hcs.]
#
# much
# nearly as much
"""
# The file is larger than what is read at once, or as large; short for whom a failure is told.
MUCH = {"# much": "#" * (1 << 14), "# nearly as much": "#" * ((1 << 14) - 19)}
ENDS = st.sampled_from(
    ["\n", "\n", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\n\n", "\n "]
)
FILES = st.builds(
    lambda group, lines, end: end.join([f"[{group}]", *lines, ""]),
    GROUPS,
    st.lists(LINES, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
ODD_LINES = LINES | st.sampled_from(ODD.split("\n"))
ODD_FILES = st.builds(
    lambda lines, last: "".join(line + end for line, end in lines) + last,
    st.lists(st.tuples(ODD_LINES, ENDS), max_size=9),
    ODD_LINES,
)
FOLDERS = st.lists(
    st.tuples(
        DISTRIBUTIONS,
        st.sampled_from(["1.0", "2.0", "1.0+local", "3.0.dev1"]),
        st.sampled_from(["dist-info", "egg-info", "source"]),
        st.none() | FILES | ODD_FILES,
        st.sampled_from([True, True, True, False]),
    ),
    max_size=4,
    unique_by=lambda row: normalised(row[0]),  # of two in one folder, theirs is any
)


def written(text: str) -> bytes:
    for short, long in MUCH.items():
        text = text.replace(short, long)
    return text.encode()


def theirs(path: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield what importlib_metadata finds: group, key, value, distribution and version."""
    import importlib_metadata
    from importlib_metadata._collections import Pair

    def parse(cls: Any, line: str) -> Any:
        key, equals, value = line.partition("=")
        return cls(key.strip(), value.strip() if equals else None)

    # It reads nothing at all where one line of one distribution has no "=": hence `parse`.
    patched = mock.patch.object(Pair, "parse", classmethod(parse))
    with patched, mock.patch.object(sys, "path", path):
        points = list(importlib_metadata.entry_points())
    for point in points:
        # An empty key names nothing, and in the standard ";" begins a comment too.
        is_line = point.name and point.name[0] != ";" and point.value is not None
        if is_line and point.group.startswith("hcs."):
            name = normalised(point.dist._normalized_name)
            yield point.group, point.name, target(point), name, version(point.dist)


def target(point: Any) -> str:
    """Return module and attribute of an entry point, "?" of one that cannot be loaded."""
    try:
        return ":".join(part for part in (point.module, point.attr) if part)
    except ValueError:
        return "?"


def version(distribution: Any) -> str:
    """Return its version; without metadata only its folder's name can say it."""
    import importlib_metadata

    try:
        return str(distribution.version)
    except importlib_metadata.MetadataNotFound:
        return str(distribution._path.stem.partition("-")[2])


def compared(path: list[str]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """Return what both find; of values that cannot be loaded only that they are there."""
    wanted: set[tuple[str, ...]] = set(theirs(path))
    broken = {(*row[:2], *row[3:]) for row in wanted if row[2] == "?"}
    got: set[tuple[str, ...]] = set()
    for i in scan(path):
        row = (f"{i.kind}.v{i.api}" if i.api else i.kind, i.key, i.value, i.distribution, i.version)
        got.add((*row[:2], "?", *row[3:]) if (*row[:2], *row[3:]) in broken else row)
    return got, {row for row in wanted if row[2] == "?" or (*row[:2], *row[3:]) not in broken}


@settings(max_examples=150, deadline=None)
@given(folders=st.lists(FOLDERS, min_size=1, max_size=3))
def test_the_scan_agrees_with_importlib_metadata_on_any_layout(tmp_path_factory, folders):
    got, wanted = compared(lay(tmp_path_factory.mktemp("path"), folders))
    assert got == wanted


def lay(root: Path, folders: list[list[Any]]) -> list[str]:
    """Install all distributions of a layout, and return the path."""
    path = []
    for number, rows in enumerate(folders):
        place = root / str(number)
        place.mkdir()
        path.append(str(place))
        for name, version, suffix, entry_points, metadata in rows:
            content = None if entry_points is None else written(entry_points)
            if suffix == "source":
                about = place / f"{name.replace('-', '_')}.egg-info"
                install(place, name, content, version=version, suffix="egg-info").rename(about)
            else:
                install(place, name, content, version=version, suffix=suffix, metadata=metadata)
    return path


@pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")
@settings(max_examples=80, deadline=None)
@given(folders=st.lists(FOLDERS, min_size=1, max_size=3))
def test_the_index_says_the_same_as_a_scan_of_any_layout(tmp_path_factory, folders):
    root = tmp_path_factory.mktemp("path")
    path = lay(root, folders)
    home = {"HCS_PLUGIN_INDEX": "on", "HOME": str(root), "XDG_CACHE_HOME": str(root)}
    wanted = everything(Discovery(("hcs.",), with_index=False, path=path))
    # A young stamp is not stored, and two seconds are long.
    with mock.patch.dict(os.environ, home), mock.patch.object(_index, "RACY_NS", -(10**18)):
        first, second = (Discovery(("hcs.",), with_index=True, path=path) for _ in range(2))
    assert everything(first) == everything(second) == wanted
    assert not second.is_live
    assert all(place.from_index for place in second.places)


def everything(discovery: Discovery) -> list[str]:
    """Return all that is known of every declaration, also of those that do not count."""
    kinds = {*discovery.claims, *discovery.shadowed}
    infos = [info for kind in kinds for info in Table(kind, (1,), discovery).infos(all=True)]
    return sorted(f"{info!r} {info.location} {info.error}" for info in infos)


@settings(max_examples=300, deadline=None)
@given(text=ODD_FILES)
def test_an_odd_file_is_read_as_importlib_metadata_reads_it(tmp_path_factory, text):
    place = tmp_path_factory.mktemp("path")
    install(place, "acme", written(text))
    got, wanted = compared([str(place)])
    assert got == wanted


def test_a_group_whose_number_is_too_long_for_a_number_harms_nobody(tmp_path):
    install(tmp_path, "acme", f"[hcs.x.v{'9' * 5000}]\na = m:A\n[hcs.x.v1]\nb = m:B\n")
    assert ("hcs.x.v1", "b", "m:B") in found(tmp_path)
