"""What is imported, and when: the promises that can be proven by `sys.modules`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hcs_core.testing import SyntheticPlate, make_plate

FRAMEWORKS = {"cupy", "jax", "pyclesperanto", "tensorflow", "torch"}
HEAVY = FRAMEWORKS | {
    *("cv2", "dask", "imagecodecs", "lxml", "matplotlib", "pandas", "scipy"),
    *("skimage", "tensorstore", "tifffile", "zarr", "zmq"),
}
ADDONS = {"hcs_microscopes", "hcs_gpu_kernels", "hcs_pipeline"}


def run_python(code: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    entries = [str(path)] if path else []
    entries += filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
        timeout=120,
    )


def modules_after(code: str, *, path: Path | None = None) -> set[str]:
    """Return what a fresh interpreter has imported after `code`, beside what it starts with."""
    told = "; import json, sys; print('\\n' + json.dumps(sorted(set(sys.modules) - before)))"
    start = "import sys; before = set(sys.modules); "
    done = run_python(start + code + told, path=path)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_after_command(*arguments: str, path: Path | None = None) -> set[str]:
    code = f"""
import hcs_core.cli
try:
    hcs_core.cli.main({list(arguments)!r})
except SystemExit as ended:
    assert not ended.code, ended.code
import sys, json; print('\\n' + json.dumps(sorted(sys.modules)))
"""
    done = run_python(code, path=path)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def plugin_modules(root: Path) -> set[str]:
    """Return the modules that the entry points of all our packages name."""
    import tomllib

    found = set()
    for file in [root / "core" / "pyproject.toml", *root.glob("plugins/*/pyproject.toml")]:
        groups = tomllib.loads(file.read_text("utf-8"))["project"]["entry-points"]
        found |= {value.partition(":")[0] for group in groups.values() for value in group.values()}
    return found


def test_importing_the_core_loads_the_standard_library_only():
    loaded = modules_after("import hcs_core")
    ours = {name for name in loaded if name.startswith("hcs_core")}
    assert tops(loaded) - {"hcs_core"} <= set(sys.stdlib_module_names)
    assert ours <= {"hcs_core", "hcs_core._version"}


@pytest.mark.parametrize("room", ["arrays", "kernels", "storage", "plates"])
def test_a_room_of_the_core_imports_neither_framework_nor_addon(room: str):
    loaded = tops(modules_after(f"import hcs_core.{room}"))
    assert "numpy" in loaded
    assert not loaded & (HEAVY | ADDONS)


def test_the_registry_needs_no_numpy():
    assert "numpy" not in modules_after("import hcs_core.registry")


@pytest.mark.parametrize("addon", sorted(ADDONS))
def test_importing_an_addon_loads_nothing_heavy_and_no_other_addon(addon: str):
    loaded = tops(modules_after(f"import {addon}"))
    assert not loaded & (HEAVY | ADDONS - {addon})


def test_listing_plugins_imports_none(root: Path, tmp_path: Path):
    explosive_distribution(tmp_path)
    loaded = modules_after_command("plugins", "list", "--json", path=tmp_path)
    expected = plugin_modules(root) - {"hcs_core.cli.plugins"}  # the command that was called
    assert len(expected) > 10
    assert not loaded & expected
    assert not tops(loaded) & (HEAVY | ADDONS | {"numpy", "explosive"})


def test_a_plugin_that_cannot_be_imported_is_listed(tmp_path: Path, hcs: Any):
    explosive_distribution(tmp_path)
    listed = hcs("plugins", "list", "--json", env={"PYTHONPATH": with_path(tmp_path)})
    assert listed.code == 0
    (row,) = [row for row in listed.json if row["distribution"] == "explosive"]
    assert row == {
        "kind": "hcs.microscopes",
        "key": "explosive",
        "distribution": "explosive",
        "version": "0.1",
        "api": 1,
        "state": "declared",
        "value": "explosive:Reader",
        "error": None,
    }


def test_listing_kernels_imports_no_kernel(tmp_path: Path):
    explosive_distribution(tmp_path)
    loaded = modules_after_command("kernels", "list", "--json", path=tmp_path)
    assert "hcs_gpu_kernels.catalogue" in loaded
    assert not tops(loaded) & (HEAVY | {"hcs_pipeline", "hcs_microscopes", "explosive"})
    assert not {name for name in loaded if name.startswith("hcs_gpu_kernels.primitives")}


def test_help_imports_no_command(tmp_path: Path):
    loaded = modules_after_command("--help")
    assert not tops(loaded) & (ADDONS | HEAVY | {"numpy"})


def test_status_needs_neither_plate_readers_nor_images(root: Path, tmp_path: Path, hcs: Any):
    one_plane = SyntheticPlate(wells=("A01",), sites=1, channels=("DAPI",), z_indexes=1)
    plate = make_plate(tmp_path / "plate", one_plane)
    out = tmp_path / "out"
    assert hcs("run", root / "demo" / "nuclei.toml", plate.path, out).code == 0
    loaded = modules_after_command("status", str(out))
    assert "hcs_pipeline" in loaded
    assert not tops(loaded) & (HEAVY | {"hcs_microscopes", "hcs_gpu_kernels"})


def test_the_core_is_ours(root: Path):
    """On the public index another hcs-core has a version below 1."""
    code = """
import hcs_core, json, importlib.metadata as metadata
print(json.dumps([hcs_core.__version__, hcs_core.__file__, metadata.version("hcs-core")]))
"""
    done = run_python(code)
    version, file, installed = json.loads(done.stdout)
    assert version == installed
    assert int(version.partition(".")[0]) >= 1
    ours = root / "core" / "src" / "hcs_core"
    assert Path(file).resolve() == ours / "__init__.py" or "site-packages" in file
    assert (Path(file).parent / "registry" / "_scanner.py").read_bytes() == (
        ours / "registry" / "_scanner.py"
    ).read_bytes()


def explosive_distribution(folder: Path) -> None:
    """Write a distribution whose module must never be imported."""
    info = folder / "explosive-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: explosive\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[hcs.microscopes.v1]\nexplosive = explosive:Reader\n")
    (folder / "explosive.py").write_text("raise SystemExit('imported')\n")


def with_path(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
