"""What only root may do: give a worker a disk or a network of its own.

as_root("mount", "-t", "tmpfs", "streamgauge-test", str(path))

On Debian and Ubuntu what it takes is in the packages mount, iproute2 and nftables.
"""

from __future__ import annotations

import os
import shutil
import subprocess


def as_root(*words: str) -> None:
    """Run a command that only root may run.

    Raises:
        PermissionError: we are not root.
        RuntimeError: it failed, or a program is missing; the text says which, or why.
    """
    if os.geteuid() != 0:
        raise PermissionError(f"{' '.join(words)}: this case needs root, for a disk or a network of its own")
    for name in {"ip", "nft", "mount"}.intersection(words):
        if shutil.which(name) is None:
            raise RuntimeError(f"{' '.join(words)}: there is no {name}; install mount, iproute2 and nftables")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
