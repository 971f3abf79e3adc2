"""`hcs plugins doctor`: plugins that do the worst, and environments that went wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.cli import _plugin_findings as findings
from hcs_core.cli import main
from hcs_core.cli._plugin_findings import Finding
from hcs_core.cli._plugin_probes import Probe
from hcs_core.cli._plugin_settings import readable_settings
from hcs_core.cli._probe import ROOM_OF
from hcs_core.registry import all_infos, registries
from hcs_core.registry._discovery import discover
from hcs_core.registry._known import API_OF
from hcs_core.testing import isolated_registry
from hcs_core.testing.registry import IsolatedRegistry, write_distribution

MAIN = "from hcs_core.cli import main; main()"
GOOD = "from hcs_core.kernels import KernelLibrary\nLIBRARY = KernelLibrary({key!r}, ())\n"
POSIX = pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")

NASTY = {
    "raises": "raise ImportError('libcuda.so is missing\\nand more')",
    "exits": "import sys\nsys.exit(3)",
    "vanishes": "import os\nos._exit(0)",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "interrupts": "raise KeyboardInterrupt",
    "panics": "class Panic(BaseException): pass\nraise Panic('thread panicked')",
    "lacks": "",
    "wrong": "LIBRARY = dict",
    "renamed": GOOD.format(key="other"),
}
TALKS = """
import os, sys
print('{"rubbish": ' * 1000)
os.write(2, b'\\xff' * 100_000)
sys.stdout = sys.stderr = None
"""
PARENT = """
import subprocess, sys
from pathlib import Path
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Path(__file__).with_suffix(".pid").write_text(str(started.pid))
"""
THREADS = """
import threading, time
for name, daemon in (("watcher", False), ("servant", True)):
    threading.Thread(target=time.sleep, args=(60,), name=name, daemon=daemon).start()
threading.Thread(target=time.sleep, args=(0.05,), name="brief").start()
"""
LOOKS = """
import sys
from pathlib import Path
seen = [*sys.argv[1:], *sys.modules]
Path(__file__).with_suffix(".txt").write_text(chr(10).join(seen))
"""
HANGS = """
import os, subprocess, sys, time
from pathlib import Path
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
told = Path(__file__).with_suffix(".part")
told.write_text(f"{os.getpid()} {started.pid}")
told.rename(told.with_suffix(".pid"))
while True:
    time.sleep(60)
"""
WELL = {
    "talks": TALKS + GOOD.format(key="talks"),
    "parent": PARENT + GOOD.format(key="parent"),
    "threads": THREADS + GOOD.format(key="threads"),
    "looks": LOOKS + GOOD.format(key="looks"),
    "grows": "block = bytearray(b'x') * 60_000_000\n" + GOOD.format(key="grows"),
}


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor in a process of its own, with a folder on the path."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, "plugins", "doctor", *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment(folder),
        timeout=120,
    )


def install(folder: Path, plugins: dict[str, str]) -> None:
    """Install kernel libraries, each in a module `toy_<key>`."""
    declared = {key: f"toy_{key}:LIBRARY" for key in plugins}
    files = {f"toy_{key}.py": source for key, source in plugins.items()}
    write_distribution(folder, "acme", {"hcs.kernels.v1": declared}, files)


def is_running(pid: int) -> bool:
    """Return whether a process lives; one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no Linux, or it has just ended
        return not Path("/proc/self").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasty")
    install(folder, NASTY | WELL)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """What the doctor says of an environment with many nasty plugins in it."""
    done = run(folder, "--json")
    assert done.returncode == 1, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture
def empty() -> Iterator[IsolatedRegistry]:
    with isolated_registry() as environment:
        yield environment


def plugin(report: dict[str, Any], key: str) -> dict[str, Any]:
    (row,) = [row for row in report["plugins"] if row["key"] == key and "toy" in row["value"]]
    return dict(row)


CRASH = "exit code 3221225477" if os.name == "nt" else "SIGSEGV"


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("raises", "ImportError: libcuda.so is missing"),
        ("exits", "SystemExit: 3"),
        ("vanishes", "its import ended the process: exit code 0"),
        ("crashes", f"its import ended the process: {CRASH}"),
        ("interrupts", "KeyboardInterrupt"),
        ("panics", "Panic: thread panicked"),
        ("lacks", "AttributeError: module 'toy_lacks' has no attribute 'LIBRARY'"),
        ("wrong", "it is no KernelLibrary, but a subclass of object"),
        ("renamed", "it is declared as 'renamed' but calls itself 'other'"),
    ],
)
def test_a_plugin_that_does_the_worst_is_named_with_the_reason(
    key: str, error: str, report: dict[str, Any]
):
    assert plugin(report, key)["state"] == "broken"
    message = plugin(report, key)["error"]
    assert message.removeprefix("TypeError: ") == error
    (finding,) = [f for f in report["findings"] if f["subject"].startswith(f"hcs.kernels:{key} ")]
    assert (finding["severity"], finding["what"]) == ("error", "broken")
    assert finding["subject"] == f"hcs.kernels:{key} of acme 1.0"
    assert finding["message"] == message
    is_import = key not in ("lacks", "wrong", "renamed")
    assert (f"python -c 'import toy_{key}'" in finding["advice"]) == (
        is_import and key not in ("vanishes", "crashes")
    )
    assert (f"import toy_{key}" in finding["advice"]) == is_import


def test_all_other_plugins_are_well(report: dict[str, Any]):
    broken = {row["key"] for row in report["plugins"] if row["state"] != "loaded"}
    assert broken == {*NASTY}
    assert not report["ok"]


def test_what_a_plugin_prints_is_not_seen(report: dict[str, Any]):
    assert plugin(report, "talks")["error"] is None


def test_a_plugin_is_imported_before_anything_else(folder: Path, report: dict[str, Any]):
    first, *modules = (folder / "toy_looks.txt").read_text("utf-8").splitlines()
    assert first == "sys", "no arguments"
    assert not {"hcs_core", "click", "json", "numpy"} & {*modules}


def test_it_says_what_an_import_takes(report: dict[str, Any]):
    big, small = plugin(report, "grows"), plugin(report, "looks")
    assert small["import_ms"] > 0
    assert small["modules"] > 0
    if sys.platform == "linux":
        assert 50 < big["memory_mb"] - small["memory_mb"] < 70
    assert plugin(report, "vanishes")["import_ms"] is None


@POSIX
def test_a_process_that_an_import_leaves_is_told_of_and_ended(folder: Path, report: dict[str, Any]):
    assert plugin(report, "parent")["state"] == "loaded"
    (finding,) = [f for f in report["findings"] if f["what"] == "process"]
    assert finding["severity"] == "warning"
    assert "hcs.kernels:parent" in finding["subject"]
    assert not is_running(int((folder / "toy_parent.pid").read_text("ascii")))


def test_a_thread_that_an_import_leaves_running_is_told_of(report: dict[str, Any]):
    assert plugin(report, "threads")["state"] == "loaded"
    (finding,) = [f for f in report["findings"] if f["what"] == "thread"]
    assert finding["severity"] == "warning"
    assert "hcs.kernels:threads" in finding["subject"]
    assert finding["message"].endswith(": watcher"), "neither the daemon nor the brief one"


@pytest.mark.parametrize(
    ("kind", "meant"), [("hcs.microscope", "'hcs.microscopes'"), ("hcs.foo", "")]
)
def test_a_kind_that_only_the_doctor_reads_is_read_by_nobody(kind: str, meant: str, tmp_path: Path):
    write_distribution(tmp_path, "acme", {f"{kind}.v1": {"toy": "toy:Toy"}}, {"toy.py": "Toy = 1"})
    document = json.loads(run(tmp_path, "--json").stdout)
    (finding,) = [f for f in document["findings"] if f["what"] == "kind"]
    assert (finding["severity"], finding["subject"]) == ("warning", kind)
    assert finding["message"].partition("; did you mean ")[2] == (f"{meant}?" if meant else "")


def test_a_pair_of_kind_and_key_that_there_is_not_is_an_error(tmp_path: Path):
    for key in ("csv", "formats:csv"):
        done = run(tmp_path, "--kind", "storage", key)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"hcs.storage has no plugin '{key}'" in done.stderr
        assert "memory" in done.stderr
    assert "there is formats:csv" in run(tmp_path, "--kind", "storage", "csv").stderr
    assert run(tmp_path, "--kind", "formats", "csv").returncode == 0


def test_an_editable_installation_whose_folder_is_gone_is_told_of(tmp_path: Path):
    about = write_distribution(tmp_path, "acme", {"hcs.kernels.v1": {"toy": "gone_toy:LIBRARY"}})
    gone = tmp_path / "a b"
    origin = {"url": gone.as_uri(), "dir_info": {"editable": True}}
    (about / "direct_url.json").write_text(json.dumps(origin), "utf-8")
    document = json.loads(run(tmp_path, "toy", "--json").stdout)
    (finding,) = document["findings"]
    assert finding["message"] == (
        "ModuleNotFoundError: No module named 'gone_toy'; "
        f"acme was installed from {gone}, which is not there"
    )
    assert finding["advice"].startswith("put that folder back, install it again, or uninstall acme")
    gone.mkdir()
    document = json.loads(run(tmp_path, "toy", "--json").stdout)
    assert "installed from" not in document["findings"][0]["message"]


def test_what_no_statement_can_import_is_not_to_be_tried(tmp_path: Path):
    declared = {"spaced": "no module:X", "word": "class.of:X"}
    write_distribution(tmp_path, "acme", {"hcs.kernels.v1": declared})
    document = json.loads(run(tmp_path, "spaced", "word", "--json").stdout)
    advices = [finding["advice"] for finding in document["findings"]]
    assert advices == ["update or uninstall acme"] * 2


def test_settings_are_looked_at_for_a_single_plugin_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "config.toml"
    file.write_text("[plugin]\ndisable = ['storage:zarr']\n", "utf-8")
    monkeypatch.setenv("HCS_CONFIG", str(file))
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "storage:dsik")
    done = run(tmp_path, "disk", "--json")
    assert done.returncode == 0, done.stderr
    selector, table = json.loads(done.stdout)["findings"]
    assert selector["what"] == "selector"
    assert selector["message"] == "'storage:dsik' is no plugin; did you mean 'storage:disk'?"
    assert (table["severity"], table["what"], table["subject"]) == ("warning", "setting", str(file))
    assert table["message"] == "nothing reads [plugin]; did you mean 'plugins'?"


def test_a_row_has_the_documented_keys(report: dict[str, Any]):
    wanted = ["kind", "key", "distribution", "version", "api", "state", "value", "error"]
    wanted += ["import_ms", "memory_mb", "modules"]
    assert all(list(row) == wanted for row in report["plugins"])
    assert list(report) == ["plugins", "findings", "discovery", "ok"]
    where = report["discovery"]
    assert where["scanned"] + where["from_index"] == where["directories"]
    assert where["index"]["mode"] in ("off", "auto", "on")
    assert Path(where["hcs_core"]["file"]).name == "__init__.py"
    assert where["executable"] == sys.executable


@POSIX
def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path):
    install(tmp_path, {"hangs": HANGS, "well": GOOD.format(key="well")})
    done = run(tmp_path, "hangs", "well", "--timeout", "3", "--json")
    assert done.returncode == 1
    hangs, well = json.loads(done.stdout)["plugins"]
    assert hangs["error"] == "its import took more than 3 s and was ended"
    assert well["state"] == "loaded"
    for pid in (tmp_path / "toy_hangs.pid").read_text("ascii").split():
        assert not is_running(int(pid))


@POSIX
def test_ctrl_c_leaves_no_process(tmp_path: Path):
    install(tmp_path, {"hangs": HANGS})
    doctor = subprocess.Popen(
        [sys.executable, "-c", MAIN, "plugins", "doctor", "hangs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    told = tmp_path / "toy_hangs.pid"
    while not told.exists():
        assert doctor.poll() is None
        time.sleep(0.02)
    doctor.send_signal(signal.SIGINT)
    out, err = doctor.communicate(timeout=30)
    assert (doctor.returncode, out, err) == (130, b"", b"interrupted\n")
    for pid in told.read_text("ascii").split():
        assert not is_running(int(pid))


def test_an_observer_that_cannot_be_called_is_broken(tmp_path: Path):
    groups = {
        "hcs.hooks.v1": {"hcs_plate_opened.toy": "toy:watch", "hcs_toy_told.toy": "toy:watch"},
        "hcs.kernels.v1": {"hooked": "toy_hooks:LIBRARY"},
    }
    declared = (
        "from hcs_core.registry import Hook\ndef hcs_toy_told(toy): pass\nHook(hcs_toy_told)\n"
    )
    source = {
        "toy.py": "def watch(plates):\n    pass\n",
        "toy_hooks.py": declared + GOOD.format(key="hooked"),
    }
    write_distribution(tmp_path, "acme", groups, source)
    keys = ("hcs_plate_opened.toy", "hcs_toy_told.toy", "hooked")
    done = run(tmp_path, *keys, "--json")
    assert done.returncode == 1, done.stderr
    core, other, library = json.loads(done.stdout)["plugins"]
    assert library["state"] == "loaded"
    assert "it asks for plates; by name it can have plate)" in core["error"]
    assert "it asks for plates; by name it can have toy)" in other["error"], "a hook of another"


def test_people_are_told_what_where_and_what_to_do(tmp_path: Path):
    install(tmp_path, {"raises": NASTY["raises"], "well": GOOD.format(key="well")})
    done = run(tmp_path, "raises", "kernels:well")
    assert done.returncode == 1
    head, raises, well, blank, finding, gap, *summary = done.stdout.splitlines()
    assert head.split()[:5] == ["kind", "key", "distribution", "version", "state"]
    assert raises.split()[:5] == ["hcs.kernels", "raises", "acme", "1.0", "broken"]
    assert well.split()[4] == "ok"
    assert (blank, gap) == ("", "")
    assert finding == (
        "error: hcs.kernels:raises of acme 1.0: ImportError: libcuda.so is missing; for a closer "
        "look: python -c 'import toy_raises'; update or uninstall acme"
    )
    assert summary[0] == "1 of 2 plugins can be used; 1 error, 0 warnings"


def test_where_all_is_well_the_exit_code_is_0(tmp_path: Path):
    install(tmp_path, {"well": GOOD.format(key="well")})
    assert run(tmp_path, "well").returncode == 0


def test_an_unknown_key_is_a_usage_error(tmp_path: Path):
    done = run(tmp_path, "dsk")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'disk'?" in done.stderr


@pytest.mark.parametrize(
    ("variable", "text"),
    [("HCS_PLUGIN_INDEX", "maybe"), ("HCS_PLUGINS_PREFER", "zarr"), ("HCS_CONFIG", "a file")],
)
def test_a_setting_that_cannot_be_read_is_a_finding(
    variable: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    install(tmp_path, {"well": GOOD.format(key="well")})
    if variable == "HCS_CONFIG":
        file = tmp_path / "config.toml"
        file.write_text("[plugins]\ndisabel = []\n", "utf-8")
        text = str(file)
    monkeypatch.setenv(variable, text)
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "formats:csv")
    done = run(tmp_path, "well", "csv", "--json")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    (finding,) = document["findings"]
    assert (finding["severity"], finding["what"]) == ("error", "setting")
    assert text in f"{finding['subject']} {finding['message']}"
    well, csv = document["plugins"]
    assert (well["state"], csv["state"]) == ("loaded", "disabled"), "other settings hold"


def test_settings_are_put_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "maybe")
    monkeypatch.delenv("HCS_PLUGINS_ONLY", raising=False)
    before = dict(os.environ)
    with readable_settings() as errors:
        assert os.environ["HCS_PLUGIN_INDEX"] == ""
    assert len(errors) == 1
    assert dict(os.environ) == before


def test_the_probe_knows_what_makes_the_registry_of_each_kind_of_the_core():
    assert ROOM_OF.keys() == API_OF.keys()
    for room in ROOM_OF.values():
        __import__(room)
    assert registries().keys() >= ROOM_OF.keys()


# What is wrong before anything is imported.


def found(what: str, *probes: Probe) -> list[Finding]:
    """Return the findings of one kind in the environment as it is."""
    discovery, infos = discover(), all_infos(all=True)
    every = [*findings.of_states(infos), *findings.of_distributions(infos, discovery)]
    every += findings.of_selection(infos, discovery)
    every += findings.of_names(infos, discovery, probes)
    return [finding for finding in every if finding.what == what]


def test_a_sound_environment_has_no_findings(empty: IsolatedRegistry):
    infos = all_infos(all=True)
    assert list(findings.of_states(infos)) == []
    assert list(findings.of_selection(infos, discover())) == []
    assert list(findings.of_names(infos, discover(), [])) == []


def test_a_key_of_two_distributions_is_one_error(empty: IsolatedRegistry):
    for name in ("acme", "zeta"):
        empty.install(name, {"hcs.storage.v1": {"toy": f"{name}:Toy"}})
    (finding,) = found("conflict")
    assert (finding.severity, finding.subject) == ("error", "hcs.storage:toy")
    assert "acme 1.0" in finding.message
    assert "zeta 1.0" in finding.message
    assert "HCS_PLUGINS_PREFER=storage:toy=acme" in finding.advice


def test_nobody_is_advised_to_prefer_another_to_the_core(empty: IsolatedRegistry):
    empty.install("acme", {"hcs.storage.v1": {"disk": "acme:Toy"}})
    (finding,) = found("conflict")
    assert "HCS_PLUGINS_PREFER=storage:disk=hcs-core" in finding.advice


@pytest.mark.parametrize("suffix", [".vx", ".V1", ".v1.0", ".v", ".1"])
@pytest.mark.parametrize("kind", ["hcs.microscopes", "hcs.formats.extensions"])
def test_a_group_without_a_version_is_told_that_it_has_none(
    kind: str, suffix: str, empty: IsolatedRegistry
):
    empty.install("acme", {kind + suffix: {"toy": "acme:Toy"}})
    (finding,) = found("kind")
    assert (finding.severity, finding.subject) == ("warning", kind + suffix)
    assert "does not end with a version" in finding.message
    assert finding.advice.endswith(f"of acme 1.0: it may be meant to be {kind}.v1")
    assert not found("secondary")


def test_a_misspelt_group_without_a_version_is_told_both(empty: IsolatedRegistry):
    empty.install("acme", {"hcs.microscope.vx": {"toy": "acme:Toy"}})
    (finding,) = found("kind")
    assert "does not end with a version" in finding.message
    assert "did you mean 'hcs.microscopes'?" in finding.message


def test_another_api_is_an_error(empty: IsolatedRegistry):
    empty.install("acme", {"hcs.storage.v2": {"toy": "acme:Toy"}})
    (finding,) = found("incompatible")
    assert (finding.severity, finding.subject) == ("error", "hcs.storage:toy of acme 1.0")


def test_a_hidden_distribution_is_told_of_with_its_plugins(empty: IsolatedRegistry):
    plugins = {"hcs.storage.v1": {"toy": "acme:Toy"}}
    hidden = empty.install("acme", plugins | {"hcs.cli.v1": {"old": "acme:old"}}, version="1.0")
    used = empty.install("acme", plugins, version="2.0")
    os.utime(hidden / "METADATA", (1, 1))
    (finding,) = found("shadowed")
    assert (finding.severity, finding.subject) == ("warning", "acme")
    assert finding.message == (f"1.0 in {hidden} is hidden by 2.0 in {used}, and with it cli:old")


@pytest.mark.parametrize("text", [" ", ",", " , ,"])
def test_blanks_do_not_make_the_core_the_only_one(
    text: str, empty: IsolatedRegistry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_ONLY", text)
    empty.install("acme", {"hcs.storage.v1": {"toy": "acme:Toy"}})
    assert "toy" in {info.key for info in all_infos()}


def test_what_a_build_has_left_is_a_copy(empty: IsolatedRegistry):
    empty.install("acme", {"hcs.storage.v1": {"toy": "acme:Toy"}})
    left = empty.folder / "acme.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Name: acme\nVersion: 1.0\n", "utf-8")
    os.utime(left / "PKG-INFO", (1, 1))
    (finding,) = found("duplicate")
    assert finding.advice == f"delete {left}, which a build or an editable installation has left"


def test_a_copy_of_what_has_no_plugins_is_nobodys_business(empty: IsolatedRegistry):
    empty.install("other", {}, version="1.0")
    empty.install("other", {}, version="2.0")
    assert found("duplicate") == found("shadowed") == []


def test_remnants_of_installations_are_told_of(empty: IsolatedRegistry):
    remnant, broken = empty.folder / "~cme-1.0.dist-info", empty.folder / "half-1.0.dist-info"
    remnant.mkdir()
    broken.mkdir()
    (empty.folder / "~notes").mkdir()  # an editor's; this folder is no site-packages
    (empty.folder / "old-1.0.egg-info").write_text("Name: old\n", "utf-8")  # metadata in a file
    ours = [f for f in found("leftover") if f.subject.startswith(str(empty.folder))]
    assert {finding.subject for finding in ours} == {str(remnant), str(broken)}


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("storage:dsik", "storage:disk"),
        ("hcs.storge", "hcs.storage"),
        ("dist:hcs-cor", "dist:hcs-core"),
    ],
)
def test_a_selector_that_matches_nothing_is_told_of(
    text: str, near: str, empty: IsolatedRegistry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", f"formats:csv, {text}")
    (finding,) = found("selector")
    assert finding.severity == "warning"
    assert "HCS_PLUGINS_DISABLE" in finding.subject
    assert finding.message == f"{text!r} is no plugin; did you mean {near!r}?"


def test_a_preference_for_what_is_not_there_is_told_of(
    empty: IsolatedRegistry, monkeypatch: pytest.MonkeyPatch
):
    preferences = "storage:disk=hcs-core, storage:zarr=acme, hcs.storage:nope=hcs-core"
    monkeypatch.setenv("HCS_PLUGINS_PREFER", preferences)
    assert {finding.message for finding in found("selector")} == {
        "acme declares no storage:zarr",
        "hcs-core declares no storage:nope",
    }


def test_an_observer_of_an_unknown_hook_is_told_of(empty: IsolatedRegistry):
    names = {"hcs_plate_openend.acme": "acme:f", "hcs_plate_opened.acme": "acme:f"}
    empty.install("acme", {"hcs.hooks.v1": names})
    probe = Probe(all_infos()[0], None, hooks={"hcs_plate_opened": "hcs_core.plates"})
    (finding,) = found("hook", probe)
    assert finding.subject == "hcs.hooks:hcs_plate_openend.acme of acme 1.0"
    assert "did you mean 'hcs_plate_opened'?" in finding.message


def test_a_kind_that_nobody_reads_is_told_of(empty: IsolatedRegistry):
    empty.install("acme", {"hcs.microscope.v1": {"toy": "a:b"}, "hcs.theirs.v1": {"x": "a:b"}})
    (finding,) = found("kind", Probe(all_infos()[0], None, kinds=("hcs.theirs",)))
    assert finding.subject == "hcs.microscope"
    assert "did you mean 'hcs.microscopes'?" in finding.message


def test_a_secondary_key_without_a_plugin_is_told_of(empty: IsolatedRegistry):
    extensions = {".toy": "acme:Toy", ".other": "acme:Other"}
    groups = {"hcs.formats.v1": {"toy": "acme:Toy"}, "hcs.formats.extensions.v1": extensions}
    empty.install("acme", groups)
    (finding,) = found("secondary")
    assert finding.subject == "hcs.formats.extensions:.other of acme 1.0"


def test_what_is_asked_for_by_kind_leaves_the_environment_out(
    empty: IsolatedRegistry, capsys: pytest.CaptureFixture[str]
):
    empty.install("acme", {"hcs.nobody.v1": {"toy": "acme:Toy"}})
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "doctor", "--kind", "arrays", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (ended.value.code, document["findings"], document["ok"]) == (0, [], True)
    assert [row["key"] for row in document["plugins"]] == [
        *("cupy", "jax", "numpy", "pyclesperanto", "tensorflow", "torch"),
    ]
