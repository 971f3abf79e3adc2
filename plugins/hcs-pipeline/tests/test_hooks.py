"""A run tells whoever wants to know, and nobody who is told can change or stop it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_toys.plates import ToyPlate

from hcs_core.errors import PluginWarning, StoreAccessError
from hcs_core.plates import PLATE_OPENED
from hcs_core.registry import OBSERVERS, hooks
from hcs_pipeline import (
    PLAN_COMPILED,
    RUN_FINISHED,
    UNIT_FINISHED,
    UNIT_STARTED,
    FunctionStep,
    Ledger,
    Pipeline,
    Plan,
    RunResult,
    compile,
    compile_report,
    execute,
)
from hcs_pipeline.errors import CompileError, OutputError

Make = Callable[..., ToyPlate]

STEPS = [
    FunctionStep({"DAPI": "toy:halves"}, name="Halves", group_by="channel", save=["labels"]),
    FunctionStep("toy:measure", inputs={"labels": "Halves.labels"}),
    FunctionStep("toy:count", inputs={"labels": "Halves.labels"}),
]
EVENTS = ("hcs_plan_compiled", "hcs_unit_started", "hcs_unit_finished", "hcs_run_finished")


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that installs a distribution of observers."""
    site = tmp_path / "site"
    site.mkdir()
    sys.path.insert(0, str(site))
    installed: list[str] = []

    def do(name: str, *entry_points: str, **modules: str) -> Path:
        folder = site / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        lines = "\n".join(["[hcs.hooks.v1]", *entry_points, ""])
        (folder / "entry_points.txt").write_text(lines)
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
            installed.append(module)
        OBSERVERS.refresh()
        return site

    yield do
    shutil.rmtree(site)
    OBSERVERS.refresh()
    sys.path.remove(str(site))
    for module in installed:
        sys.modules.pop(module, None)


@pytest.fixture
def events() -> Iterator[list[tuple[Any, ...]]]:
    """Return a list that grows by what is told, in short."""
    told: list[tuple[Any, ...]] = []

    def compiled(plan: Any, problems: Any) -> None:
        told.append(("compiled", plan and len(plan.units), [p.severity for p in problems]))

    def started(plan: Any, unit: Any) -> None:
        told.append(("started", unit.number))

    def finished(plan: Any, unit: Any, state: Any) -> None:
        told.append(("finished", unit.number, state.unit, state.status))

    def ended(plan: Any, result: Any) -> None:
        told.append(("ended", result.summary.status, result.summary.done))

    with (
        PLAN_COMPILED.connect(compiled),
        UNIT_STARTED.connect(started),
        UNIT_FINISHED.connect(finished),
        RUN_FINISHED.connect(ended),
    ):
        yield told


def planned(plate: ToyPlate, out: Path) -> Plan:
    return compile(Pipeline(STEPS), plate.root, out)


def log_of(out: Path) -> str:
    return (out / "run" / "log.txt").read_text(encoding="utf-8")


def outputs(out: Path) -> dict[str, bytes]:
    """Return every file that is not about the run itself, its hours and its log."""
    files = [path for folder in ("plate.zarr", "tables") for path in (out / folder).rglob("*")]
    files += (out / "run" / "parts").rglob("*")
    found = {str(path.relative_to(out)): path.read_bytes() for path in files if path.is_file()}
    for state in Ledger(out).states().values():
        found[f"unit {state.unit}"] = repr((state.status, state.error, state.fields)).encode()
    return found


# -- what is told, and when -------------------------------------------------------------------


def test_the_hooks_of_the_pipeline_are_known_by_name():
    arguments = {name: hook.arguments for name, hook in hooks().items() if name in EVENTS}
    assert arguments == {
        "hcs_plan_compiled": ("plan", "problems"),
        "hcs_run_finished": ("plan", "result"),
        "hcs_unit_finished": ("plan", "unit", "state"),
        "hcs_unit_started": ("plan", "unit"),
    }


def test_a_run_is_told_from_its_plan_to_its_end(make_toy_plate: Make, tmp_path: Path, events: Any):
    execute(planned(make_toy_plate(), tmp_path / "out"))
    assert events == [
        ("compiled", 2, []),
        ("started", 0),
        ("finished", 0, 0, "done"),
        ("started", 1),
        ("finished", 1, 1, "done"),
        ("ended", "done", 2),
    ]


def test_a_unit_that_fails_is_told_as_failed(make_toy_plate: Make, tmp_path: Path, events: Any):
    plate = make_toy_plate()
    plate.file("A01").write_bytes(b"II*\0")
    execute(planned(plate, tmp_path / "out"), report=False)
    assert events[1:] == [
        ("started", 0),
        ("finished", 0, 0, "failed"),
        ("started", 1),
        ("finished", 1, 1, "done"),
        ("ended", "partial", 1),
    ]


def test_what_cannot_be_compiled_is_told_without_a_plan(
    make_toy_plate: Make, tmp_path: Path, events: Any
):
    plate = make_toy_plate()
    steps = Pipeline([FunctionStep("toy:no_such_kernel")])
    with pytest.raises(CompileError):
        compile(steps, plate.root, tmp_path / "out")
    compile_report(Pipeline(STEPS), tmp_path / "no-plate", tmp_path / "out")
    assert events == [("compiled", None, ["fatal"])] * 2


def test_problems_of_units_are_told_with_the_plan(
    make_toy_plate: Make, tmp_path: Path, events: Any
):
    plate = make_toy_plate(z_indexes=2)
    plate.file("A01", z=2).unlink()
    planned(plate, tmp_path / "out")
    (event,) = events
    assert event[:2] == ("compiled", 2)
    assert set(event[2]) == {"unit"}


def test_ctrl_c_ends_a_run_that_is_told_as_interrupted(
    make_toy_plate: Make, tmp_path: Path, events: Any
):
    def stop(state: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(planned(make_toy_plate(), tmp_path / "out"), observer=stop)
    assert events[1:] == [
        ("started", 0),
        ("finished", 0, 0, "done"),
        ("ended", "interrupted", 1),
    ]


@pytest.mark.parametrize("hook", [UNIT_STARTED, UNIT_FINISHED], ids=lambda hook: hook.name)
def test_ctrl_c_within_an_observer_ends_the_run(
    make_toy_plate: Make, tmp_path: Path, events: Any, hook: Any
):
    def stop(unit: Any) -> None:
        if unit.number == 1:
            raise KeyboardInterrupt

    plan = planned(make_toy_plate(wells=("A01", "B02", "C03")), tmp_path / "out")
    with hook.connect(stop), pytest.raises(KeyboardInterrupt):
        execute(plan, report=False)
    done = {"hcs_unit_started": 1, "hcs_unit_finished": 2}[hook.name]
    assert events[-1] == ("ended", "interrupted", done)
    summary = Ledger(tmp_path / "out").summary()
    assert (summary.status, summary.done) == ("interrupted", done)


def test_a_run_that_an_error_ends_is_told(
    make_toy_plate: Make, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
):
    def full(self: Any, state: Any) -> None:
        raise StoreAccessError(28, "No space left on device", "units/00000.json")

    plan = planned(make_toy_plate(), tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "record", full)
        with pytest.raises(StoreAccessError):
            execute(plan, report=False)
    assert events[1:] == [("started", 0), ("ended", "interrupted", 0)]


def test_a_run_that_never_began_is_not_told(make_toy_plate: Make, tmp_path: Path, events: Any):
    plan = planned(make_toy_plate(), tmp_path / "out")
    (tmp_path / "out" / "run").mkdir(parents=True)
    with pytest.raises(OutputError, match="it holds a run already"):
        execute(plan)
    assert events == [("compiled", 2, [])]


def test_what_is_told_is_there_already(make_toy_plate: Make, tmp_path: Path):
    out = tmp_path / "out"
    seen: list[Any] = []

    def unit_is_recorded(state: Any) -> None:
        seen.append(Ledger(out).states()[state.unit].title == state.title)

    def run_is_complete(plan: Plan, result: RunResult) -> None:
        tables = (out / "tables" / "objects.csv").is_file()
        seen.append((tables, (out / "report.html").is_file(), Ledger(out).summary().status))
        seen.append((plan.plan_hash, result.summary.plan_hash))

    plan = planned(make_toy_plate(), out)
    with UNIT_FINISHED.connect(unit_is_recorded), RUN_FINISHED.connect(run_is_complete):
        execute(plan)
    assert seen == [True, True, (True, True, "done"), (plan.plan_hash, plan.plan_hash)]


def test_the_plate_of_a_run_is_told_when_the_run_opens_it(make_toy_plate: Make, tmp_path: Path):
    plan = planned(make_toy_plate(), tmp_path / "out")
    seen: list[str] = []

    def see(plate: Any) -> None:
        seen.append(str(plate.root))

    with PLATE_OPENED.connect(see):
        execute(plan, report=False)
    assert seen == [plan.plate]


# -- observers that fail ----------------------------------------------------------------------

BROKEN = {
    "raises": "def f(plan): raise ValueError('boom')",
    "exits": "import sys\ndef f(plan): sys.exit(1)",
    "cannot be imported": "import no_such_library",
    "exits at import": "raise SystemExit",
    "asks for more": "def f(plan, colour): pass",
    "wraps": "from pluggy import HookimplMarker\n"
    "@HookimplMarker('hcs')(wrapper=True)\ndef f():\n return (yield)",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=[*BROKEN])
@pytest.mark.parametrize("action", ["error", "default"])
def test_no_observer_stops_a_run_or_changes_what_it_leaves(
    make_toy_plate: Make, tmp_path: Path, install: Any, source: str, action: Any
):
    plate = make_toy_plate(channels=2)
    execute(planned(plate, tmp_path / "alone"), report=False)
    install("acme", *(f"{event}.acme = obs_acme:f" for event in EVENTS), obs_acme=source)
    with warnings.catch_warnings(record=action == "default") as told:
        warnings.simplefilter(action)
        result = execute(planned(plate, tmp_path / "observed"), report=False)
    assert result.summary.status == "done"
    assert outputs(tmp_path / "observed") == outputs(tmp_path / "alone")
    log = log_of(tmp_path / "observed")
    for event in EVENTS[1:]:
        assert f"WARNING observer 'acme' of {event} (acme 1.0) " in log
    if told is not None:
        assert {warning.category for warning in told} <= {PluginWarning}


def test_the_log_says_once_how_an_observer_fails_and_how_often(
    make_toy_plate: Make, tmp_path: Path, install: Any
):
    source = "def f(unit): raise ValueError(f'no {unit.number}')"
    install("beta", "hcs_unit_started.beta = obs_beta:f", obs_beta=source)
    plate = make_toy_plate(wells=("A01", "B02", "C03"))
    for number, out in enumerate((tmp_path / "out", tmp_path / "out-2")):
        plan = planned(plate, out)
        if number == 0:
            with pytest.warns(PluginWarning, match="ValueError: no 0") as told:
                execute(plan, report=False)
            assert len(told) == 1
        else:
            execute(plan, report=False)  # warned of already; each run's log has its own
        log = log_of(out)
        assert log.count("observer 'beta' of hcs_unit_started (beta 1.0) failed: ") == 1
        assert "ValueError: no 0; it is passed over" in log
        assert "in f\n" in log  # the traceback, for whoever repairs it
        assert "no 1" not in log
        assert "observer 'beta' of hcs_unit_started failed: 3 times in all" in log


def test_an_observer_that_fails_at_the_very_end_is_in_the_log(
    make_toy_plate: Make, tmp_path: Path, install: Any
):
    source = "def f(result): raise OSError('no mail')"
    install("post", "hcs_run_finished.post = obs_post:f", obs_post=source)
    plan = planned(make_toy_plate(), tmp_path / "out")
    with pytest.warns(PluginWarning, match="no mail"):
        assert execute(plan).summary.status == "done"
    assert "OSError: no mail" in log_of(tmp_path / "out")


# -- what is imported -------------------------------------------------------------------------

RUN = """
import json, sys
from hcs_core.kernels import KERNELS
from hcs_core.plates import MICROSCOPES
from hcs_pipeline import FunctionStep, Pipeline, compile, execute
from pipeline_toys.plates import LIBRARY, ToyReader
with MICROSCOPES.overrides(toy=ToyReader), KERNELS.overrides(toy=LIBRARY):
    result = execute(compile(Pipeline([FunctionStep("toy:add")]), *sys.argv[1:]))
names = {"pluggy", "obs_unit", "obs_other"}
print(json.dumps([result.summary.status, sorted(names & set(sys.modules))]))
"""


def in_fresh_process(plate: ToyPlate, out: Path, site: Path) -> Any:
    toys = Path(sys.modules["pipeline_toys"].__path__[0]).parent
    entries = [str(site), str(toys), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, str(plate.root), str(out)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_that_nobody_observes_does_not_import_pluggy(
    make_toy_plate: Make, tmp_path: Path, install: Any
):
    site = install("acme", "hcs_other.acme = obs_other:f", obs_other="raise SystemExit")
    assert in_fresh_process(make_toy_plate(), tmp_path / "out", site) == ["done", []]


def test_a_run_imports_who_observes_it_and_no_other(
    make_toy_plate: Make, tmp_path: Path, install: Any
):
    site = install(
        "acme",
        "hcs_unit_finished.acme = obs_unit:f",
        "hcs_oom_recovered.acme = obs_other:f",
        obs_unit="""
from pathlib import Path
def f(plan, state):
    with Path(plan.output, "seen.txt").open("a") as file:
        print(state.title, file=file)
""",
        obs_other="raise SystemExit",
    )
    told = in_fresh_process(make_toy_plate(), tmp_path / "out", site)
    assert told == ["done", ["obs_unit", "pluggy"]]
    assert (tmp_path / "out" / "seen.txt").read_text().splitlines() == [
        "A01, site 1",
        "B02, site 1",
    ]
