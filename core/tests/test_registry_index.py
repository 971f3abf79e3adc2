"""The persistent index is only ever a faster way to the same answer."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.errors import SettingError, UnknownPluginError
from hcs_core.registry import Registry, _discovery, _index, _package
from hcs_core.registry import _registry as registry_module
from hcs_core.testing.registry import write_distribution

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")

SOURCES = str(Path(_index.__file__).parents[2])
NEVER_YOUNG = -(10**18)
LIST = """
import sys
from hcs_core.registry import Registry, _discovery, _index
_index.RACY_NS = -10**18
print(sys.stdin.readline().strip() or "ready", *Registry("hcs.bench"), flush=True)
"""


class Home:
    """A user's home, and a folder of plugins on the path."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "home"
        self.site = root / "site"
        self.folder.mkdir()
        self.site.mkdir()
        self.install("alpha", "a")
        self.install("beta", "b")
        write_distribution(self.site, "plain", {})
        (self.site / "evil_plugin.py").write_text("class C: ...")

    def install(self, name: str, key: str) -> None:
        module = f"{name}_plugin"
        points = {"hcs.bench.v1": {key: f"{module}:C"}}
        write_distribution(self.site, name, points, {f"{module}.py": "class C: ..."})

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "HCS_CONFIG": "",
            "XDG_CONFIG_HOME": str(self.folder),
            "HCS_PLUGIN_INDEX": "on",
        }

    @property
    def file(self) -> Path:
        """The index; there is one."""
        (file,) = self.folder.rglob("plugins-*.txt")
        return file

    def start(self, script: str, *options: str, **settings: str) -> subprocess.Popen[str]:
        """Start a fresh process with this home, and the plugins on its path."""
        path = f"import sys; sys.path[:0] = [{str(self.site)!r}, {SOURCES!r}]\n"
        return subprocess.Popen(
            [settings.pop("python", sys.executable), *options, "-c", path + script],
            env=os.environ | self.settings | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *options: str, **settings: str) -> str:
        process = self.start(script, *options, **settings)
        output, error = process.communicate()
        assert process.returncode == 0, error
        return output.strip()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = Home(tmp_path)
    for name, value in made.settings.items():
        monkeypatch.setenv(name, value)
    # Not what else is installed here: some tests look a thousand times.
    path = [place for place in sys.path if "-packages" not in place]
    monkeypatch.setattr(sys, "path", [str(made.site), *path])
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(registry_module, "_KINDS", {})
    for module in (_index, _package):  # two seconds are long in a test
        monkeypatch.setattr(module, "RACY_NS", NEVER_YOUNG)
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if name.endswith("_plugin"):
            del sys.modules[name]


@pytest.fixture
def indexed(home: Home) -> Home:
    """Return a home that has an index, of which it is shown that it is used."""
    assert look() == ["a", "b"]
    assert look() == ["a", "b"]
    assert was_indexed()
    return home


def look(**options: Any) -> list[str]:
    """Return the keys as a process does that has not looked before."""
    _discovery._current = None
    return list(Registry("hcs.bench", **options))


def was_indexed() -> bool:
    return not _discovery.current("hcs.").is_live


def state() -> str:
    index = _discovery.current("hcs.").index
    return "" if index is None else index.state


def reseal(file: Path, change: Callable[[str], str]) -> None:
    """Change an index as somebody would who knows how its checksum is made."""
    text = file.read_bytes().partition(b"\n")[2].decode()
    changed = change(text)
    assert changed != text
    _index._write(str(file), changed)


@pytest.fixture
def time_limit() -> Iterator[None]:
    """End what hangs, and say so."""

    def stop(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# -- a file that is not as we wrote it is no index ------------------------------------------------


def be_writable(file: Path, mode: int) -> None:
    file.chmod(mode)


def belong_to_another(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 12345, 12345)


def be_a_link(file: Path) -> None:
    target = file.with_name("elsewhere")
    file.rename(target)
    file.symlink_to(target)


def be_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def be_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def be_huge(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(1 << 36)  # sparse


SPOILED: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "one byte": lambda file: file.write_bytes(b"\0"),
    "one line end": lambda file: file.write_bytes(b"\n"),
    "binary": lambda file: file.write_bytes(random.Random(1).randbytes(5000)),
    "zeros": lambda file: file.write_bytes(bytes(5000)),
    "json": lambda file: file.write_bytes(b'{"version": 1, "plugins": null}'),
    "not UTF-8": lambda file: file.write_bytes(file.read_bytes().replace(b"beta", b"\xff\xfea")),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\n"),
    "longer by zeros": lambda file: file.write_bytes(file.read_bytes() + bytes(4096)),
    "twice": lambda file: file.write_bytes(file.read_bytes() * 2),
    "group-writable": lambda file: be_writable(file, 0o620),
    "world-writable": lambda file: be_writable(file, 0o602),
    "another's": belong_to_another,
    "a link": be_a_link,
    "a folder": be_a_folder,
    "a pipe": be_a_pipe,
    "huge": be_huge,
    "another format": lambda file: reseal(file, lambda text: text.replace("index 1", "index 2")),
    "another environment": lambda file: reseal(
        file, lambda text: text.replace(sys.prefix, "/another", 1)
    ),
    "without its end": lambda file: reseal(file, lambda text: text.removesuffix("end\n")),
}


@pytest.mark.usefixtures("time_limit")
@pytest.mark.parametrize("how", SPOILED)
def test_an_index_that_is_not_as_we_wrote_it_is_a_miss_and_is_written_anew(indexed, how):
    file = indexed.file
    SPOILED[how](file)
    assert look() == ["a", "b"]
    assert not was_indexed()
    if how == "a folder":  # not ours to remove
        assert look() == ["a", "b"]
        return
    assert look() == ["a", "b"]
    assert was_indexed()
    about = file.lstat()
    assert stat.S_ISREG(about.st_mode)
    assert (stat.S_IMODE(about.st_mode), about.st_uid) == (0o600, os.geteuid())


def test_what_is_wrong_with_an_index_is_told(indexed):
    assert state() == "used"
    indexed.file.chmod(0o666)
    look()
    assert state() == "refused: others may write it"
    indexed.file.unlink()
    look()
    assert state() == "absent"


def test_an_index_cut_short_at_any_length_is_a_miss(indexed):
    file, whole = indexed.file, indexed.file.read_bytes()
    ends = {*range(120), *range(len(whole) - 120, len(whole)), *range(0, len(whole), 17)}
    for length in sorted(ends & {*range(len(whole))}):
        file.write_bytes(whole[:length])
        assert (look(), was_indexed()) == (["a", "b"], False), length


def test_an_index_with_any_byte_changed_is_a_miss(indexed):
    file, whole = indexed.file, indexed.file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert (look(), was_indexed()) == (["a", "b"], False), place


def spoil_segment(home: Home, rows: Callable[[list[str]], list[str]]) -> None:
    """Change the rows of the segment of our folder, and seal the index again."""

    def change(text: str) -> str:
        before, mark, rest = text.partition(f">{home.site}\n")
        body, next_mark, after = rest.partition("\n>")
        if not next_mark:
            body, next_mark, after = rest.removesuffix("\nend\n"), "\nend\n", ""
        return before + mark + "\n".join(rows(body.split("\n"))) + next_mark + after

    reseal(home.file, change)


NONSENSE: dict[str, Callable[[list[str]], list[str]]] = {
    "no rows": lambda rows: [],
    "an empty row": lambda rows: [rows[0], "", *rows[1:]],
    "a row of nothing but a letter": lambda rows: [*rows, "P"],
    "an unknown letter": lambda rows: [*rows, "Q\t1 2 3 4 5"],
    "a key without a value": lambda rows: [f"{row}\tkey" for row in rows],
    "no stamps": lambda rows: [row.replace(" ", "") for row in rows],
    "a zero byte in a name": lambda rows: [row.replace("beta-", "be\0ta-") for row in rows],
    "a name that is no Unicode": lambda rows: [row.replace("beta-", "\udc80-") for row in rows],
}


@pytest.mark.parametrize("how", NONSENSE)
def test_a_well_sealed_segment_of_nonsense_harms_nobody(indexed, how):
    spoil_segment(indexed, NONSENSE[how])
    things: Registry[Any] = Registry("hcs.bench")
    _discovery._current = None
    assert set(things) <= {"a", "b"}
    assert things["b"].__module__ == "beta_plugin"
    assert list(things) == ["a", "b"]


# -- nothing is imported on its word alone --------------------------------------------------------


def test_an_index_that_names_another_module_has_nothing_of_it_imported(indexed):
    reseal(indexed.file, lambda text: text.replace("beta_plugin:C", "evil_plugin:C"))
    assert look() == ["a", "b"]
    assert was_indexed()
    assert Registry("hcs.bench")["b"].__module__ == "beta_plugin"
    assert "evil_plugin" not in sys.modules


def test_an_index_that_names_a_plugin_that_is_not_installed_has_it_not_imported(indexed):
    reseal(indexed.file, lambda text: text.replace("\tb\tbeta_plugin:C", "\tz\tevil_plugin:C"))
    assert look() == ["a", "z"]
    things: Registry[Any] = Registry("hcs.bench")
    with pytest.raises(UnknownPluginError):
        things["z"]
    assert list(things) == ["a", "b"]
    assert "evil_plugin" not in sys.modules


def stamp(path: Path) -> str:
    return _discovery.stamp_text(_discovery.stamp_of(path.stat()))


@pytest.mark.parametrize("entry", ["../evil/beta-1.0.dist-info", "sub/beta-1.0.dist-info", "data"])
def test_an_index_that_leads_to_metadata_elsewhere_is_not_followed(indexed, entry):
    points = indexed.site / "beta-1.0.dist-info/entry_points.txt"
    swaps = {"beta-1.0.dist-info": entry, "beta_plugin:C": "evil_plugin:C"}
    stamps = stamp(points), stamp(indexed.site)
    elsewhere = indexed.site / entry / "entry_points.txt"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text("[hcs.bench.v1]\nb = evil_plugin:C\n")
    swaps |= {stamps[0]: stamp(elsewhere), stamps[1]: stamp(indexed.site)}

    def mislead(text: str) -> str:
        for old, new in swaps.items():
            assert old in text
            text = text.replace(old, new)
        return text

    reseal(indexed.file, mislead)
    _discovery._current = None
    things: Registry[Any] = Registry("hcs.bench")
    assert things["b"].__module__ == "beta_plugin"
    assert "evil_plugin" not in sys.modules


def test_a_plugin_that_is_missing_in_the_index_is_found_when_it_is_used(indexed):
    spoil_segment(indexed, lambda rows: [row for row in rows if "beta" not in row])
    assert look() == ["a"]
    things: Registry[Any] = Registry("hcs.bench")
    assert things["b"].__module__ == "beta_plugin"
    assert list(things) == ["a", "b"]


APPLICATION = """
from hcs_core.registry import AutoRegisterMeta, registries
class Reader(metaclass=AutoRegisterMeta, registry=registries()["hcs.bench"]): ...
class Mine(Reader, key="mine"): ...
class Yours(Reader, key="yours"): ...
"""


@pytest.fixture
def application(home: Home) -> Iterator[Path]:
    package = home.site / "an_application"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_readers_plugin.py").write_text(APPLICATION)
    (package / "_evil_plugin.py").write_text(APPLICATION.replace("mine", "evil"))
    assert look(package="an_application") == ["a", "b", "evil", "mine", "yours"]
    yield package
    for name in list(sys.modules):
        if name.startswith("an_application"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("an_application._readers_plugin\tMine", "evil_plugin\tC"),
        ("an_application._readers_plugin\tMine", "an_application._evil_plugin\tMine"),
        ("_readers_plugin\tMine", "_readers_plugin\tYours"),
    ],
)
def test_an_index_that_misleads_of_an_applications_own_package_is_not_believed(
    home, application, was, now
):
    before = home.file.read_text()
    assert was in before
    _index._write(str(home.file), before.partition("\n")[2].replace(was, now, 1))
    _discovery._current = None
    registry_module._KINDS.clear()
    readers: Registry[Any] = Registry("hcs.bench", package="an_application")
    assert readers["mine"].__qualname__ == "Mine"
    assert readers["mine"].__module__ == "an_application._readers_plugin"
    assert not {"evil_plugin", "an_application._evil_plugin"} & set(sys.modules)


@pytest.mark.parametrize(
    "nonsense", ["x", "x\ty", "\t\t", "1 2 3 4 5\t/no/such/file", "1 2\t\0", ""]
)
def test_nonsense_of_an_applications_own_package_is_a_miss(home, application, nonsense):
    text = home.file.read_text().partition("\n")[2]
    before, mark, _ = text.partition(" as an_application\n")
    assert mark
    _index._write(str(home.file), f"{before}{mark}{nonsense}\nend\n")
    assert look(package="an_application") == ["a", "b", "evil", "mine", "yours"]


# -- homes in which nothing can be written ---------------------------------------------------------


def no_home(home: Home) -> str:
    shutil.rmtree(home.folder)
    home.folder.write_text("a file")
    return str(home.folder / "cache")


def no_folder(home: Home) -> str:
    (home.folder / "cache").mkdir()
    (home.folder / "cache/hcs").write_text("a file")
    return str(home.folder / "cache")


def read_only(home: Home) -> str:
    if os.geteuid() != 0:
        home.folder.chmod(0o500)
        return str(home.folder / "cache")
    if not os.path.isdir("/proc/self"):
        pytest.skip("root may write everywhere here")
    return "/proc/self/fd"  # where not even root can make a folder


@pytest.mark.parametrize("made", [no_home, no_folder, read_only])
def test_a_home_that_cannot_be_written_is_no_error(home, monkeypatch, made):
    monkeypatch.setenv("XDG_CACHE_HOME", made(home))
    for _ in range(2):
        assert look() == ["a", "b"]
        assert not was_indexed()
    assert state().startswith("not written")


def test_a_home_that_is_not_there_is_made(home):
    shutil.rmtree(home.folder)
    look()
    assert home.file.stat().st_size > 0


def test_the_index_is_for_its_owner_alone_whatever_the_umask(home):
    before = os.umask(0)
    try:
        look()
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.file.parent.stat().st_mode) == 0o700


# -- several processes and environments -----------------------------------------------------------


def test_two_environments_with_one_home_have_an_index_each(home, tmp_path):
    scripts = "Scripts" if os.name == "nt" else "bin"
    made = {name: tmp_path / name / "venv" for name in ("first", "second")}
    for name, folder in made.items():
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, text=True
        )
        (packages,) = folder.rglob("site-packages")
        write_distribution(packages, name, {"hcs.bench.v1": {name: f"{name}_plugin:C"}})
    told = {}
    for _ in range(2):  # the second time with an index
        for name, folder in made.items():
            told[name] = home.run(LIST, python=str(folder / scripts / "python"))
    assert told == {"first": "ready a b first", "second": "ready a b second"}
    assert len([*home.folder.rglob("plugins-*.txt")]) == 2


def test_many_processes_that_start_at_once_write_a_whole_index(home):
    processes = [home.start(LIST) for _ in range(24)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate() for process in processes]
    assert told == [("go a b\n", "")] * 24
    assert look() == ["a", "b"]
    assert home.run(f"{LIST}\nprint(_discovery.current().is_live)") == "ready a b\nFalse"
    assert [*home.folder.rglob("*.tmp")] == []


KILLED = """
import os, signal
def stop(*arguments): os.kill(os.getpid(), signal.SIGKILL)
from hcs_core.registry import Registry, _index
_index.RACY_NS = -10**18
if {when!r} == "before it is in place": os.replace = stop
elif {when!r} == "after it is in place":
    replace = os.replace
    os.replace = lambda *a: [replace(*a), stop()]
else: _index._checksum = stop
print(*Registry("hcs.bench"))
"""


@pytest.mark.parametrize(
    "when", ["while it is written", "before it is in place", "after it is in place"]
)
def test_a_process_that_is_killed_while_writing_leaves_the_old_or_the_new_one(indexed, when):
    old = indexed.file.read_bytes()
    indexed.install("gamma", "g")
    process = indexed.start(KILLED.format(when=when))
    output, _ = process.communicate()
    assert (process.returncode, output) == (-signal.SIGKILL, "")
    assert (indexed.file.read_bytes() == old) == (when != "after it is in place")
    assert look() == ["a", "b", "g"]


def test_what_killed_processes_left_is_swept_when_it_is_old(indexed):
    folder, name = indexed.file.parent, indexed.file.name
    young, old = folder / f"{name}.1-1.tmp", folder / f"{name}.2-2.tmp"
    others = [folder / "mine.txt", folder / "plugins-other.txt.3-3.tmp", folder / f"{name}.txt"]
    for path in (young, old, *others):
        path.write_text("half")
    for path in (old, *others):
        os.utime(path, (0, 0))
    indexed.install("gamma", "g")
    for path in others[1:]:
        assert path.exists()
    _discovery._current = None
    assert "g" in Registry("hcs.bench")
    assert {path.name for path in folder.iterdir()} == {
        name,
        young.name,
        *(path.name for path in others),
    }


def test_isolated_python_neither_uses_nor_writes_it(indexed):
    reseal(indexed.file, lambda text: text.replace("\tb\tbeta_plugin:C", "\tz\tevil_plugin:C"))
    assert indexed.run(LIST) == "ready a z"  # so it is there to be used
    wrong = indexed.file.read_bytes()
    assert indexed.run(LIST, "-I") == "ready a b"
    assert indexed.file.read_bytes() == wrong
    indexed.file.unlink()
    assert indexed.run(LIST, "-I") == "ready a b"
    assert [*indexed.folder.rglob("plugins-*")] == []


# -- when it is used and written ------------------------------------------------------------------


def test_off_neither_reads_nor_writes_it(indexed):
    reseal(indexed.file, lambda text: text.replace("\tb\tbeta_plugin:C", "\tz\tevil_plugin:C"))
    wrong = indexed.file.read_bytes(), indexed.file.stat().st_mtime_ns
    watch = "files = []\nsys.addaudithook(lambda event, a: files.append((event, str(a))))\n"
    told = "{e for e, file in files if 'plugins-' in file} - {'marshal.loads'}"
    script = f"import sys\n{watch}{LIST}\nprint({told})"
    for mode in ("off", "OFF", "", " "):
        assert indexed.run(script, HCS_PLUGIN_INDEX=mode) == "ready a b\nset()"
    assert (indexed.file.read_bytes(), indexed.file.stat().st_mtime_ns) == wrong
    assert indexed.run(script, HCS_PLUGIN_INDEX="on").startswith("ready a z\n{'o")  # would be told


def test_auto_writes_one_only_after_a_slow_scan(home, monkeypatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "auto")
    monkeypatch.setattr(_discovery, "WORTH_AN_INDEX_S", 1e6)
    assert look() == ["a", "b"]
    assert [*home.folder.rglob("plugins-*")] == []
    monkeypatch.setattr(_discovery, "WORTH_AN_INDEX_S", 0.0)
    assert look() == ["a", "b"]
    assert not was_indexed()
    assert look() == ["a", "b"]
    assert was_indexed()


def test_auto_adds_what_has_changed_to_an_index_that_is_there(home, monkeypatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "auto")
    monkeypatch.setattr(_discovery, "WORTH_AN_INDEX_S", 0.0)
    look()
    home.install("gamma", "g")  # in one folder of several
    assert look() == ["a", "b", "g"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda path: pytest.fail(f"{path} is listed again"))
        assert look() == ["a", "b", "g"]


def test_what_has_changed_in_the_last_two_seconds_is_not_stored(home, monkeypatch):
    monkeypatch.setattr(_index, "RACY_NS", _discovery.RACY_NS)
    assert look() == ["a", "b"]
    for file in home.folder.rglob("plugins-*"):
        assert f">{home.site}\n" not in file.read_text()


def test_a_new_working_directory_has_one_folder_scanned(home, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    folders = [tmp_path / "here", tmp_path / "there"]
    listed: list[str] = []
    original = os.listdir

    def listdir(path: str) -> list[str]:
        listed.append(path)
        return original(path)

    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    look()
    monkeypatch.setattr(os, "listdir", listdir)
    for folder in (folders[1], folders[0], folders[1]):
        monkeypatch.chdir(folder)
        assert look() == ["a", "b"]
    cache = str(home.file.parent)  # swept whenever it is written
    assert [path for path in listed if path != cache] == [str(folders[1])]


def test_it_does_not_grow_with_every_working_directory(home, tmp_path, monkeypatch):
    path = list(sys.path)
    for number in range(80):
        place = tmp_path / f"place{number}"
        place.mkdir()
        monkeypatch.setattr(sys, "path", [str(place), *path])
        look()
    text = home.file.read_text()
    assert text.count("\n>") <= 64
    assert f">{home.site}\n" in text
    assert f">{tmp_path}/place79\n" in text
    assert f">{tmp_path}/place0\n" not in text


ODD = ["ta\tb", "line\nend", ">mark", "\udcff", "ünï", " space ", "e\rr"]


@pytest.mark.parametrize("name", ODD)
def test_folders_of_any_name_are_listed_right_with_it_and_without(home, name):
    try:
        write_distribution(home.site / name, "gamma", {"hcs.bench.v1": {"g": "gamma_plugin:C"}})
        (home.site / f"{name}-1.dist-info").mkdir()
    except OSError:
        pytest.skip("the file system has no such names")
    sys.path.insert(0, str(home.site / name))
    for _ in range(3):
        assert look() == ["a", "b", "g"]


@pytest.mark.parametrize("value", ["yes", "1", "of f", "on,off"])
def test_a_setting_that_cannot_be_understood_is_told_in_one_line(home, monkeypatch, value):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", value)
    with pytest.raises(SettingError) as caught:
        look()
    assert str(caught.value) == (
        f"the environment variable HCS_PLUGIN_INDEX is {value!r}, but must be auto, on or off"
    )


def test_a_file_that_is_being_written_is_not_taken_for_one_without_plugins(home, monkeypatch):
    monkeypatch.setattr(_index, "RACY_NS", 300_000_000)
    points = home.site / "late-1.0.dist-info" / "entry_points.txt"
    points.parent.mkdir()
    points.write_text("[hcs.bench.v1]\nold = m:L\n")
    time.sleep(0.4)
    points.write_text("")  # opened for writing, with nothing in it yet
    assert "old" not in look()
    points.write_text("[hcs.bench.v1]\nlate = m:L\n")
    assert "late" in look()
