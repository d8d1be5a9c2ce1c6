"""An input of `sites` whose right answer is known beforehand: made backwards, from the answer.

    python -m producers.simulate.answer big_output.txt.zst -o big_input.jsonl.zst
    python -m producers.simulate.answer big_output.txt.zst --keys 500 --seed 3 --duplicates 0.1 > input.jsonl

Each line ``site,messages=M,emails=E,operators=O,visitors=V`` of the answer becomes events that leave no choice: the
site is online in some stretches of time, M messages lie in them and E outside. What makes it hard to count is in
there: the order is random over everything (so a status comes after the messages that it moves), stretches are covered
by operators that overlap and hand over, operators sign off who never signed on, messages stand at the very second of
a status, one operator signs on and off within one second (the greater id applies last), deliveries are repeated.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from producers.lines import LineSplitter
from producers.simulate.output import output
from producers.sources import sources_of
from schemas.errors import StreamgaugeError, UsageError

FIRST_S = 1_699_833_600
SPAN_S = 7 * 86_400
APART_S = 120
"""The shortest stretch, online or offline."""
EDGE_SHARE = 0.05
"""Share of the messages that stand at the very second at which a stretch begins."""

_LINE = re.compile(r"(.+),messages=(\d+),emails=(\d+),operators=(\d+),visitors=(\d+)")


class Answer(NamedTuple):
    """One site's line of the report."""

    site: str
    messages: int
    emails: int
    operators: int
    visitors: int


class Stretch(NamedTuple):
    """Seconds ``[first, next)`` in which a site is online, or in which it is not."""

    first: int
    next: int


def parse_answer(line: str) -> Answer:
    """Read a line of the report.

    Raises:
        UsageError: it is none, or no input can have this answer.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise UsageError(f"no line of a sites report: {line!r}")
    answer = Answer(match[1], *(int(number) for number in match.groups()[1:]))
    total = answer.messages + answer.emails
    if (answer.messages and not answer.operators) or answer.visitors > total or (total and not answer.visitors):
        raise UsageError(f"no input has this answer: {line!r}")
    return answer


def events_of(answer: Answer, random: Random) -> Iterator[bytes]:
    """Events whose right answer is ``answer``, as JSON lines without their ends, in no useful order."""
    online, offline = _stretches(answer, random)
    operators = [f"operator{number}" for number in range(1, answer.operators + 1)]
    yield from _statuses(answer.site, online, offline, operators, random)
    visitors = [f"visitor{number}" for number in range(1, answer.visitors + 1)]
    total = answer.messages + answer.emails
    senders = visitors + [random.choice(visitors) for _ in range(total - len(visitors))]
    random.shuffle(senders)
    for number, sender in enumerate(senders):
        stretch = random.choice(online if number < answer.messages else offline)
        at = stretch.first if random.random() < EDGE_SHARE else random.randrange(stretch.first, stretch.next)
        yield _line(_id(random), "message", sender, answer.site, at, f'"message":"to and tangled {number}"')


def lines_of(answers: Iterable[Answer], seed: int, duplicates: float) -> list[bytes]:
    """The whole input, in random order.

    Args:
        answers: of all sites.
        seed: the same one gives the same bytes.
        duplicates: share of the events that are delivered twice.
    """
    lines = [line for answer in answers for line in events_of(answer, Random(f"{seed}/{answer.site}"))]
    random = Random(seed)
    lines += [line for line in lines if random.random() < duplicates]
    random.shuffle(lines)
    return lines


def _stretches(answer: Answer, random: Random) -> tuple[list[Stretch], list[Stretch]]:
    """When the site is online, and when it is not."""
    count = random.randint(1, 4) if answer.operators and (answer.messages or random.random() < 0.5) else 0
    slots = SPAN_S // APART_S
    borders = [FIRST_S + slot * APART_S for slot in sorted(random.sample(range(1, slots), 2 * count))]
    edges = [FIRST_S, *borders, FIRST_S + SPAN_S]
    stretches = [Stretch(first, following) for first, following in pairwise(edges)]
    return stretches[1::2], stretches[0::2]


def _statuses(
    site: str, online: list[Stretch], offline: list[Stretch], operators: list[str], random: Random
) -> Iterator[bytes]:
    """Statuses of all operators that keep the site online in exactly these stretches."""
    idle = set(operators)
    for stretch in online:
        middle = random.randrange(stretch.first + 1, stretch.next)
        overlap = random.choice((0, random.randrange(0, stretch.next - middle)))
        first, second = random.choice(operators), random.choice(operators)
        idle -= {first, second}
        if first == second:
            yield from _shift(site, first, stretch, random)
        else:
            yield from _shift(site, first, Stretch(stretch.first, middle + overlap), random)
            yield from _shift(site, second, Stretch(middle, stretch.next), random)
    for operator in sorted(idle):
        if online and random.random() < 0.7:
            around = random.choice(online)
            first = random.randrange(around.first, around.next - 1)
            yield from _shift(site, operator, Stretch(first, random.randrange(first + 1, around.next)), random)
        else:
            around = random.choice(online + offline)
            yield _status(_id(random), operator, site, random.randrange(around.first, around.next), "offline")


def _shift(site: str, operator: str, stretch: Stretch, random: Random) -> Iterator[bytes]:
    """One operator is online in ``stretch``."""
    if random.random() < 0.1:  # on, off and on again within a second: the greatest id applies last
        early, middle, late = sorted(_id(random) for _ in range(3))
        yield _status(early, operator, site, stretch.first, "online")
        yield _status(middle, operator, site, stretch.first, "offline")
        yield _status(late, operator, site, stretch.first, "online")
    else:
        yield _status(_id(random), operator, site, stretch.first, "online")
    if random.random() < 0.1:  # says again what holds already
        yield _status(_id(random), operator, site, random.randrange(stretch.first, stretch.next), "online")
    yield _status(_id(random), operator, site, stretch.next, "offline")


def _status(event_id: str, operator: str, site: str, at: int, status: str) -> bytes:
    return _line(event_id, "status", operator, site, at, f'"status":"{status}"')


def _line(event_id: str, kind: str, sender: str, site: str, at: int, data: str) -> bytes:
    return (
        f'{{"id":"{event_id}","type":"{kind}","from":"{sender}","site_id":{json.dumps(site)},'
        f'"timestamp":{at},"data":{{{data}}}}}'
    ).encode()


def _id(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def read_answers(path: str) -> Iterator[Answer]:
    """The answers of a report file, packed or not."""
    splitter = LineSplitter()
    for source in sources_of(path):
        for block in source.blocks():
            for value in splitter.feed(block).values:
                yield parse_answer(value.decode())
        for value in splitter.end().values:
            yield parse_answer(value.decode())


def main(words: Sequence[str] | None = None) -> int:
    """Write the input whose answer is FILE."""
    parser = argparse.ArgumentParser("python -m producers.simulate.answer", description=main.__doc__)
    parser.add_argument("file", metavar="FILE", help="lines as `report sites` prints them; .gz and .zst too")
    parser.add_argument("--keys", type=int, metavar="N", help="only the first N sites")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed gives the same bytes")
    parser.add_argument("--duplicates", type=float, default=0.05, metavar="SHARE", help="delivered twice (0.05)")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to; .gz and .zst are packed (stdout)")
    given = parser.parse_args(words)
    try:
        answers = list(read_answers(given.file))[: given.keys]
        with output(given.output) as file:
            for line in lines_of(answers, given.seed, given.duplicates):
                file.write(line + b"\n")
    except StreamgaugeError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
