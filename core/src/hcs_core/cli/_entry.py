"""Where the `hcs` command begins: what scripts ask for at each start is answered without click.

Importing click takes 28 ms, listing the plugins of a large environment 4.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:2] == ["plugins", "list"] and {"--json"} <= set(words[2:]) <= {"--json", "--all"}:
        _list_plugins(with_hidden="--all" in words)
    from hcs_core.cli._main import run

    run(words)


def _list_plugins(*, with_hidden: bool) -> None:
    """Print the plugins and end the process; where that fails, the command itself tells why."""
    import json

    from hcs_core.cli._plugin_list import documents

    try:
        sys.stdout.write(f"{json.dumps(documents(with_hidden=with_hidden), indent=2)}\n")
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - a setting, a closed pipe: told where all else is
        return
    sys.exit(0)
