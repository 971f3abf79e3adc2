"""The core's own commands hold the contract of all commands."""

from __future__ import annotations

from hcs_core.cli.kernels import kernels
from hcs_core.cli.plate import plate
from hcs_core.cli.plugins import plugins
from hcs_core.testing import CommandTests


class TestKernels(CommandTests):
    command = kernels
    name = "kernels"


class TestPlate(CommandTests):
    command = plate
    name = "plate"


class TestPlugins(CommandTests):
    command = plugins
    name = "plugins"
