"""What a fresh interpreter imports: the proof that listing a plugin is light."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def modules_after(code: str) -> set[str]:
    """Return every module that a fresh interpreter has loaded after `code`.

    It finds modules where this process does, so that a plugin need not be installed.
    """
    told = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + told],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))
