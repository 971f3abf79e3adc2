"""The `hcs` command; its subcommands are plugins themselves."""

from __future__ import annotations

from hcs_core.cli._entry import main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcs_core.cli._main import COMMANDS
    from hcs_core.cli._output import common_options, fail_json, print_json, stderr, stdout

_MODULE_OF = {
    "COMMANDS": "_main",
    "common_options": "_output",
    "fail_json": "_output",
    "print_json": "_output",
    "stderr": "_output",
    "stdout": "_output",
}

__all__ = [
    "COMMANDS",
    "common_options",
    "fail_json",
    "main",
    "print_json",
    "stderr",
    "stdout",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
