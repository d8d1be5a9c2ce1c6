"""How many files a process may have open, sockets included: a shell's usual 1,024 are soon too few.

>>> files_allowed(10) >= 10
True
"""

from __future__ import annotations

import sys


def files_allowed(wanted: int) -> int:
    """Ask the system for room for ``wanted`` files; how many there may be now, ``wanted`` at the most."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
