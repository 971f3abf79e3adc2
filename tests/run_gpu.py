"""Run the tests of arrays and kernels with the running interpreter, its torch, cupy and jax.

Needs the standard library only, and nothing is installed into the interpreter: our packages are
built as wheels and unpacked into a folder of their own, which is put on the path of pytest. So
entry points work as after an installation.

Where nothing can be built, bring ready wheels, ours and those of any other library that is
missing, and name their folder::

    python3 -m pip wheel --no-deps -w wheels ./core ./plugins/*      # where there is an index
    python3 tests/run_gpu.py --wheels wheels                         # where there is a GPU

Tests marked ``gpu`` run with the others of the core and the kernels, so that what passes on a
laptop is shown to pass beside that machine's libraries too. Arguments that are not ours go to
pytest: ``-m gpu`` runs the marked ones alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [ROOT / "core", *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]


def main() -> int:
    """Return pytest's exit status."""
    parser = argparse.ArgumentParser(description="Run the tests with this interpreter.")
    parser.add_argument("--wheels", type=Path, help="folder of ready wheels; default: build ours")
    options, pytest_arguments = parser.parse_known_args()

    with tempfile.TemporaryDirectory(prefix="hcs-gpu-") as scratch:
        wheels = options.wheels or build_wheels(Path(scratch, "wheels"))
        site = Path(scratch, "site")
        unpack(wheels, site)
        return run_pytest(site, pytest_arguments)


def build_wheels(folder: Path) -> Path:
    """Build a wheel of each of our packages without an index; return their folder."""
    missing = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"cannot build our wheels: {' and '.join(missing)} not installed for {sys.executable}. "
            "Build them elsewhere (python3 -m pip wheel --no-deps -w wheels ./core ./plugins/*) "
            "and name the folder: --wheels wheels"
        )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), *map(str, PACKAGES)]
    subprocess.run(command, check=True)
    return folder


def unpack(wheels: Path, site: Path) -> None:
    """Unpack every wheel of a folder into `site`: a wheel is what lands in site-packages."""
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise SystemExit(f"no wheel (*.whl) in {wheels}")
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def run_pytest(site: Path, arguments: list[str]) -> int:
    """Run the tests with `site` first on the path; return pytest's exit status."""
    folders = [ROOT / "core" / "tests", ROOT / "plugins" / "hcs-gpu-kernels" / "tests"]
    command = [sys.executable, "-m", "pytest", "-m", "not slow"]
    # The machine's own libraries are of any version: what they deprecate is not our failure.
    command += ["-W", "default", *map(str, folders), *arguments]
    search_path = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(search_path)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
