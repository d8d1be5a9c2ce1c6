r"""The sample data that comes with each stream, and the report that it must give.

>>> sample_of("sites").answer()
b'1,messages=4,emails=4,operators=2,visitors=5\n'

Files lie in ``ops/data/STREAM``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Sample:
    """One stream's sample.

    Args:
        stream: its name.
        files: what is replayed, in this order.
        report: the words after ``streamgauge report STREAM``.
        expected: the file that holds what the report must print.
        served: whether the files are pages of an API, which are served and polled.
    """

    stream: str
    files: tuple[str, ...]
    report: tuple[str, ...]
    expected: str
    served: bool = False

    @property
    def paths(self) -> list[Path]:
        """The files to replay."""
        return [DATA / self.stream / name for name in self.files]

    def answer(self) -> bytes:
        """What the report must print, to the byte."""
        return (DATA / self.stream / self.expected).read_bytes()


_SAMPLES = (
    Sample("renders", ("nightly",), ("--summary",), "summary.txt"),
    Sample("products", ("catalogue.csv",), (), "names.csv"),
    Sample("sites", ("small_input.jsonl",), (), "small_output.txt"),
    Sample("sessions", ("simulated.jsonl",), (), "report.txt"),
    Sample("items", ("pages.jsonl.zst",), (), "report.txt", served=True),
)


def sample_of(stream: str) -> Sample | None:
    r"""The sample of ``stream``; None for one that brings none."""
    return next((sample for sample in _SAMPLES if sample.stream == stream), None)
