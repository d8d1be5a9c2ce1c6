"""The first thing that the program does: signals wait until what was asked for is known, and with it what they mean.

    streamgauge = "ops.start:main"       # in pyproject.toml: nothing of ours is imported before this

To import what a command needs takes a tenth of a second, on a busy machine a whole one. A SIGTERM in that
time ended the process by the signal, without a word: what a supervisor takes for a crash, where it only changed its
mind about a worker. And Ctrl-C showed where Python was importing.
"""

from __future__ import annotations

import signal

HELD = frozenset({signal.SIGTERM, signal.SIGINT})


def main() -> None:
    """Run the process's command line, signals held from the first moment on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    from ops.cli import main as run

    run()


def release() -> None:
    """Whatever handles signals by now, or ends the process by them, gets those that came, and all that come.

    Raises:
        KeyboardInterrupt: Ctrl-C was one of them.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


if __name__ == "__main__":
    main()
