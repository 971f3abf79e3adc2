"""Where the samples of the array benchmark run: an interpreter that has every framework.

The running one, if it has them all; else a virtual environment in the user's cache, which
pip fills once, in minutes and gigabytes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from benchmarks._arrays_timing import Sample
from benchmarks._common import SkippedError
from benchmarks._registry_environments import install_ours
from benchmarks._registry_peers import FOLDER_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
PEER, PEER_VERSION = "arraybridge", "0.5.2"
FRAMEWORKS = ("torch", "jax", "tensorflow", "pyclesperanto")
# TensorFlow in its CPU-only build; the constraints do the same for torch, where they can.
REQUIREMENTS = (
    *("torch", "jax", "tensorflow-cpu>=2.21", "pyclesperanto>=0.17", "scikit-image"),
    f"{PEER}=={PEER_VERSION}",
)
# One thread each, and no GPU: what is compared are the bridges, not how many cores copy.
SETTINGS = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


@contextmanager
def sampler() -> Iterator[Callable[[str], Sample]]:
    """Return what runs a sample by its name, each in a fresh process.

    Raises
    ------
    SkippedError
        If there is no interpreter with every framework, and none can be made.
    """
    python = _interpreter()
    with tempfile.TemporaryDirectory(prefix="hcs-bench-") as folder:
        work = Path(folder).resolve()
        install_ours(work / "ours")
        path = os.pathsep.join((str(work / "ours"), str(ROOT)))
        variables = {**os.environ, **SETTINGS, "PYTHONPATH": path}

        def sample(name: str) -> Sample:
            command = [str(python), "-m", "benchmarks._arrays_sample", name]
            done = subprocess.run(
                command, cwd=work, env=variables, capture_output=True, text=True, check=False
            )
            if done.returncode:
                last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
                return Sample(notes=[f"left out: exit code {done.returncode}: {last}"])
            return Sample(**json.loads(done.stdout.splitlines()[-1]))

        yield sample


def _interpreter() -> Path:
    """Return the running interpreter if it has everything, else that of our own environment."""
    if _is_complete():
        return Path(sys.executable)
    tag = f"{sys.implementation.cache_tag}-{sys.platform}"
    chosen = os.environ.get(FOLDER_VARIABLE)
    root = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hcs-bench"), "peers")
    folder = root / tag / f"arrays-{PEER_VERSION}"
    if not (folder / "complete").is_file():
        _make(folder)
    return _python_of(folder)


def _is_complete() -> bool:
    try:
        peer = version(PEER)
    except PackageNotFoundError:
        return False
    return peer == PEER_VERSION and all(find_spec(name) for name in (*FRAMEWORKS, "skimage"))


def _make(folder: Path) -> None:
    """Create the environment; the file that says it is complete comes last."""
    print(f"Installing {', '.join(REQUIREMENTS)} into {folder}: this takes minutes.", flush=True)
    started = time.perf_counter()
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = (str(_python_of(folder)), "-m", "pip", "--disable-pip-version-check", "install")
    ours = [need for need in requires("hcs-core") or () if "extra ==" not in need]
    constraints = ("-c", str(ROOT / "constraints.txt"))
    done = subprocess.run(
        [*pip, "--quiet", *constraints, *ours, *REQUIREMENTS],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise SkippedError(f"the frameworks could not be installed: {last}")
    (folder / "complete").touch()
    print(f"Installed in {time.perf_counter() - started:.0f} s.\n", flush=True)


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
