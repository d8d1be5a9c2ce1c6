"""A stream's tables in a database, kept equal to its compacted topics: each published record is applied exactly once.

    sink = TableSink(kafka, logger, PRODUCTS, "postgresql://me@db/shop")
    threading.Thread(target=sink.run).start()
    sink.serve({"rows": {0, 3}, "summaries": {1}})      # the partitions that this process is to bring over
    …
    sink.stop()

How far a partition has been brought over stands in the same database, in ``streamgauge_positions``, and moves in the
transaction that writes the rows. So a crash on either side loses nothing and repeats nothing, and who finds that a
position is not where it left it has lost the partition to another process, and writes nothing (`_Moved`).

A table is a function of its topic, so where a position cannot be gone on from it is made anew. That is so where the
topic does not reach from there to its end, and where the end was last reached so long ago that compaction may have
dropped removals meanwhile (``delete.retention.ms``). Where the topic is another than the one that filled the table, or
somebody else filled it, nothing is touched: a person decides.

While the database is away, counting and publishing go on; the tables catch up.
"""

# confluent_kafka types its admin results as Future[Unknown].
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import orjson
from confluent_kafka import KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from schemas.errors import StateRefused, StreamgaugeError
from schemas.outage import passes, ride_out
from schemas.schema import Schema
from schemas.sql_table import SqlTable
from sinks.committed import CommittedReader, Place, Span, committed_spans, place_of
from sinks.database import Cursor, Database, DatabaseAway, ValueRefused, name_of, opened

POSITIONS = "streamgauge_positions"
GROUP = "streamgauge-database"
LINE_EVERY_S = 10.0
RETRY_S = 1.0
MARK_EVERY_MS = 60_000
"""How often it is noted that a partition's end is reached still."""
LOOK_S = 0.1
SHOWN = 200

log = logging.getLogger("streamgauge.database")


class _Moved(Exception):
    """A position is not where this process left it: another one serves the partition."""


class _Position(NamedTuple):
    topic_id: str
    offset: int
    """The next to apply."""
    at_end_ms: int
    """When the end was reached last, or the table begun; epoch milliseconds."""


class TableSink:
    """Brings the topics of one stream over into the tables of one database.

    Args:
        kafka: client properties.
        logger: where librdkafka's own lines go.
        schema: of the stream; it names the tables.
        url: of the database (`sinks.database.checked`).
    """

    def __init__(self, kafka: Mapping[str, str], logger: logging.Logger, schema: Schema[Any], url: str) -> None:
        self._kafka = kafka
        self._logger = logger
        self._schema = schema
        self._url = url
        self._tables = {getattr(schema.topics, table.source): table for table in schema.tables}
        self._stopping = threading.Event()
        self._places: frozenset[Place] = frozenset()
        self._kept_ms: dict[str, int] = {}
        self._away_since: float | None = None
        self.counters: dict[str, float] = {"database_rows": 0, "database_refused": 0, "database_away": 0}
        """The names of `/metrics`."""

    def serve(self, partitions: Mapping[str, Collection[int]]) -> None:
        """From now on bring these partitions over, and no others.

        Args:
            partitions: by what a table is filled from: ``rows``, ``summaries``.
        """
        self._places = frozenset(
            (topic, partition) for topic, table in self._tables.items() for partition in partitions[table.source]
        )

    def stop(self) -> None:
        """End `run`, after the transaction that it is in."""
        self._stopping.set()

    def run(self) -> None:
        """Bring over what is published, until `stop`.

        Raises:
            StreamgaugeError: what a person must mend: the tables are another's, or the database or Kafka refuses.
        """
        said_at = float("-inf")
        while not self._stopping.is_set():
            try:
                with opened(self._url) as database, CommittedReader(
                    self._kafka, self._logger, group=GROUP, hurry=False
                ) as reader:  # fmt: skip
                    self._follow(database, reader)
            except (DatabaseAway, KafkaException) as error:
                if isinstance(error, KafkaException) and not passes(error.args[0]):
                    raise StreamgaugeError(f"what the database is to hold cannot be read: {error}") from error
                now = time.monotonic()
                self._away_since = self._away_since or now
                self.counters["database_away"] = round(now - self._away_since, 1)
                if now - said_at >= LINE_EVERY_S:
                    said_at = now
                    log.warning(
                        "database waits; its tables catch up later",
                        extra={"database": name_of(self._url), "reason": str(error)},
                    )
                self._stopping.wait(RETRY_S)

    # -- one connection

    def _follow(self, database: Database, reader: CommittedReader) -> None:
        """Bring over what is published for as long as the connection lasts."""
        answered = False
        while not self._stopping.is_set():
            places = self._places
            if not places:
                self._stopping.wait(LOOK_S)
                continue
            positions = self._begin(database, places)
            if not answered:  # to be connected is not enough: it must take what is written
                answered = True
                self.counters["database_away"], self._away_since = 0, None
                log.info("database connected", extra={"database": name_of(self._url)})
            try:
                for messages in reader.follow({place: positions[place].offset for place in places}):
                    if messages:
                        self._apply(database, messages, positions)
                    self._mark(database, reader.at_end, positions)
                    if self._stopping.is_set() or places != self._places:
                        break
            except _Moved:
                self._stopping.wait(LOOK_S)

    def _begin(self, database: Database, places: Collection[Place]) -> dict[Place, _Position]:
        """Make what is missing, and find where to go on; a table that cannot be gone on with is emptied."""
        admin = AdminClient(cast("Any", {**self._kafka}), logger=self._logger)
        ids, counts, self._kept_ms = _topics(admin, self._tables)
        spans = committed_spans(admin, counts)
        now = _now_ms()
        with database.transaction(alone=True) as cursor:
            cursor.execute(_DEFINITION)
            positions = _positions(cursor, database.marker, self._tables)
            for topic, table in self._tables.items():
                cursor.execute(table.definition)
                known = {place: found for place, found in positions.items() if place[0] == topic}
                self._refuse_strangers(cursor, table, topic, ids[topic], known)
                why = next(
                    (
                        why
                        for place, found in known.items()
                        if place in places and (why := _stale(found, spans[place], now, self._kept_ms[topic]))
                    ),
                    "",
                )
                if why:
                    log.warning("table is made anew", extra={"table": table.name, "topic": topic, "reason": why})
                if why or not known:
                    begun = {
                        place: _Position(ids[topic], span.start, now)
                        for place, span in spans.items()
                        if place[0] == topic
                    }
                    cursor.execute(f"DELETE FROM {table.name}")  # noqa: S608 - a name of ours
                    _put(cursor, database.marker, topic, begun)
                    positions |= begun
        return positions

    def _refuse_strangers(
        self, cursor: Cursor, table: SqlTable, topic: str, topic_id: str, known: Mapping[Place, _Position]
    ) -> None:
        """Never touch what another topic, or somebody else, has filled."""
        if any(found.topic_id != topic_id for found in known.values()):
            raise StateRefused(
                f"the database {name_of(self._url)} holds the {table.name} of another topic than this {topic} (another "
                f"cluster, or deleted and made anew); name another database, or drop {table.name} and the rows of "
                f"{topic} in {POSITIONS}"
            )
        if not known:
            cursor.execute(f"SELECT 1 FROM {table.name} LIMIT 1")  # noqa: S608 - a name of ours
            if cursor.fetchall():
                raise StateRefused(
                    f"the table {table.name} of {name_of(self._url)} holds rows that are not Streamgauge's; "
                    "empty or rename it, or name another database"
                )

    def _apply(self, database: Database, messages: Iterable[Message], positions: dict[Place, _Position]) -> None:
        """Write a batch, and move the positions, in one transaction."""
        ends: dict[Place, int] = {}
        newest: dict[str, dict[bytes, bytes | None]] = {topic: {} for topic in self._tables}
        for message in messages:
            place = place_of(message)
            ends[place] = (message.offset() or 0) + 1
            newest[place[0]][message.key() or b""] = message.value()
        try:
            written = self._write(database, ends, newest, positions, one_by_one=False)
        except ValueRefused:  # nothing was written: again, so that only the row itself is left out
            written = self._write(database, ends, newest, positions, one_by_one=True)
        self.counters["database_rows"] += written
        for place, end in ends.items():
            positions[place] = positions[place]._replace(offset=end)

    def _write(
        self,
        database: Database,
        ends: Mapping[Place, int],
        newest: Mapping[str, Mapping[bytes, bytes | None]],
        positions: Mapping[Place, _Position],
        *,
        one_by_one: bool,
    ) -> int:
        """The transaction; how many rows it wrote."""
        marker, written = database.marker, 0
        refused: list[tuple[str, str]] = []
        with database.transaction() as cursor:
            for place, end in sorted(ends.items()):
                cursor.execute(_MOVE.format(marker), (end, *place, positions[place].topic_id, positions[place].offset))
                if cursor.rowcount != 1:
                    raise _Moved
            for topic, values in newest.items():
                table = self._tables[topic]
                removed = self._schema.removed if table.source == "summaries" else self._schema.removed_row
                gone = [table.key_values(removed(key.decode())) for key, value in values.items() if value is None]
                kept = [table.values(orjson.loads(value)) for value in values.values() if value is not None]
                if not one_by_one:
                    if gone:
                        database.remove(cursor, table, gone)
                    if kept:
                        database.put(cursor, table, kept)
                    written += len(gone) + len(kept)
                    continue
                for key in gone:
                    database.attempt(cursor, partial(database.remove, cursor, table, [key]))
                for row in kept:
                    reason = database.attempt(cursor, partial(database.put, cursor, table, [row]))
                    if reason:
                        refused.append((table.name, f"{row!r}"[:SHOWN] + f": {reason}"))
                        # What stands there is no longer so: no row is better than an old one.
                        key = row[: len(table.key)]
                        database.attempt(cursor, partial(database.remove, cursor, table, [key]))
                written += len(gone) + len(kept)
        for name, what in refused:  # now that the rest is written, and will not be tried again
            self.counters["database_refused"] += 1
            log.error("the database cannot hold a row; it is left out", extra={"table": name, "row": what})
        return written - len(refused)

    def _mark(self, database: Database, ended: Collection[Place], positions: dict[Place, _Position]) -> None:
        """Note, now and then, that the end of a partition is reached."""
        now = _now_ms()
        due = sorted(place for place in ended if now - positions[place].at_end_ms >= MARK_EVERY_MS)
        if not due:
            return
        if any(now - positions[place].at_end_ms > self._kept_ms[place[0]] for place in due):
            raise _Moved  # it took too long: `_begin` decides
        with database.transaction() as cursor:
            for place in due:
                topic_id, offset, _ = positions[place]
                cursor.execute(_REACHED.format(database.marker), (now, *place, topic_id, offset))
                if cursor.rowcount != 1:
                    raise _Moved
        for place in due:
            positions[place] = positions[place]._replace(at_end_ms=now)


_DEFINITION = (
    f"CREATE TABLE IF NOT EXISTS {POSITIONS} (topic text NOT NULL, partition integer NOT NULL, topic_id text NOT NULL, "
    "next_offset bigint NOT NULL, at_end_ms bigint NOT NULL, UNIQUE (topic, partition))"
)
_WHERE = "WHERE topic = {0} AND partition = {0} AND topic_id = {0} AND next_offset = {0}"
_MOVE = f"UPDATE {POSITIONS} SET next_offset = {{0}} {_WHERE}"  # noqa: S608
_REACHED = f"UPDATE {POSITIONS} SET at_end_ms = {{0}} {_WHERE}"  # noqa: S608


def _positions(cursor: Cursor, marker: str, topics: Collection[str]) -> dict[Place, _Position]:
    """All that are known of ``topics``."""
    found: dict[Place, _Position] = {}
    for topic in topics:
        cursor.execute(
            f"SELECT partition, topic_id, next_offset, at_end_ms FROM {POSITIONS} WHERE topic = {marker}",  # noqa: S608
            (topic,),
        )
        found |= {(topic, partition): _Position(*rest) for partition, *rest in cursor.fetchall()}
    return found


def _put(cursor: Cursor, marker: str, topic: str, positions: Mapping[Place, _Position]) -> None:
    """In place of all that were known of ``topic``."""
    cursor.execute(f"DELETE FROM {POSITIONS} WHERE topic = {marker}", (topic,))  # noqa: S608
    values = ", ".join([marker] * 5)
    cursor.executemany(
        f"INSERT INTO {POSITIONS} (topic, partition, topic_id, next_offset, at_end_ms) VALUES ({values})",  # noqa: S608
        [(*place, *position) for place, position in positions.items()],
    )


def _stale(position: _Position, span: Span, now_ms: int, kept_ms: int) -> str:
    """Why a table cannot be gone on with from ``position``; empty: it can.

    >>> _stale(_Position("id", 7, 1_000), Span(0, 9), 5_000, 86_400_000)
    ''
    >>> _stale(_Position("id", 7, 1_000), Span(8, 9), 5_000, 86_400_000)
    'the topic begins at 8, after the 7 that comes next'
    >>> _stale(_Position("id", 7, 1_000), Span(0, 5), 5_000, 86_400_000)
    'the topic ends at 5, before the 7 that comes next'
    >>> _stale(_Position("id", 7, 1_000), Span(0, 9), 90_000_000, 86_400_000)
    'the end was last reached 25.0 h ago, and removals are kept for 24.0 h'
    """
    if position.offset < span.start:
        return f"the topic begins at {span.start}, after the {position.offset} that comes next"
    if position.offset > span.end:
        return f"the topic ends at {span.end}, before the {position.offset} that comes next"
    if now_ms - position.at_end_ms > kept_ms:
        hours = (now_ms - position.at_end_ms) / 3_600_000
        return f"the end was last reached {hours:.1f} h ago, and removals are kept for {kept_ms / 3_600_000:.1f} h"
    return ""


def _topics(admin: AdminClient, names: Collection[str]) -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
    """Of each topic its id, its partitions, and for how many milliseconds removals are kept."""

    def ask() -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
        described = admin.describe_topics(TopicCollection(list(names)), request_timeout=10)
        found = {name: described[name].result() for name in names}
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
        configs = admin.describe_configs(list(resources.values()), request_timeout=10)
        return (
            {name: str(topic.topic_id) for name, topic in found.items()},
            {name: len(topic.partitions) for name, topic in found.items()},
            {name: int(configs[resources[name]].result()["delete.retention.ms"].value) for name in names},
        )

    return ride_out(ask, KafkaException, time)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
