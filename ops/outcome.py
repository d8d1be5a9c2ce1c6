"""What came of a command that sends records, told alike by all of them: counts, exit code, what to do next.

outcome = Outcome(accepted=8, rejected=1)
return tell(settings, "sites", outcome)        # "accepted 8, rejected 1, …" on stderr; exit code 3
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops import console
from ops.kafka import translate
from ops.settings import Settings
from schemas.errors import StreamgaugeError

if TYPE_CHECKING:
    from producers.interrupt import Interrupt
    from producers.processed import Processed
    from producers.publisher import Letter, Publisher

INTERRUPTED = 130
REJECTED = 3


@dataclass
class Outcome:
    """What came of a run."""

    accepted: int = 0
    rejected: int = 0
    nbytes: int = 0
    seconds: float = 0.0
    letters: list[Letter] = field(default_factory=list["Letter"])
    failure: StreamgaugeError | None = None
    interrupted: bool = False
    go_on: str | None = None
    """The command that goes on where this run ended; None when nothing is left."""


def run(work: Callable[[], None], publisher: Publisher, interrupt: Interrupt) -> Outcome:
    """Do the work and see all of it acknowledged, or find out why not."""
    outcome = Outcome()
    try:
        try:
            work()
        except StreamgaugeError as error:
            outcome.failure = error
        publisher.flush()
    except StreamgaugeError as error:
        outcome.failure = outcome.failure or error
    except KeyboardInterrupt:  # asked a second time
        pass
    publisher.abandon()
    outcome.interrupted = interrupt.asked
    return outcome


def wait(processed: Processed, publisher: Publisher, interrupt: Interrupt, timeout_s: float, outcome: Outcome) -> None:
    """Wait for a worker, and count what it rejected as rejected."""
    from confluent_kafka import KafkaException

    total = sum(last - first for stretches in publisher.spans.values() for first, last in stretches)

    def tick(behind: int) -> bool:
        progress.set(total - behind)
        return not interrupt.asked

    with console.Progress("waiting for the worker", total, "records") as progress:
        try:
            if not processed.wait(publisher.spans, timeout_s, tick):
                outcome.interrupted = True
                return
            count, letters = processed.rejected(publisher.spans)
        except StreamgaugeError as error:
            outcome.failure = error
            return
        except KafkaException as error:
            outcome.failure = translate(error)
            return
    outcome.accepted -= count
    outcome.rejected += count
    outcome.letters += letters


def tell(settings: Settings, stream: str, outcome: Outcome) -> int:
    """Print the counts, and what to do next; the exit code."""
    console.say(_counts(outcome))
    if settings.json:
        _write(_as_json(stream, outcome))
    _point_at_letters(stream, outcome)
    if outcome.go_on is not None:
        console.warn(f"what was acknowledged is kept; go on with: {outcome.go_on}")
    elif outcome.interrupted:
        console.warn("everything was sent and is kept; a worker counts it without this command")
    if outcome.failure is not None:
        raise outcome.failure
    if outcome.interrupted:
        return INTERRUPTED
    return REJECTED if outcome.rejected else 0


def tell_each(settings: Settings, outcomes: Mapping[str, Outcome], *, interrupted: bool) -> int:
    """Print the counts of every stream that a server took in, until it was ended; the exit code."""
    for stream, outcome in outcomes.items():
        console.say(f"{stream}: {_counts(outcome)}" if len(outcomes) > 1 else _counts(outcome))
    if not outcomes:
        console.say(_counts(Outcome()))
    if settings.json:
        _write([_as_json(stream, outcome) for stream, outcome in outcomes.items()])
    for stream, outcome in outcomes.items():
        _point_at_letters(stream, outcome)
    if interrupted:
        console.warn("what was acknowledged is kept, and clients were told how far they came; the same command goes on")
        return INTERRUPTED
    return REJECTED if any(outcome.rejected for outcome in outcomes.values()) else 0


def _counts(outcome: Outcome) -> str:
    per_second = outcome.accepted / outcome.seconds if outcome.seconds else 0.0
    return f"accepted {outcome.accepted}, rejected {outcome.rejected}, bytes {outcome.nbytes}, {per_second:.0f}/s"


def _point_at_letters(stream: str, outcome: Outcome) -> None:
    if outcome.rejected:
        console.warn(
            f"{outcome.rejected} rejected: they lie in the topic dlq.{stream}; see: streamgauge dlq list {stream}"
        )


def _write(result: Any) -> None:
    console.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")


def _as_json(stream: str, outcome: Outcome) -> dict[str, Any]:
    from producers.publisher import LETTERS_SHOWN

    return {
        "stream": stream,
        "accepted": outcome.accepted,
        "rejected": outcome.rejected,
        "bytes": outcome.nbytes,
        "seconds": round(outcome.seconds, 3),
        "dead_letters": [_letter_as_json(letter) for letter in outcome.letters[:LETTERS_SHOWN]],
    }


def _letter_as_json(letter: Letter) -> dict[str, Any]:
    """Named as `dlq list --json` names them."""
    topic, partition, offset = letter.origin or (None, None, None)
    return {
        "id": f"{letter.partition}-{letter.offset}",
        "reason": letter.reason,
        "file": letter.file,
        "line": letter.line,
        "topic": topic,
        "partition": partition,
        "offset": offset,
    }
