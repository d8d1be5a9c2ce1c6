"""Every figure of DESIGN.md that concerns speed and memory, measured anew.

    make bench                                       # all of it: an hour on two cores
    python -m tests.bench drain --events 200000      # one case, small
    python -m tests.bench hot --keep /tmp/inputs     # the inputs stay there for the next time
    make bench CASE=peers OUT=build/bench            # beside other engines, with a picture

Tables go to stdout as Markdown, the same to ``--out DIR`` as ``bench.md``, ``bench.json`` and pictures. Whatever
was started is stopped at the end, after Ctrl-C too.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tests.bench import cases, collect, latency, millions, recovery, scale
from tests.bench.cases import Bench
from tests.bench.figures import Table, machine
from tests.bench.peers import case as peers
from tests.bench.peers import pace
from tests.bench.streams import case as streams

CASES: dict[str, Callable[[Bench], list[Table]]] = {
    "drain": cases.drain,
    "hot": cases.hot,
    "memory": cases.memory,
    "budget": cases.budget,
    "recovery": recovery.recovery,
    "millions": millions.millions,
    "latency": latency.latency,
    "collect": collect.collect,
    **scale.CASES,
    **streams.CASES,
    "peers": peers.peers,
    "pace": pace.pace,
}
GROUPS = {"scale": tuple(scale.CASES), "streams": tuple(streams.CASES)}
"""Cases that one word names."""
ALONE = tuple(name for name in CASES if name not in {"peers", "pace", "millions"})
"""What is run where nobody says what: nobody installs six other engines by the way, or counts ten million keys."""


def main() -> int:
    """Run the cases that the command line names; 130 after Ctrl-C."""
    about = "\n".join(f"  {name:10} {(case.__doc__ or '').partition(chr(10))[0]}" for name, case in CASES.items())
    groups = "\n".join(f"  {name:10} {', '.join(names)}" for name, names in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure the worker.",
        epilog=f"cases:\n{about}\n{groups}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "case", nargs="*", choices=[*CASES, *GROUPS, []], help="default: all but peers, pace and millions"
    )
    parser.add_argument("--events", type=int, default=2_000_000, help="of the usual backlog (default: 2000000)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where inputs lie and stay (default: nowhere)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write bench.md and bench.json there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, as Ctrl-C does
    say(f"{machine()}, {options.events:,} events, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    found: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as folder:
            bench = Bench(Path(folder), options.events, options.keep)
            for name in [name for word in options.case or ALONE for name in GROUPS.get(word, (word,))]:
                begin = time.monotonic()
                tables = CASES[name](bench)
                for table in tables:
                    print(table.markdown() + "\n", flush=True)
                say(f"{name}: {time.monotonic() - begin:.0f} s")
                found[name] = tables
                if options.out:
                    write(options.out, options.events, found)
    except KeyboardInterrupt:
        return 130
    return 0


def write(folder: Path, events: int, found: dict[str, list[Table]]) -> None:
    """Write what was found so far: one run that breaks off keeps the cases before."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"machine": machine(), "events": events, "cases": {k: [t.data() for t in v] for k, v in found.items()}}
    (folder / "bench.json").write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))
    text = "\n\n".join(table.markdown() for tables in found.values() for table in tables)
    (folder / "bench.md").write_text(f"{text}\n")
    for name, tables in found.items():
        for table in tables:
            if table.picture:
                (folder / f"{name}.svg").write_text(table.picture)


def say(line: str) -> None:
    """Tell people what is going on, beside the result."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
