"""Everything that is run on this repository; each session sets up its own environment.

``nox --list`` names the sessions, ``nox -s "tests(core)"`` runs one, ``nox -R -s lint`` runs one
again without installing anything.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "tests", "docs"]

ADDONS = {
    "hcs-microscopes": "plugins/hcs-microscopes",
    "hcs-gpu-kernels": "plugins/hcs-gpu-kernels",
    "hcs-pipeline": "plugins/hcs-pipeline",
}
PACKAGES = {"core": "core", **ADDONS}
SOURCES = [f"{folder}/src" for folder in PACKAGES.values()]
# The core, and the extra whose library is the heaviest that users have.
CLEAN_INSTALLS = ("core", "torch")
# What the bridge connects, as far as it runs without a GPU; TensorFlow in its CPU-only build.
FRAMEWORKS = ("torch", "jax", "tensorflow-cpu>=2.21", "pyclesperanto>=0.17")
# Other people's array API: what the bridge computes with on a GPU, and its strictest reading.
NAMESPACES = ("array-api-compat>=1.11", "array-api-strict>=2.3")
_IS_LIGHT = """
import hcs_core, sys
loaded = {"numpy", "torch"} & set(sys.modules)
assert not loaded, loaded
"""
_IS_PINNED = """
import sys, torch
assert torch.__version__.partition("+")[0] == sys.argv[1], torch.__version__
"""
TESTS = [*(f"{folder}/tests" for folder in PACKAGES.values()), "tests"]


def install(
    session: nox.Session, *tools: str, extras: str = "tiff,zarr", addons: tuple[str, ...] = ()
) -> None:
    """Install the core, addons and tools in one command, so that the core is always ours.

    Parameters
    ----------
    session : nox.Session
        Where to.
    *tools : str
        Requirements of the session itself.
    extras : str
        Extras of the core, separated by commas.
    addons : tuple of str
        Folders of the addons.
    """
    editables = [part for folder in (f"core[{extras}]", *addons) for part in ("-e", f"./{folder}")]
    session.install("-c", "constraints.txt", *editables, *tools)


def install_all(session: nox.Session, *tools: str, extras: str = "tiff,zarr") -> None:
    """Install the core with every addon."""
    install(session, *tools, extras=extras, addons=tuple(ADDONS.values()))


@nox.session
@nox.parametrize("package", [nox.param(name, id=name) for name in (*PACKAGES, "all")])
def tests(session: nox.Session, package: str) -> None:
    """Run one package's tests beside the core alone; "all": those that need several packages."""
    if package == "all":
        install_all(session, "import-linter", "ome-zarr-models", extras="testing,tiff,zarr")
        session.run("pytest", "tests", *session.posargs)
    elif package == "core":
        install(session, extras="testing,tiff,zarr")
        session.run("pytest", "core/tests", *session.posargs)
    else:
        # No extras but pytest: an addon must ask by itself for what it needs of the core.
        oracles = ("scikit-image",) if package == "hcs-gpu-kernels" else ()
        install(session, *oracles, extras="testing", addons=(ADDONS[package],))
        session.run("pytest", f"{ADDONS[package]}/tests", *session.posargs)


@nox.session(venv_backend="virtualenv")  # uv finds no CPU-only build of torch
def frameworks(session: nox.Session) -> None:
    """Run the tests of the array bridge on every array framework that a CPU can run."""
    session.install("-c", "constraints.txt", "-e", "./core[testing]", *FRAMEWORKS, *NAMESPACES)
    _install_opencl(session)
    files = map(str, sorted(Path("core/tests").glob("test_arrays_*.py")))
    session.run("pytest", *files, *session.posargs)


def _install_opencl(session: nox.Session) -> None:
    """Install PoCL, which runs OpenCL on the CPU, where the system has no driver and we may."""
    has_driver = any(Path("/etc/OpenCL/vendors").glob("*.icd"))
    may = shutil.which("apt-get") is not None and getattr(os, "geteuid", lambda: 1)() == 0
    if has_driver or not may:
        return
    packages = ("pocl-opencl-icd", "ocl-icd-libopencl1")
    session.run(
        "apt-get", "install", "-y", "-q", *packages, external=True, success_codes=range(256)
    )


@nox.session(name="tests-gpu", venv_backend="none")
def tests_gpu(session: nox.Session) -> None:
    """Run the GPU tests in the running interpreter, with its own torch, cupy and jax."""
    session.run(sys.executable, "tests/run_gpu.py", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run every test, the slow ones and those with other people's readers too."""
    readers = ("zarr", "ome-zarr", "ome-zarr-models", "ngio", "napari-ome-zarr")
    # Of generated packages: they are built, installed, linted and type-checked.
    builders = ("pip", "hatchling>=1.27", "editables", "ruff", "mypy")
    install_all(session, "import-linter", *readers, *builders, extras="testing,tiff,zarr")
    # What the readers themselves deprecate is not our failure; what they say of our data is.
    lenient = ("-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning")
    session.run("pytest", "-m", "not gpu", *lenient, *TESTS, *session.posargs)
    session.notify("frameworks")
    for extra in CLEAN_INSTALLS:
        session.notify(f"install({extra})")


@nox.session(name="install", venv_backend="virtualenv", reuse_venv=False)
@nox.parametrize("extra", [nox.param(name, id=name) for name in CLEAN_INSTALLS])
def clean_install(session: nox.Session, extra: str) -> None:
    """Install the core alone, or with an extra, as users do: with pip, in a clean environment."""
    package = "./core" if extra == "core" else f"./core[{extra}]"
    session.install("-c", "constraints.txt", package)
    # Isolated: neither this folder nor PYTHONPATH lends a module.
    session.run("python", "-I", "-c", _IS_LIGHT)
    if extra == "torch":
        session.run("python", "-I", "-c", _IS_PINNED, _pinned("torch"))


def _pinned(name: str) -> str:
    """Return the version that constraints.txt holds a distribution to."""
    found = re.search(rf"^{name}==(\S+)$", Path("constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@nox.session
def coverage(session: nox.Session) -> None:
    """Run all tests in one environment and report the lines that none of them reaches."""
    install_all(session, "coverage[toml]>=7.10", extras="testing,tiff,zarr")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *TESTS, *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "xml")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, forbidden imports and the layers of the house."""
    session.install("-c", "constraints.txt", "ruff", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # The imports are read, not executed: our sources on the path are enough.
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(SOURCES)})


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types: strictly in the packages, with less ceremony in the tests."""
    install_all(session, "mypy", "nox", extras="testing,tiff,zarr")
    session.run("mypy", *SOURCES)
    session.run("mypy", "--cache-dir=.mypy_cache/tools", "noxfile.py", "conftest.py", "benchmarks")
    relaxed = ("--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls")
    for folder in TESTS:  # one by one: their files may have the same names
        session.run("mypy", "--cache-dir=.mypy_cache/tests", *relaxed, folder)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; a warning is an error."""
    install_all(
        session,
        *("sphinx>=8.1", "myst-parser>=4", "numpydoc>=1.8", "furo"),
        extras="testing,tiff,zarr",
    )
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks; arguments are passed on."""
    # pip: an environment that uv made has none, and a benchmark installs its peers with it.
    install_all(session, "pip", "scikit-image", "imageio")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job into a new folder, hcs-demo, hcs-demo-2, ..., or the one that is given."""
    install_all(session)
    session.run("hcs", "demo", *session.posargs)
