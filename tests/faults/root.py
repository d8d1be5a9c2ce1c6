"""What only root may do: give a worker a disk or a network of its own.

as_root("mount", "-t", "tmpfs", "streamgauge-test", str(path))
"""

from __future__ import annotations

import os
import subprocess


def as_root(*words: str) -> None:
    """Run a command that only root may run.

    Raises:
        PermissionError: we are not root.
        RuntimeError: it failed; the text says why.
    """
    if os.geteuid() != 0:
        raise PermissionError(f"{' '.join(words)}: this case needs root, for a disk or a network of its own")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
