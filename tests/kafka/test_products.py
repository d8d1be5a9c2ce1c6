"""`products` from files to both tables, on a real broker, against a sequential reading of the same files."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ops.kafka import connect
from ops.topics import ensure
from producers.simulate import Scenario, simulate
from schemas.products import PRODUCTS, Product
from schemas.wire import LETTER_OP
from sinks.committed import CommittedReader, committed_spans, headers_of
from sinks.summaries import rows
from tests.running import Running
from tests.unit.aggregators.naive_products import Pairs, catalogue, counts
from tests.waiting import until

PATIENCE_S = 90
LOGGER = logging.getLogger("tests")
BROKEN = (
    b'\xef\xbb\xbfname,sku,description\r\n'
    b'Ann,k-1,"two\r\nlines"\r\n'  # 2
    b"Ann,k-2\r\n"  # 4: a column is missing
    b'"Ann"a,k-3,x\r\n'  # 5: text after a closing quote
    b"\r\n"
    b"An\xffn,k-4,x\r\n"  # 7: not UTF-8
    b',k-5,"name\nmissing"\r\n'  # 8
    b'5" pipe,k-6,"a ""b"", c"\r\n'  # 10: a bare quote is literal
    b'Ann,k-7,"torn\r\n'  # 11: closes nowhere
    b"Bob,k-8,last"
)  # fmt: skip


class Shop(Running):
    """A folder of files, a broker, and a worker that keeps the catalogue."""

    def __init__(self, folder: Path, kafka: dict[str, Any]) -> None:
        super().__init__(folder, kafka["bootstrap.servers"], "products", "--epoch", "200ms")
        self.kafka = kafka
        self.done: list[Product] = []
        """Every command that was accepted, in order."""

    def file(self, name: str, *found: tuple[str, str, str]) -> Path:
        """A file of ``(name, sku, description)``."""
        path = self.folder / name
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("name", "sku", "description"), *found])
        return path

    def replay(self, op: Any, path: Path) -> None:
        """Send a file without bad rows, and wait until it is counted."""
        self.prints("replay", "products", "--op", op, path, "--wait")
        self.note(op, path)

    def note(self, op: Any, path: Path) -> None:
        """The rows of a file were carried out."""
        with path.open(newline="", encoding="utf-8") as file:
            self.done += [Product(op, *fields) for fields in list(csv.reader(file))[1:]]

    @property
    def pairs(self) -> Pairs:
        """The topic of pairs, as the reference writes it."""
        found = rows(self.kafka, connect(self.kafka), PRODUCTS, LOGGER)
        return {(row["sku"], row["name"]): row["description"] for row in found.values()}

    def published(self) -> int:
        """How far the topic of pairs has come."""
        topic = PRODUCTS.topics.rows
        return sum(span.end for span in committed_spans(connect(self.kafka), {topic: 3}).values())

    def check(self) -> None:
        """Both tables, and the reports of them, are what a sequential reading of all commands gives."""
        expected = catalogue(self.done)
        assert self.pairs == expected
        ranked = sorted(counts(expected).items(), key=lambda each: (-each[1], each[0]))
        report = self.prints("report", "products")
        assert list(csv.reader(StringIO(report, newline=""))) == [[str(count), name] for name, count in ranked]
        assert json.loads(self.prints("report", "products", "-k", "3", "--json")) == [
            {"count": count, "name": name} for name, count in ranked[:3]
        ]


@pytest.fixture(scope="module")
def shop(
    broker: dict[str, Any], clean: Callable[[dict[str, Any]], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A worker that serves an empty catalogue; tests add to it."""
    clean(broker)
    ensure(broker, PRODUCTS, partitions=3)
    with Shop(tmp_path_factory.mktemp("products"), broker).serving() as shop:
        yield shop


def letters(shop: Shop) -> list[dict[str, Any]]:
    """The dead letters that were not sent back, as a program reads them."""
    return [json.loads(line) for line in shop.prints("dlq", "list", "products", "--json").splitlines()]


def test_commands_are_carried_out_in_the_order_in_which_they_were_sent(shop: Shop) -> None:
    """Insert, insert again, change, take out, insert again; first and last within a file are the file's."""
    file = shop.file("many.csv", *(("Eve", f"s-{n % 40}", f"{n}\n") for n in range(120)), ("Zoë", "s-1", ""))
    shop.replay("ingest", file)
    shop.check()
    shop.replay("ingest", file)
    shop.check()
    shop.prints("verify", "products", file)
    shop.replay("update", file)
    shop.replay("update", file)
    shop.check()
    shop.replay("delete", shop.file("out.csv", ("Zoë", "s-1", "whatever"), ("Eve", "s-1", ""), ("Eve", "none", "")))
    shop.check()
    assert shop.prints("report", "products", "--sku", "s-1", code=1) == ""
    shop.replay("ingest", file)
    shop.check()
    assert shop.prints("report", "products", "--sku", "s-1") == 'Eve,s-1,"1\n"\nZoë,s-1,\n'


def test_a_name_without_products_is_shown_with_a_count_of_0(shop: Shop) -> None:
    """Its revision rises all the same, here and when it comes back."""
    once = shop.file("once.csv", ("Once", "o-1", ""))
    for op in ("ingest", "delete", "update"):
        shop.replay(op, once)
    shown = shop.prints("tail", "products:Once", "-o", "beginning", "-e").splitlines()
    found = [json.loads(line) for line in shown]
    assert [(summary["name"], summary["count"]) for summary in found] == [("Once", 1), ("Once", 0), ("Once", 1)]
    assert found[0]["revision"] < found[1]["revision"] < found[2]["revision"]
    rows = [json.loads(line) for line in shop.prints("tail", "products.rows:o-1", "-o", "beginning", "-e").splitlines()]
    assert [(row["sku"], row["name"], row.get("count")) for row in rows] == [
        ("o-1", "Once", None), ("o-1", "Once", 0), ("o-1", "Once", None),
    ]  # fmt: skip
    state = json.loads(shop.prints("state", "products", "o-1"))
    assert state == {"sku": "o-1", "rows": [{"name": "Once", "description": ""}]}


def test_broken_rows_are_dead_letters_with_their_lines_and_their_operation(shop: Shop) -> None:
    """The rest is carried out. Sent back, a letter is still about a deletion."""
    path = shop.folder / "broken.csv"
    path.write_bytes(BROKEN)
    result = json.loads(shop.prints("replay", "products", path, "--wait", "--json", code=3))
    assert (result["accepted"], result["rejected"]) == (3, 5)
    assert {letter["line"]: letter["reason"] for letter in result["dead_letters"]} == {
        4: "expected 3 columns, got 2",
        5: "text follows a closing quote",
        7: "not UTF-8: invalid start byte (byte 2)",
        8: "name: expected a text that is not empty, got ''",
        11: "a quote is not closed",
    }
    shop.done += [
        Product("ingest", "Ann", "k-1", "two\r\nlines"),
        Product("ingest", '5" pipe', "k-6", 'a "b", c'),
        Product("ingest", "Bob", "k-8", "last"),
    ]
    shop.check()
    shop.prints("replay", "products", "--op", "delete", path, "--wait", code=3)
    shop.done += [Product("delete", product.name, product.sku, "") for product in shop.done[-3:]]
    shop.check()
    assert len(letters(shop)) == 10
    shop.prints("dlq", "replay", "products", code=3)
    assert sorted(operations(shop)) == [*[b"delete"] * 10, *[b"ingest"] * 10]


def operations(shop: Shop) -> Iterable[bytes]:
    """What each dead letter, sent back or not, says that its row was to do."""
    topic = PRODUCTS.topics.dead_letters
    spans = committed_spans(connect(shop.kafka), {topic: 1})
    with CommittedReader(shop.kafka, LOGGER) as reader:
        for messages in reader.read({place: span.start for place, span in spans.items()}, spans):
            for message in messages:
                yield dict(headers_of(message)).get(LETTER_OP) or b""


def test_both_tables_are_exact_after_the_worker_was_killed_midway(shop: Shop) -> None:
    """A simulated catalogue and its deletion, while the engine dies with some of it committed and some under way."""
    path = shop.folder / "simulated.csv"
    path.write_bytes(b"".join(simulate("products", Scenario(events=6_000, keys=5_000, duplicates=0.01))))
    for op in ("ingest", "delete"):
        before = shop.published()
        replay = shop.begin("replay", "products", "--op", op, path, "--wait")
        until(lambda before=before: shop.published() > before, "something of it is committed")
        shop.engine().kill()
        _, err = replay.communicate(timeout=PATIENCE_S)
        assert replay.returncode == 0, err
        shop.note(op, path)
        shop.check()
