"""The environments of the registry benchmark: made distributions, and an interpreter for them."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import hcs_core
from benchmarks._common import shared_path
from benchmarks._registry_peers import GROUP

GENERATOR = "registry/gen_env"


@dataclass(frozen=True)
class Environment:
    """A folder of distributions: some with plugins, the others with metadata only."""

    name: str
    with_plugins: int
    plugins_each: int = 1
    without_plugins: int = 0

    @property
    def plugins(self) -> int:
        return self.with_plugins * self.plugins_each

    @property
    def title(self) -> str:
        total = self.with_plugins + self.without_plugins
        return f"{self.name}: {total} distributions, {self.plugins} plugins"

    @property
    def key(self) -> str:
        """One of the plugins, in the middle."""
        return f"p{self.with_plugins // 2:04d}_0"

    @property
    def module(self) -> str:
        """The module of the plugin `key`."""
        return f"hcsbench_{self.with_plugins // 2:04d}.mod0"

    def make(self, site: Path) -> None:
        """Write the distributions into a folder.

        Raises
        ------
        SkippedError
            If the script that makes them is not there.
        """
        numbers = (self.with_plugins, self.plugins_each, self.without_plugins)
        script = shared_path(GENERATOR)
        subprocess.run([sys.executable, script, site, *map(str, numbers)], check=True)
        for file in site.glob("*.dist-info/entry_points.txt"):
            text = file.read_text("utf-8")
            file.write_text(text.replace("[hcs.bench]", f"[{GROUP}]"), "utf-8")
        compileall.compile_dir(site, quiet=2)


ENVIRONMENTS = (
    Environment("10", 10),
    Environment("100", 100),
    Environment("real", 20, plugins_each=3, without_plugins=230),
    Environment("500", 500),
)


def make_interpreter(folder: Path) -> Path:
    """Return an interpreter that has nothing installed: no distribution of its own is found."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def install_ours(folder: Path) -> None:
    """Copy what is measured into a folder of its own, as the peers have: package and metadata."""
    source = Path(hcs_core.__file__).parent
    shutil.copytree(source, folder / "hcs_core", ignore=shutil.ignore_patterns("__pycache__"))
    installed = distribution("hcs-core")
    metadata = folder / f"hcs_core-{installed.version}.dist-info"
    metadata.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (metadata / name).write_text(installed.read_text(name) or "", "utf-8")
    compileall.compile_dir(folder, quiet=2)
