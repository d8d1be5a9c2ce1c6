"""What is sent to a stream, and what must come of it, worked out beside.

    load = sites.make(seed=7, events=30_000)      # `tests.faults.loads`: one module a stream
    load.write(folder)                            # its files
    load.steps[0].words                           # ("replay", "sites", "events.jsonl"), run in the folder
    load.answer["7"]                              # the right summary, without its revision

An answer is a plain batch computation over what was made, before it is shuffled and repeated. It shares nothing with
`aggregators`: what both got wrong would have to be in the rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from producers.simulate.items import Catalogue
from schemas.schema import Schema

Answer = Mapping[str, dict[str, Any]]
"""Fields by key."""


@dataclass(frozen=True)
class Step:
    """A command that sends records; the next one is run when it has ended.

    Args:
        words: of the command, run in the folder of the files.
        records: how many good ones it sends.
        api: what is served meanwhile at ``--url``, where it reads an API.
        page: records that one unit of ``--rate`` sends.
    """

    words: tuple[str, ...]
    records: int
    api: Catalogue | None = None
    page: int = 1


@dataclass(frozen=True)
class Workload:
    """What is sent, and what must come of it.

    Args:
        schema: of the stream.
        steps: commands, one after the other.
        files: their names and bytes.
        answer: the right summary of each entity, without its revision; what is not here must not be published.
        bad: values that the stream does not accept, each unique; a worker must dead-letter each once.
        bad_lines: what producers must dead-letter, by file and line.
        rows: what must be in the topic beside the summaries, where the stream has one.
        options: of the workers, that the answer goes by.
    """

    schema: Schema[Any]
    steps: Sequence[Step]
    files: Mapping[str, bytes]
    answer: Answer
    bad: Sequence[bytes] = ()
    bad_lines: Mapping[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])
    rows: Answer | None = None
    options: Sequence[str] = ()

    @property
    def records(self) -> int:
        """How many good records are sent."""
        return sum(step.records for step in self.steps)

    def write(self, folder: Path) -> None:
        """Write the files below ``folder``."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def bad_values(seed: int, count: int) -> list[bytes]:
    """So many different values that no stream accepts."""
    return [json.dumps({"bad": number, "seed": seed}).encode() for number in range(count)]
