"""The page of a worker: what somebody who was woken up at night wants to see first; and the page of one key.

>>> partition = {"role": "active", "state": "active", "stamp": 5, "log_end": 9}
>>> engine = {"stream": "sites", "instance": "a-0", "state": "ready", "reason": "", "pid": 7, "restarts": 0,
...     "partitions": {"0": partition}, "counters": {"records": 5}}
>>> known = {"worker": "a", "pid": 6, "host": "h", "version": "1", "python": "3.12", "started": 0.0}
>>> known["engines"] = [engine]
>>> text = worker_page(known, "", {"sites/a-0": 2.5}, now=90.0).decode()
>>> "4 records behind" in text, "2.5" in text, "1970-01-01 00:00:00 UTC, 1m30s ago" in text
(True, True, True)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

from ops.pages.frame import choice, error_line, links_of, number, page, rows
from ops.pages.markup import Markup, clipped, element, joined
from ops.units import format_duration, format_size
from ops.worker.client import state_path
from ops.worker.metrics import lag_of, restored_of

PARTITIONS = 200
"""Of an engine, that a page shows; `/status` has all."""
REASONS = 10
TEXT = 200
KEY_BYTES = 1 << 20
"""What is known of a key may be of any length; a page shows so much, the JSON all."""
_STATES = {"ready": "good", "active": "good", "standby": "quiet", "failed": "bad"}


def worker_page(known: Mapping[str, Any], trouble: str, rates: Mapping[str, float], now: float) -> bytes:
    """How a worker is.

    Args:
        known: the JSON of `/status`.
        trouble: why it is not ready or not live; empty when it is both.
        rates: records a second of each ``stream/instance``, as far as known.
        now: epoch seconds.
    """
    engines: list[dict[str, Any]] = known["engines"]
    streams = list(dict.fromkeys(str(engine["stream"]) for engine in engines))
    started = datetime.fromtimestamp(known["started"], UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    ago = format_duration(max(0, int(now - known["started"])) * 1000)
    facts = [
        ("version", known["version"]), ("host", known["host"]), ("pid", known["pid"]), ("Python", known["python"]),
        ("started", f"{started} UTC, {ago} ago"),
    ]  # fmt: skip
    verdict = element("span", clipped(trouble, TEXT * 5) or "ready", class_="warn" if trouble else "good")
    body = [
        element("h1", f"Worker {known['worker']}"),
        element(
            "section",
            element("p", verdict, class_="lead"),
            element("dl", *(element("div", element("dt", name), element("dd", fact)) for name, fact in facts)),
        ),
        element("section", element("h2", "Engines"), _engines(engines, rates)),
        _look_up(streams, "", ""),
        element("section", element("h2", "Partitions, dead letters, counters"), *map(_details, engines)),
    ]
    return page(f"worker {known['worker']}", joined(body), links_of(streams))


def key_page(streams: Sequence[str], stream: str, key: str, status: int, answer: bytes) -> bytes:
    """What is known of a key.

    Args:
        streams: that the worker serves.
        stream: of the key.
        key: as it was asked for.
        status: of the answer.
        answer: the JSON of ``/state/STREAM/KEY``.
    """
    body = [element("h1", f"{clipped(stream, TEXT)} {clipped(key, TEXT)}"), _look_up(streams, stream, key)]
    raw = element("p", element("a", "as JSON", href=state_path(stream, key)))
    if len(answer) > KEY_BYTES:
        body.append(element("section", element("p", f"{format_size(len(answer))} are known of it"), raw))
    elif status == 200:
        lines = json.dumps(json.loads(answer), indent=2, ensure_ascii=False).split("\n")
        body.append(element("section", element("pre", joined(lines, Markup("\n"))), raw))
    else:
        told = _refusal(answer)
        body.append(error_line(str(told.get("error", f"an engine answered with status {status}"))))
        if told.get("http"):
            there = f"http://{told['http']}/state?{urlencode({'stream': stream, 'key': key})}"
            body.append(element("p", element("a", f"ask worker {told['owner']}", href=there)))
    return page(f"{clipped(stream, TEXT)} {clipped(key, TEXT)}", joined(body), links_of(streams))


def _refusal(answer: bytes) -> dict[str, Any]:
    try:
        return json.loads(answer)
    except ValueError:  # a fault of an engine, which its log tells
        return {}


def _look_up(streams: Sequence[str], stream: str, key: str) -> Markup:
    form = element(
        "form",
        element("label", "stream", choice("stream", [(name, name) for name in streams], stream)),
        element("label", "key", element("input", name="key", value=key, required=True)),
        element("button", "Look up"),
        action="/state",
    )
    return element("section", element("h2", "What is known of a key"), form)


def _engines(engines: Iterable[Mapping[str, Any]], rates: Mapping[str, float]) -> Markup:
    header = [
        ("engine", ""), ("state", ""), ("behind", "n"), ("records", "n"), ("records/s", "n"), ("summaries", "n"),
        ("dead letters", "n"), ("restarts", "n"), ("memory", "n"), ("CPU", "n"),
    ]  # fmt: skip
    return rows(header, [_engine(engine, rates) for engine in engines])


def _engine(engine: Mapping[str, Any], rates: Mapping[str, float]) -> Markup:
    counters: dict[str, Any] = engine["counters"]
    letters, restarts = sum(_letters(counters).values()), engine["restarts"]
    rate = rates.get(f"{engine['stream']}/{engine['instance']}")
    memory, cpu = counters.get("memory_bytes"), counters.get("cpu_seconds")
    behind = [lag for _, partition in _partitions(engine) if (lag := lag_of(partition)) is not None]
    told = [_state(engine["state"])]
    if engine["reason"]:
        told.append(element("div", clipped(engine["reason"], TEXT), class_="quiet"))
    away = counters.get("database_away")
    if away:
        told.append(element("div", f"the database has not answered for {away:.0f} s", class_="warn"))
    published = counters.get("merged_summaries", counters.get("summaries"))
    figures: list[Markup | str] = [
        number(sum(behind)) if behind else "–",
        number(counters.get("records")),
        "–" if rate is None else f"{rate:,.1f}" if rate < 100 else f"{rate:,.0f}",
        number(published),
        element("span", number(letters), class_="warn") if letters else "0",
        element("span", number(restarts), class_="warn") if restarts else "0",
        "–" if memory is None else format_size(memory),
        "–" if cpu is None else f"{cpu:,.0f} s",
    ]
    name = (element("b", engine["stream"]), " ", element("span", engine["instance"], class_="quiet"))
    return element(
        "tr", element("td", *name), element("td", *told), *(element("td", figure, class_="n") for figure in figures)
    )


def _details(engine: Mapping[str, Any]) -> Markup:
    """What is beyond a line about one engine: its partitions, its dead letters by reason, all that it counts."""
    known = list(_partitions(engine))
    owned = [partition for _, partition in known if partition["role"] == "active"]
    behind = sum(lag_of(partition) or 0 for partition in owned)
    letters = _letters(engine["counters"])
    parts: list[Markup] = []
    if known:
        header = [
            ("partition", ""), ("role", ""), ("state", ""), ("restored", "n"), ("counted to", "n"), ("end", "n"),
            ("behind", "n"),
        ]  # fmt: skip
        parts.append(rows(header, [_partition(name, partition) for name, partition in known[:PARTITIONS]]))
        if len(known) > PARTITIONS:
            parts.append(element("p", f"and {len(known) - PARTITIONS:,} more", class_="quiet"))
    if letters:
        most = sorted(letters, key=lambda reason: -letters[reason])[:REASONS]
        parts.append(element("h3", f"Dead letters since the engine started ({len(letters):,} reasons)"))
        parts.append(
            rows(
                [("reason", ""), ("records", "n")],
                [_pair(clipped(reason, TEXT), number(letters[reason])) for reason in most],
            )
        )
    others = {name: count for name, count in engine["counters"].items() if not name.startswith("dead_letters:")}
    if others:
        parts.append(element("h3", "Counters since the engine started"))
        facts = (element("div", element("dt", name), element("dd", number(count))) for name, count in others.items())
        parts.append(element("dl", *facts))
    partitions = f"{len(owned):,} partition{'' if len(owned) == 1 else 's'}"
    title = f"{engine['stream']} {engine['instance']}: {partitions}, {behind:,} records behind"
    pid = element("p", f"pid {engine['pid']}" if engine["pid"] else "no process", class_="quiet")
    return element("details", element("summary", title), pid, *parts)


def _partition(name: str, partition: Mapping[str, Any]) -> Markup:
    restored, stamp, end = restored_of(partition), partition.get("stamp"), partition.get("log_end")
    figures = [
        "–" if restored is None else f"{restored:.0%}",
        number(stamp if stamp is not None and stamp >= 0 else None),
        number(end if end is not None and end >= 0 else None),
        number(lag_of(partition)),
    ]
    return element(
        "tr",
        element("td", name),
        element("td", partition["role"]),
        element("td", _state(partition["state"])),
        *(element("td", figure, class_="n") for figure in figures),
    )


def _pair(name: str, figure: str) -> Markup:
    return element("tr", element("td", name), element("td", figure, class_="n"))


def _state(state: str) -> Markup:
    return element("span", state, class_=_STATES.get(state, "warn"))


def _partitions(engine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from cast("dict[str, dict[str, Any]]", engine["partitions"]).items()


def _letters(counters: Mapping[str, int]) -> dict[str, int]:
    """Dead letters by reason."""
    return {name.partition(":")[2]: count for name, count in counters.items() if name.startswith("dead_letters:")}
