"""An engine process: one stream's engine, from the worker's order to a good end.

    waiting     until a broker answers (a line every 10 s), then make the topics that are missing
    restoring   the engine has partitions whose state is not here yet
    ready       all of them are
    failed      doubt about state: one line, exit 70; ``final`` when a restart cannot help

Started by `ops.worker.process` only. Two things end it: SIGTERM, and the end of its stdin, which means that its
worker is gone. A thread watches stdin, so that an event loop that hangs ends, too.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # a thousand modules come, to stay: to look for garbage among them meanwhile is a tenth of the start

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import uvloop
from confluent_kafka import KafkaException

from ops.kafka import client_logger, connect
from ops.registry import stream as stream_named
from ops.topics import ensure, input_ids, state_name
from ops.worker import directory, logs
from ops.worker.answers import Counts, answer_on, owned
from ops.worker.client import ask
from ops.worker.directory import Entry
from ops.worker.lock import alive
from ops.worker.order import Order
from ops.worker.reach import any_answers
from ops.worker.stages import Stages, stages_of
from processors import EngineSettings
from processors.watchdog import tell_before_the_end
from schemas.errors import BrokerUnreachable, StateRefused, StreamgaugeError, TopicMismatch, UsageError
from schemas.schema import Schema

if TYPE_CHECKING:
    from sinks.tables import TableSink

FAILED = 70
"""Exit code of a doubt (``EX_SOFTWARE``): the worker starts the engine again."""
LOOK_S = 0.5
LOOK_SOON_S = 0.05
"""Until the engine is ready: whoever waits for it hears of it at once."""
SAME_S = 60.0
BEAT_S = 10.0
COMPLAINT_S = 3.0
"""While a broker is away, the client complains several times a second."""
FINISH_S = 5.0
"""After so long a stop has either succeeded or hangs at a broker that is away."""
REMOVE_S = 1.5
TABLES_S = 1.0
"""What a transaction of the database gets to end; one that does not is rolled back, and done again later."""
ORPHAN_S = 8.0
"""What an engine whose worker was killed gets to finish its epoch."""

T = TypeVar("T")

log = logging.getLogger("streamgauge.worker")


class _NothingToFinish(Exception):
    """The engine was stopped while no broker answers."""


class IdTaken(StreamgaugeError):
    """Another worker of this machine, with another ``--data``, serves the stream under this id."""


FINAL = (UsageError, TopicMismatch, StateRefused, IdTaken)
"""Only a person can mend these; the process ends with the exit code that the worker is to end with."""


class Child:
    """One engine process.

    Args:
        order: what to do.
        reports: where reports go (the worker reads them).
        libraries: knows when the Kafka client complained last.
    """

    def __init__(self, order: Order, reports: int, libraries: logs.Sparingly) -> None:
        self._order = order
        self._reports = reports
        self._libraries = libraries
        self._brokers = order.kafka["bootstrap.servers"]
        self._told: tuple[str, str] | None = None
        self._told_at = 0.0
        self._stopping = asyncio.Event()
        self._entry = Entry(
            worker=order.worker,
            instance=order.instance,
            stream=order.stream,
            http=order.advertise,
            pid=order.pid,
            host=socket.gethostname(),
            started=time.time(),
        )
        self._published: Entry | None = None
        self._publishing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._publishing.set_result(None)

    async def run(self) -> None:
        """Serve the stream until the process is told to stop.

        Raises:
            StreamgaugeError: doubt about state, or something that only a person can mend.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        threading.Thread(target=self._end_with_worker, args=(loop,), name="lifeline", daemon=True).start()
        stream = stream_named(self._order.stream)
        schema = stream.schema.with_fields(self._order.counting.dimensions)
        self._tell("waiting", f"the engine asks for a broker at {self._brokers}")
        topics = await self._broker_ready(lambda: self._topics(schema))
        if topics is None:
            return
        await self._broker_ready(self._refuse_taken_id)
        if self._stopping.is_set():
            return
        self._tell("restoring", "the engine joins its group")
        engine = stages_of(schema, stream.aggregator(self._order.counting), self._engine_settings(*topics))
        sink = self._sink(schema)
        runner = None
        if self._order.listen_fd >= 0:
            counters = {} if sink is None else sink.counters
            runner = await answer_on(socket.socket(fileno=self._order.listen_fd), engine, self._owner, counters)
        engine_run = asyncio.ensure_future(engine.run())
        watch = asyncio.create_task(self._watch(engine, sink))
        stopped = asyncio.create_task(self._stopping.wait())
        tables = stopped if sink is None else asyncio.ensure_future(in_thread(sink.run))
        same = asyncio.create_task(self._same_topics(schema, topics[-1]))
        try:
            await asyncio.wait({engine_run, watch, stopped, tables, same}, return_when=asyncio.FIRST_COMPLETED)
            for beside in (watch, tables, same):
                if beside.done():
                    beside.result()
            watch.cancel()
            if not engine_run.done():
                await self._finish(engine, engine_run)
            await engine_run
            if not self._stopping.is_set():
                raise StreamgaugeError("the engine ended without being told to")
        except _NothingToFinish:
            log.warning(
                "stopped without a broker; what it did not take is counted again", extra={"brokers": self._brokers}
            )
            return
        finally:
            watch.cancel()
            same.cancel()
            stopped.cancel()
            if sink is not None:
                sink.stop()
                await asyncio.wait({tables}, timeout=TABLES_S)
            if runner is not None:
                await runner.cleanup()
        # Without it readers of the entry still ask before they believe it.
        with suppress(StreamgaugeError, TimeoutError):
            await asyncio.wait_for(self._remove_entry(), REMOVE_S)

    def fail(self, error: BaseException) -> int:
        """Say in one line why the process ends; what nobody foresaw comes with its traceback.

        Returns:
            The exit code of the process.
        """
        reason = str(error) if isinstance(error, StreamgaugeError) else f"{type(error).__name__}: {error}"
        foreseen = isinstance(error, StreamgaugeError) and not self._order.debug
        log.error("engine failed", extra={"reason": reason}, exc_info=None if foreseen else error)
        final = isinstance(error, FINAL)
        self._tell("failed", reason, final=final)
        return error.exit_code if final else FAILED

    async def _finish(self, engine: Counts, engine_run: asyncio.Future[None]) -> None:
        """Let the engine finish its epoch and commit.

        Raises:
            _NothingToFinish: it cannot, because no broker answers; the stamp says where to go on.
        """
        self._tell("stopping", "the engine finishes its epoch")
        engine.stop()
        await asyncio.wait({engine_run}, timeout=FINISH_S)
        if not engine_run.done() and not await any_answers(self._brokers):
            raise _NothingToFinish

    # -- before the engine

    async def _broker_ready(self, act: Callable[[], T]) -> T | None:
        """Do ``act``, for as long as no broker answers again and again; None when told to stop."""
        while not self._stopping.is_set():
            stopped = asyncio.create_task(self._stopping.wait())
            acting = asyncio.ensure_future(in_thread(act))
            try:
                await asyncio.wait({acting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if acting.done():
                    return acting.result()
            except BrokerUnreachable as error:
                log.warning("no broker answers", extra={"brokers": self._brokers})
                self._tell("waiting", str(error))
            finally:
                stopped.cancel()
        return None

    def _topics(self, schema: Schema[Any]) -> tuple[int, Path, dict[str, str]]:
        """Make the topics that are missing.

        Returns:
            The partition count of the stream, where the copy of its state lies, and the ids of what is counted.
        """
        kafka, folder = self._order.kafka, self._order.state_dir
        ensure(kafka, schema)
        admin = connect(kafka)
        # Asked for by name, a missing topic would be made by a broker that makes topics by itself.
        partitions = len(admin.list_topics(timeout=10).topics[schema.topics.input].partitions)
        name = state_name(admin, schema)
        others = sorted(str(path) for path in folder.glob("*") if path.name != name)
        if others:
            log.warning("local state of deleted topics or another cluster is left alone", extra={"paths": others})
        return partitions, folder / name, input_ids(admin, schema)

    def _sink(self, schema: Schema[Any]) -> TableSink | None:
        """What brings the stream's tables over into a database, where it has tables and one is configured."""
        if self._order.database is None or not schema.tables:
            return None
        from sinks.tables import TableSink

        return TableSink(self._order.kafka, client_logger(), schema, self._order.database)

    def _refuse_taken_id(self) -> None:
        """Two members of one group instance would throw each other out for ever."""
        for entry in directory.read(self._order.kafka):
            if entry.key != self._entry.key:
                continue
            if entry.host != self._entry.host:
                # A worker that moved to another machine finds the entry of its old life, which answers no more.
                if entry.http is not None and answers(entry):
                    raise IdTaken(
                        f"worker id {entry.worker!r} is in use on {entry.host} (process {entry.pid}); "
                        "stop it, or give this one another --id"
                    )
            elif entry.pid != self._order.pid and alive(str(entry.pid)) and answers(entry):
                raise IdTaken(
                    f"worker id {entry.worker!r} is in use by process {entry.pid} on this machine "
                    "(with another --data); stop it, or give this one another --id"
                )

    def _engine_settings(self, partitions: int, state_dir: Path, topic_ids: dict[str, str]) -> EngineSettings:
        order = self._order
        return EngineSettings(
            kafka=order.kafka,
            state_dir=state_dir,
            worker=order.worker,
            instance=order.instance,
            epoch_s=order.epoch_s,
            standbys=order.standbys,
            memory_bytes=order.memory_bytes,
            skip_lost=order.skip_lost,
            advertise=order.advertise,
            leave=order.leave,
            partitions=partitions,
            topic_ids=topic_ids,
        )

    # -- beside the engine

    async def _watch(self, engine: Counts, sink: TableSink | None) -> None:
        """Report what the engine is at, keep its entry in the directory true, and the sink at the same partitions."""
        line_at = time.monotonic()
        while True:
            state, reason = await self._look(engine)
            self._tell(state, reason)
            if state == "ready":
                line_at = time.monotonic()
            elif time.monotonic() - line_at >= BEAT_S:
                line_at = time.monotonic()
                log.warning("engine waits", extra={"reason": reason})
            if state == "ready":
                self._keep_entry(owned(engine), followed(engine))
            if sink is not None:
                published = owned(engine, "merging") if isinstance(engine, Stages) else owned(engine)
                sink.serve({"rows": owned(engine), "summaries": published})
            await asyncio.sleep(LOOK_SOON_S if state == "restoring" else LOOK_S)

    async def _same_topics(self, schema: Schema[Any], ids: dict[str, str]) -> None:
        """Look now and then whether what is counted is still the topic that it was.

        Of a topic that is made anew amid the counting, all offsets that an earlier one had pass for counted.

        Raises:
            StreamgaugeError: it is another; the next start refuses it, and says what to do.
        """
        while True:
            await asyncio.sleep(SAME_S)
            try:
                found = await in_thread(lambda: input_ids(connect(self._order.kafka), schema))
            except (StreamgaugeError, KafkaException):
                continue  # no broker, or no such topic: the engine itself waits for them
            if found != ids:
                changed = ", ".join(sorted(name for name in ids if found[name] != ids[name]))
                raise StreamgaugeError(f"{changed} was deleted and made anew while it was counted")

    async def _look(self, engine: Counts) -> tuple[str, str]:
        """``(state, reason)``. A Kafka client that complains is the occasion to see whether its brokers are there."""
        complained = self._libraries.complained
        complains = complained is not None and time.monotonic() - complained < COMPLAINT_S
        if complains and not await any_answers(self._brokers):
            return "waiting", f"no broker answers at {self._brokers}"
        return ("ready", "") if engine.ready else ("restoring", engine.why_not_ready)

    def _keep_entry(self, active: list[int], standby: list[int]) -> None:
        """Write the entry anew when it is no longer true; one attempt at a time, beside everything else."""
        entry = replace(self._entry, active=active, standby=standby)
        if entry != self._published and self._publishing.done():
            self._publishing = asyncio.ensure_future(self._publish(entry))

    async def _publish(self, entry: Entry) -> None:
        try:
            await in_thread(lambda: directory.publish(self._order.kafka, entry))
        except StreamgaugeError as error:
            log.warning("cannot tell others what this worker serves", extra={"reason": str(error)})
        else:
            self._published = entry

    async def _remove_entry(self) -> None:
        await self._publishing  # else it might be written after it was removed
        await in_thread(lambda: directory.remove(self._order.kafka, self._entry))

    async def _owner(self, partition: int) -> Entry | None:
        """Who else says that it serves ``partition`` of this stream."""
        with suppress(StreamgaugeError):
            entries = await in_thread(lambda: directory.read(self._order.kafka))
            others = [entry for entry in entries if entry.instance != self._order.instance]
            return directory.owner_of(others, self._order.stream, partition)
        return None

    def _tell(self, state: str, reason: str, *, final: bool = False) -> None:
        now = time.monotonic()
        if (state, reason) == self._told and now - self._told_at < BEAT_S:
            return
        self._told, self._told_at = (state, reason), now
        line = json.dumps({"state": state, "reason": reason, "final": final}).encode() + b"\n"
        with suppress(OSError):  # the worker is gone: stdin says so, too
            os.write(self._reports, line)

    def _end_with_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        if not self._stopping.is_set():
            log.warning("the worker is gone, its engine ends")
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(self._stopping.set)
        time.sleep(ORPHAN_S)
        os._exit(FAILED)


def followed(engine: Counts) -> list[int]:
    """The partitions whose state ``engine`` follows as a standby."""
    partitions: dict[str, dict[str, Any]] = engine.status()["partitions"]
    return sorted(int(number) for number, partition in partitions.items() if partition["role"] == "standby")


def answers(entry: Entry) -> bool:
    """Whether the worker of ``entry`` is the one that answers at its address."""
    if entry.http is None:  # it cannot be asked; its number may belong to another program by now
        command = Path(f"/proc/{entry.pid}/cmdline")
        return not command.exists() or b"worker" in command.read_bytes()
    answer = ask(entry.http, "/status")
    return answer is not None and answer.status == 200 and answer.value.get("pid") == entry.pid


async def in_thread(act: Callable[[], T]) -> T:
    """``act`` in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def run() -> None:
        try:
            result = act()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            outcome: tuple[Callable[[Any], None], Any] = (done.set_exception, error)
        else:
            outcome = (done.set_result, result)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="call", daemon=True).start()
    return await done


def main() -> None:
    """Run the order on stdin; ends the process."""
    gc.freeze()  # what was imported is no garbage later, either
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the worker decides
    # What libraries print must not end up among the reports.
    reports = os.dup(1)
    os.dup2(2, 1)
    order = Order.of(_first_line(0))
    libraries = logs.set_up(order.log_style, order.log_level, {"stream": order.stream, "instance": order.instance})

    async def run() -> NoReturn:
        child = Child(order, reports, libraries)
        tell_before_the_end(child.fail)
        code = 0
        try:
            await child.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with one line
            code = child.fail(error)
        # The engine has let go of all that matters. Tasks and threads of Kafka clients that wait for a broker, which
        # an orderly end would wait for in turn, must not hold up this one.
        os._exit(code)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _first_line(fd: int) -> bytes:
    """A line of ``fd``, and nothing behind it read; buffers would swallow the end that the lifeline waits for."""
    line = bytearray()
    while not line.endswith(b"\n"):
        more = os.read(fd, 1)
        if not more:
            sys.exit("ops.worker.child is started by streamgauge worker")
        line += more
    return bytes(line)


if __name__ == "__main__":
    main()
