"""``streamgauge demo [STREAM…]``: everything at once, on sample data, on a machine that has nothing but Python."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from ops import console
from ops.options import STREAM, Command, command_options
from ops.settings import Settings
from schemas.errors import UsageError

if TYPE_CHECKING:
    from ops.demo import Demo
    from ops.samples import Sample


@click.command(cls=Command)
@click.argument("streams", metavar="[STREAM]...", nargs=-1, type=STREAM)
@click.option("--keep", is_flag=True, help="Leave broker and worker running, and say how to stop them.")
@command_options
def command(settings: Settings, streams: tuple[str, ...], keep: bool) -> int:
    """Start everything on sample data and print the reports.

    A real Kafka on a free port, a worker, the sample data of the STREAMs (default: all), and their reports, each
    compared with its known answer. Whatever was started is stopped again, after Ctrl-C too.
    """
    from ops.demo import Demo

    samples = _samples(streams)
    began = time.monotonic()
    with _sigterm_like_ctrl_c(), Demo([sample.stream for sample in samples], keep=keep) as demo:
        demo.start()
        reports: dict[str, bytes] = {}
        for sample in samples:
            reports[sample.stream] = demo.play(sample)
            if not settings.json:
                console.write(reports[sample.stream])
                console.flush()
        wrong = [sample.stream for sample in samples if reports[sample.stream] != sample.answer()]
        seconds = time.monotonic() - began
        if wrong:
            console.warn(f"the report of {', '.join(wrong)} is not its known answer ({seconds:.1f} s)")
        else:
            console.say(f"each report is its known answer, to the byte ({seconds:.1f} s)")
        if settings.json:
            _write_json(samples, reports)
        _say_further(demo, samples[0].stream, keep)
    return 1 if wrong else 0


def _samples(streams: tuple[str, ...]) -> list[Sample]:
    from ops.registry import names
    from ops.samples import sample_of

    found = [sample_of(stream) for stream in streams or names()]
    for stream, sample in zip(streams, found, strict=False):
        if sample is None:
            raise UsageError(f"the stream {stream!r} brings no sample data")
    return list(dict.fromkeys(sample for sample in found if sample is not None))


def _write_json(samples: list[Sample], reports: dict[str, bytes]) -> None:
    import json

    result = [
        {
            "stream": sample.stream,
            "report": reports[sample.stream].decode(),
            "equal": reports[sample.stream] == sample.answer(),
        }
        for sample in samples
    ]
    console.write(json.dumps(result, ensure_ascii=False) + "\n")
    console.flush()


def _say_further(demo: Demo, stream: str, keep: bool) -> None:
    if not keep:
        console.say("to look further: streamgauge demo --keep")
        return
    console.say("to look further:")
    for words in ("status", f"tail {stream} -o beginning -e", f"report {stream} --help", f"dlq list {stream}"):
        console.say(f"  streamgauge {demo.settings} {words}")
    console.say(f"in a browser: {demo.page}")
    console.say(f"the worker logs to {demo.log}")
    console.say(f"to stop and remove all of it: {demo.stop_line}")


@contextmanager
def _sigterm_like_ctrl_c() -> Generator[None]:
    """What was started is stopped again, whichever way the demo is told to end."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
