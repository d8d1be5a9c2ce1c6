"""The tables of `products` in PostgreSQL and SQLite: equal to the topics, each published record applied once."""

from __future__ import annotations

import csv
import json
import logging
import random
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from ops.kafka import connect
from ops.topics import ensure
from schemas.errors import StreamgaugeError
from schemas.products import PRODUCTS, pair_key
from schemas.wire import partition_of
from sinks.summaries import rows, summaries
from sinks.tables import TableSink
from tests.postgres import Postgres, ephemeral_postgres
from tests.running import Running
from tests.waiting import until

LOGGER = logging.getLogger("tests")
PARTITIONS = 3
PAIRS = "SELECT sku, name, description FROM products"
COUNTS = "SELECT name, no_of_products FROM products_agg"
BEGUN = "SELECT topic FROM streamgauge_positions"
AUDIT = """
    CREATE TABLE audit (at bigserial, what text, sku text, name text, description text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' THEN
            INSERT INTO audit (what, sku, name) VALUES (TG_OP, OLD.sku, OLD.name);
        ELSE
            INSERT INTO audit (what, sku, name, description) VALUES (TG_OP, NEW.sku, NEW.name, NEW.description);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL for the tests of this file."""
    with ephemeral_postgres() as server:
        yield server


@pytest.fixture
def postgres(server: Postgres) -> Iterator[Postgres]:
    """The server without a table."""
    yield server
    server.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


class Topics:
    """The published topics, written by the test itself."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        ensure(kafka, PRODUCTS, partitions=PARTITIONS)
        self.kafka = kafka
        self._producer = Producer({**kafka}, logger=LOGGER)

    def pair(self, sku: str, name: str, description: str | None) -> None:
        """Publish a pair, or that it was removed."""
        value = {"sku": sku, "name": name, "description": description, "revision": 1}
        self._send(
            PRODUCTS.topics.rows, sku, pair_key(sku.encode(), name.encode()), None if description is None else value
        )

    def count(self, name: str, count: int) -> None:
        """Publish how many pairs have a name; 0: that it was removed."""
        self._send(PRODUCTS.topics.summaries, name, name.encode(), count and {"name": name, "count": count})

    def _send(self, topic: str, home: str, key: bytes, value: Any) -> None:
        partition = partition_of(home.encode(), PARTITIONS)
        self._producer.produce(topic, json.dumps(value).encode() if value else None, key, partition)
        self._producer.flush()


@pytest.fixture
def topics(kafka: dict[str, Any]) -> Topics:
    """The topics, empty."""
    return Topics(kafka)


class Sinking:
    """A sink that runs in a thread."""

    def __init__(self, topics: Topics, url: str, partitions: range = range(PARTITIONS)) -> None:
        self.sink = TableSink(topics.kafka, LOGGER, PRODUCTS, url)
        self.sink.serve({"rows": partitions, "summaries": partitions})
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.sink.run()
        except StreamgaugeError as error:
            self.error = error


@contextmanager
def sinking(topics: Topics, url: str, partitions: range = range(PARTITIONS)) -> Generator[Sinking]:
    """Run a sink for as long as the context lasts."""
    running = Sinking(topics, url, partitions)
    running.thread.start()
    try:
        yield running
    finally:
        running.sink.stop()
        running.thread.join()


@pytest.fixture(params=["postgresql", "sqlite"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[str], list[Any]]]:
    """Each kind of database: its address, and what asks it."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        return server.url, server.ask
    path = tmp_path / "shop.db"

    def ask(statement: str) -> list[Any]:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError:  # there is no such table yet
            return []
        finally:
            connection.close()

    return f"sqlite:///{path}", ask


Ask = tuple[str, Callable[[str], list[Any]]]


def found(ask: Callable[[str], list[Any]], query: str) -> set[tuple[Any, ...]]:
    """The rows of a query; none while the table is not there."""
    import psycopg

    try:
        return set(ask(query))
    except psycopg.errors.UndefinedTable:
        return set()


def test_inserts_changes_and_removals_arrive(topics: Topics, ask: Ask) -> None:
    """Of a key the newest holds; what comes back after a removal is there again."""
    url, query = ask
    topics.pair("k-1", "Ann", "first")
    topics.pair("k-1", "Bob", "x'y\"z\n")
    topics.pair("k-2", "Ann", "")
    topics.count("Ann", 2)
    topics.count("Bob", 1)
    with sinking(topics, url) as running:
        until(lambda: len(found(query, PAIRS)) == 3 and len(found(query, COUNTS)) == 2)
        topics.pair("k-1", "Ann", "second")
        topics.pair("k-2", "Ann", None)
        topics.count("Ann", 1)
        topics.count("Bob", 0)
        topics.pair("k-2", "Zoë", "late")
        wanted = {("k-1", "Ann", "second"), ("k-1", "Bob", "x'y\"z\n"), ("k-2", "Zoë", "late")}
        until(lambda: found(query, PAIRS) == wanted)
        until(lambda: found(query, COUNTS) == {("Ann", 1)})
        assert running.sink.counters["database_away"] == 0
    assert running.error is None


def test_it_goes_on_where_it_stopped(topics: Topics, ask: Ask) -> None:
    """A row that was brought over is not written again: somebody's change of it stays."""
    url, query = ask
    topics.pair("k-1", "Ann", "ours")
    with sinking(topics, url):
        until(lambda: found(query, PAIRS))
    query("UPDATE products SET description = 'theirs'")
    topics.pair("k-2", "Bob", "new")
    with sinking(topics, url):
        until(lambda: len(found(query, PAIRS)) == 2)
    assert found(query, PAIRS) == {("k-1", "Ann", "theirs"), ("k-2", "Bob", "new")}


def test_two_that_serve_the_same_partitions_write_everything_once(topics: Topics, postgres: Postgres) -> None:
    """As in a hand-over, where the old owner does not know yet: who comes second has lost its position."""
    with sinking(topics, postgres.url):
        until(lambda: found(postgres.ask, BEGUN))
        postgres.ask(AUDIT)
        with sinking(topics, postgres.url):
            for number in range(300):
                topics.pair(f"k-{number}", "Ann", str(number))
            until(lambda: len(found(postgres.ask, PAIRS)) == 300)
    assert postgres.ask("SELECT what, count(*) FROM audit GROUP BY what") == [("INSERT", 300)]


def test_a_table_is_made_anew_where_removals_may_be_gone(topics: Topics, ask: Ask) -> None:
    """Compaction drops a removal after a day; whoever was away for longer cannot know what was removed."""
    url, query = ask
    topics.pair("k-1", "Ann", "kept")
    with sinking(topics, url):
        until(lambda: found(query, PAIRS))
    query("INSERT INTO products (sku, name, description) VALUES ('k-9', 'Old', 'its removal was compacted away')")
    query("UPDATE streamgauge_positions SET at_end_ms = at_end_ms - 90000000 WHERE topic = 'products.rows'")
    with sinking(topics, url):
        until(lambda: found(query, PAIRS) == {("k-1", "Ann", "kept")})


def test_tables_of_another_topic_or_of_somebody_else_are_left_alone(topics: Topics, ask: Ask) -> None:
    """One line that says what to do, and nothing is touched."""
    url, query = ask
    topics.pair("k-1", "Ann", "kept")
    with sinking(topics, url):
        until(lambda: found(query, PAIRS))
    query("UPDATE streamgauge_positions SET topic_id = 'another'")
    with sinking(topics, url) as running:
        running.thread.join()
    assert "holds the products of another topic" in str(running.error)
    query("DROP TABLE streamgauge_positions")
    with sinking(topics, url) as running:
        running.thread.join()
    assert "holds rows that are not Streamgauge's" in str(running.error)
    assert found(query, PAIRS) == {("k-1", "Ann", "kept")}


def test_a_table_with_other_columns_is_refused(topics: Topics, ask: Ask) -> None:
    """Nobody guesses what it is."""
    url, query = ask
    query("CREATE TABLE products (number int)")
    topics.pair("k-1", "Ann", "")
    with sinking(topics, url) as running:
        running.thread.join()
    assert "refuses: " in str(running.error)
    assert "\n" not in str(running.error)


def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(topics: Topics, postgres: Postgres) -> None:
    """After a fail-over an address may lead to a replica for some seconds."""
    topics.pair("k-1", "Ann", "")
    postgres.ask("ALTER DATABASE postgres SET default_transaction_read_only = on")
    with sinking(topics, postgres.url) as running:
        until(lambda: running.sink.counters["database_away"] > 1)
        postgres.ask("ALTER DATABASE postgres RESET ALL")
        until(lambda: found(postgres.ask, PAIRS))
    assert running.error is None


def test_a_row_that_the_database_cannot_hold_is_left_out_alone(topics: Topics, postgres: Postgres) -> None:
    """PostgreSQL's index holds keys of 2.7 kB; the rest of the batch is written, and the sink goes on."""
    with sinking(topics, postgres.url):
        until(lambda: found(postgres.ask, BEGUN))
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9_000))
    topics.pair("k-1", "Ann", "before")
    topics.pair("k-1", long, "")
    topics.pair("k-2", "Bob", "after")
    with sinking(topics, postgres.url) as running:
        until(lambda: len(found(postgres.ask, PAIRS)) == 2)
        until(lambda: running.sink.counters["database_refused"] == 1)
        topics.pair("k-1", long, None)
        topics.pair("k-3", "Eve", "")
        until(lambda: len(found(postgres.ask, PAIRS)) == 3)
    assert running.error is None


def test_tables_are_exact_after_worker_and_database_were_killed(
    kafka: dict[str, Any], postgres: Postgres, tmp_path: Path
) -> None:
    """Two engine processes; each version of a pair that a row ever had was written once, in the topic's order."""
    ensure(kafka, PRODUCTS, partitions=PARTITIONS)
    words = ("--epoch", "100ms", "--processes", "2", "--database", postgres.url)
    shop = Running(tmp_path, kafka["bootstrap.servers"], "products", *words)
    with shop.serving():
        until(lambda: found(postgres.ask, BEGUN))
        postgres.ask(AUDIT)
        for round_, op in enumerate(("ingest", "update", "delete", "update")):
            path = tmp_path / f"{round_}.csv"
            with path.open("w", newline="") as file:
                fields = [(f"name {n % 300}", f"k-{n % 900}", f"{round_}") for n in range(2_000 - 300 * round_)]
                csv.writer(file).writerows([("name", "sku", "description"), *fields])
            replay = shop.begin("replay", "products", "--op", op, path, "--rate", "2000", "--wait")
            before = len(postgres.ask("SELECT 1 FROM audit"))
            until(lambda before=before: len(postgres.ask("SELECT 1 FROM audit")) > before, "something is written")
            if op == "delete":
                shop.engine().kill()
            elif round_ == 1:
                postgres.kill()
                postgres.start()
            _, said = replay.communicate(timeout=60)
            assert replay.returncode == 0, said
        admin = connect(kafka)
        pairs = {(row["sku"], row["name"], row["description"]) for row in rows(kafka, admin, PRODUCTS, LOGGER).values()}
        names = {(each["name"], each["count"]) for each in summaries(kafka, admin, PRODUCTS, LOGGER)}
        assert pairs
        until(lambda: found(postgres.ask, PAIRS) == pairs and found(postgres.ask, COUNTS) == names)
    changes: dict[tuple[str, str], list[str | None]] = {}
    for sku, name, description in postgres.ask("SELECT sku, name, description FROM audit ORDER BY at"):
        changes.setdefault((sku, name), []).append(description)
    # Inserted by "0", changed by "1", removed, inserted by "3": a batch may leave some out, but repeats none.
    orders = ["0", "1", None, "3"]
    for said in changes.values():
        places = [orders.index(description) for description in said]
        assert places == sorted(set(places)), said
