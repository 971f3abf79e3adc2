"""The `hcs` command; its subcommands are plugins themselves."""

from hcs_core.cli._main import COMMANDS, main
from hcs_core.cli._output import common_options, fail_json, print_json, stderr, stdout

__all__ = [
    "COMMANDS",
    "common_options",
    "fail_json",
    "main",
    "print_json",
    "stderr",
    "stdout",
]
