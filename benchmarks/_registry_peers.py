"""The ways to find plugins that are compared: each lists the names of one group.

Every peer is installed once with what it depends on into a folder of its own, and reads the
same `entry_points.txt` files. pluggy asks for a group whose values are modules; npe2 reads
the manifests that a third group names; metaclass-registry knows no entry points and is given
one package with as many classes.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

import platformdirs

# Where the peers are kept between runs, if not in the user's cache.
FOLDER_VARIABLE = "HCS_BENCH_PEERS"

GROUP = "hcs.bench.v1"
LIVE = "hcs, live"
INDEX = "hcs, index"
STANDARD = "importlib.metadata"


@dataclass(frozen=True)
class Peer:
    """One way to list the names, and what it needs.

    `code` leaves the names in `names`; ``{work}`` in it is a folder that outlives the
    sample. Without a `requirement` nothing is installed for it.
    """

    name: str
    code: str
    requirement: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def distribution(self) -> str:
        return self.requirement.partition("==")[0]


_OURS = "from hcs_core.registry import Registry\nnames = list(Registry('hcs.bench'))"
_STEVEDORE = f"""
import time
import stevedore._cache as cache
cache._c._disable_caching = False
cache._c._dir = {{folder}}
names = [point.name for point in cache.get_group_all("{GROUP}")]
"""
_METACLASS = """
import os
import time
os.environ["XDG_CACHE_HOME"] = {folder}
from allplugins_base import REG
names = list(REG.keys())
"""
# A sample that shall find no cache has a folder that no other had.
_COLD = "'{work}/cold-' + str(time.time_ns())"
_WARM = "'{work}/warm'"

PEERS = (
    Peer(LIVE, _OURS, settings={"HCS_PLUGIN_INDEX": "off"}),
    Peer(INDEX, _OURS, settings={"HCS_PLUGIN_INDEX": "on"}),
    Peer(
        STANDARD,
        "from importlib.metadata import entry_points\n"
        f"names = [point.name for point in entry_points(group='{GROUP}')]",
    ),
    Peer(
        "importlib_metadata",
        "from importlib_metadata import entry_points\n"
        f"names = [point.name for point in entry_points(group='{GROUP}')]",
        "importlib-metadata",
    ),
    Peer("stevedore, cold", _STEVEDORE.replace("{folder}", _COLD), "stevedore"),
    Peer("stevedore, warm", _STEVEDORE.replace("{folder}", _WARM), "stevedore"),
    Peer(
        "pluggy, imports all",
        "import pluggy\nplugins = pluggy.PluginManager('bench')\n"
        "plugins.load_setuptools_entrypoints('hcs_bench_pluggy')\n"
        "names = [name for name, _ in plugins.list_name_plugin()]",
        "pluggy",
    ),
    Peer(
        "catalogue",
        f"import catalogue\nfound = catalogue.create('{GROUP}', entry_points=True)\n"
        "names = [point.name for point in found._get_entry_points()]",
        "catalogue",
    ),
    Peer(
        "npe2, discover",
        "from npe2 import PluginManager\nplugins = PluginManager.instance()\nplugins.discover()\n"
        "names = [command.id for manifest in plugins.iter_manifests()"
        " for command in manifest.contributions.commands or ()]",
        "npe2",
    ),
    Peer(
        "metaclass-registry, cold, imports all",
        _METACLASS.replace("{folder}", _COLD),
        "metaclass-registry==0.4.1",
    ),
    Peer(
        "metaclass-registry, warm, imports all",
        _METACLASS.replace("{folder}", _WARM),
        "metaclass-registry==0.4.1",
    ),
)


def install() -> dict[str, Path]:
    """Return the folder of each distribution, installed if it was not, without those that fail."""
    version = f"{sys.implementation.cache_tag}-{sys.platform}"
    chosen = os.environ.get(FOLDER_VARIABLE)
    root = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("hcs-bench"), "peers")
    folders = {}
    for requirement in dict.fromkeys(peer.requirement for peer in PEERS if peer.requirement):
        folder = root / version / requirement
        if not folder.is_dir():
            failure = _install(requirement, folder)
            if failure:
                print(f"{requirement}: left out: {failure}", file=sys.stderr)
                continue
        folders[requirement] = folder
    return folders


def _install(requirement: str, folder: Path) -> str:
    """Install a distribution with pip; return why that failed, or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        target = Path(scratch) / "target"
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        done = subprocess.run(
            [*pip, "--target", str(target), requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return (done.stderr.strip() or "pip failed").splitlines()[-1]
        target.rename(folder)  # complete or not there
    compileall.compile_dir(folder, quiet=2)
    return ""


def versions(folders: dict[str, Path]) -> list[str]:
    """Return ``name version`` of each peer that is installed."""
    return [
        f"{found.name} {found.version}"
        for requirement, folder in folders.items()
        for found in distributions(path=[str(folder)])
        if found.name.lower().replace("_", "-") == requirement.partition("==")[0]
    ]
