"""Bytewax: the job with a recovery store. It has no transactional sink, so summaries go out at least once.

    python -m bytewax.recovery STATE 1
    BOOTSTRAP=… INPUT=… OUTPUT=… STATE=… COMMIT_S=1 python flow.py

Everything goes by batches: parsing and encoding by ``flat_map_batch``, counting by ``stateful_batch``, which is handed
all new events of a site at once and says one summary for them. A snapshot is taken of each site that changed. It
starts itself as ``python -m bytewax.run`` would, which knows whole seconds only.
"""

import os
from datetime import timedelta

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

BROKERS = [os.environ["BOOTSTRAP"]]


def parse(batch: list[KafkaSourceMessage]) -> list[tuple[str, str]]:
    """The site and the visitor of each message."""
    events = [orjson.loads(source.value) for source in batch]
    return [(event["site_id"], event["from"]) for event in events if event["type"] == "message"]


class Site(StatefulBatchLogic):
    """What is known of one site."""

    def __init__(self, state: tuple[int, frozenset[str]] | None) -> None:
        self.messages = state[0] if state else 0
        self.visitors = set(state[1]) if state else set()

    def on_batch(self, values: list[str]) -> tuple[list[tuple[int, int]], bool]:
        """Count the visitors of some messages."""
        self.messages += len(values)
        self.visitors.update(values)
        return [(self.messages, len(self.visitors))], self.RETAIN

    def snapshot(self) -> tuple[int, frozenset[str]]:
        """What recovery needs."""
        return self.messages, frozenset(self.visitors)


def encode(batch: list[tuple[str, tuple[int, int]]]) -> list[KafkaSinkMessage]:
    """Summaries as they are sent."""
    return [
        KafkaSinkMessage(site.encode(), orjson.dumps({"site_id": site, "messages": messages, "visitors": visitors}))
        for site, (messages, visitors) in batch
    ]


flow = Dataflow("visitors")
source = kop.input("events", flow, brokers=BROKERS, topics=[os.environ["INPUT"]], batch_size=10_000)
op.raises("errors", source.errs)
keyed = op.flat_map_batch("parse", source.oks, parse)
counted = op.stateful_batch("count", keyed, Site)
summaries = op.flat_map_batch("encode", counted, encode)
kop.output(
    "summaries",
    summaries,
    brokers=BROKERS,
    topic=os.environ["OUTPUT"],
    add_config={"acks": "all", "linger.ms": "5", "queue.buffering.max.messages": "1000000"},
)

if __name__ == "__main__":
    cli_main(
        flow,
        epoch_interval=timedelta(seconds=float(os.environ["COMMIT_S"])),
        recovery_config=RecoveryConfig(os.environ["STATE"], timedelta(0)),
    )
