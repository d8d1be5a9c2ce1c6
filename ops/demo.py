"""A broker, a worker and sample data, started for a look around and gone afterwards.

    with Demo(["sites"], keep=False) as demo:
        demo.start()
        demo.play(sample_of("sites"))        # the report, as bytes

Each step runs the command that a person would type, in a process of its own. Broker and worker end with this process,
kill -9 included, and their data with them; with ``keep`` they are left running once all went well.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ops import console
from ops.broker import LocalBroker
from ops.registry import stream
from ops.samples import Sample
from ops.topics import ensure
from ops.worker.leashed import LOG
from schemas.errors import StreamgaugeError

REPLAY_TIMEOUT_S = 120
STOP_S = 12.0
LOOK_EVERY_S = 0.05
PYTHON = (sys.executable, "-P", "-m")


class Demo:
    """What is started, and how to get rid of it.

    Args:
        streams: that the worker serves.
        keep: leave all of it running at the end of the context, unless that ends with an error.
    """

    def __init__(self, streams: Sequence[str], *, keep: bool) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="streamgauge-demo-"))
        self._streams = list(streams)
        self._keep = keep
        self._broker = LocalBroker(self.data)
        self._worker: subprocess.Popen[bytes] | None = None
        self._address = ""

    def start(self) -> None:
        """Start the broker, make the topics, start the worker.

        Raises:
            StreamgaugeError: one of them cannot be started.
        """
        began = time.monotonic()
        self._address = self._broker.start(foreground=not self._keep, wipe=not self._keep).bootstrap
        console.say(f"Apache Kafka runs at {self._address} ({time.monotonic() - began:.1f} s)")
        for name in self._streams:
            ensure({"bootstrap.servers": self._address}, stream(name).schema)
        words = ["worker", *self._streams, "--id", "demo", "--data", str(self.data), "--brokers", self._address]
        start = [*PYTHON, "ops.start"] if self._keep else [*PYTHON, "ops.worker.leashed", str(self.data)]
        with self.log.open("wb") as log:
            self._worker = subprocess.Popen(
                [*start, *words],
                stdin=subprocess.DEVNULL if self._keep else subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which stops them one after the other
            )
        console.say(f"a worker counts {', '.join(self._streams)} (pid {self._worker.pid})")

    def play(self, sample: Sample) -> bytes:
        """Replay ``sample`` (or serve and poll it), wait until it is counted, and report.

        Raises:
            StreamgaugeError: a step failed, or the worker ended.
        """
        waiting = ("--wait", "--timeout", f"{REPLAY_TIMEOUT_S}s")
        if sample.served:
            self._poll(sample, *waiting)
        else:
            names = " ".join(path.name for path in sample.paths)
            console.say(f"$ streamgauge replay {sample.stream} {names} --wait")
            self._run("replay", sample.stream, *map(str, sample.paths), *waiting)
        console.say(f"$ streamgauge report {shlex.join([sample.stream, *sample.report])}")
        return self._run("report", sample.stream, *sample.report)

    @property
    def log(self) -> Path:
        """What the worker logs."""
        return self.data / LOG

    @property
    def settings(self) -> str:
        """The words that make a command look at this demo."""
        return shlex.join(["--brokers", self._address, "--data", str(self.data)])

    @property
    def page(self) -> str:
        """Where the worker's page is: the system has chosen the port, and the log tells it."""
        told = (json.loads(line) for line in self.log.read_text().splitlines())
        return next(line["http"] for line in told if line["event"] == "worker started")

    @property
    def stop_line(self) -> str:
        """The shell line that ends a demo that was kept."""
        pid = self._worker.pid if self._worker else 0
        data = shlex.quote(str(self.data))
        return f"kill {pid}; streamgauge broker stop --wipe --data {data}; rm -r {data}"

    def close(self) -> None:
        """Stop the worker, then the broker, and remove their data."""
        if self._worker is not None:
            if self._worker.poll() is None:
                self._worker.send_signal(signal.SIGTERM)
            try:
                self._worker.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                self._worker.wait()
            if self._worker.stdin is not None:
                self._worker.stdin.close()
        self._broker.stop(wipe=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Demo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._keep:
            self.close()

    def _poll(self, sample: Sample, *words: str) -> None:
        """Poll the pages of a sample; they are served by this process, so that nothing is left when it is killed."""
        from producers.simulate.api import served
        from producers.simulate.recorded import recorded

        (path,) = sample.paths
        with served(recorded(str(path))) as url:
            console.say(f"$ streamgauge poll {sample.stream} --url {url} --wait")
            self._run("poll", sample.stream, "--url", url, *words)

    def _run(self, *words: str) -> bytes:
        """Run one command; its stdout. Ends early when the worker does."""
        command = [*PYTHON, "ops.start", *words, "--brokers", self._address, "--data", str(self.data)]
        with tempfile.TemporaryFile(dir=self.data) as result:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=result)
            try:
                while process.poll() is None:
                    self._check_worker()
                    time.sleep(LOOK_EVERY_S)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
            if process.returncode:
                raise StreamgaugeError(
                    f"streamgauge {shlex.join(words)} ended with exit code {process.returncode}; "
                    f"the worker's last words: {self._last_words()}"
                )
            result.seek(0)
            return result.read()

    def _check_worker(self) -> None:
        if self._worker is not None and self._worker.poll() is not None:
            raise StreamgaugeError(f"the worker ended: {self._last_words()}")

    def _last_words(self) -> str:
        """The last line of the worker's log; it is gone with the demo."""
        with self.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else "none"
