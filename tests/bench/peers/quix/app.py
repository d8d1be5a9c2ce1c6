"""Quix Streams: the job, exactly once, with state in RocksDB and its changelog.

    BOOTSTRAP=… INPUT=… OUTPUT=… GROUP=… STATE=… COMMIT_S=1 python app.py

It works message by message. A site's counts are one state entry and each visitor of it another, so that a message
costs a look at two and a write of one or two, however many visitors there are. The member is static, its session and
its transaction short: it is back soon after a crash.
"""

import os

import orjson
from quixstreams import Application, State

app = Application(
    broker_address=os.environ["BOOTSTRAP"],
    consumer_group=os.environ["GROUP"],
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=float(os.environ["COMMIT_S"]),
    state_dir=os.environ["STATE"],
    consumer_extra_config={"group.instance.id": "visitors-0", "session.timeout.ms": 6000},
    producer_extra_config={
        "acks": "all",
        "linger.ms": 5,
        "transaction.timeout.ms": 10_000,
        "queue.buffering.max.messages": 1_000_000,
    },
    loglevel="WARNING",
)
events = app.topic(os.environ["INPUT"], key_deserializer="str", value_deserializer="bytes")
summaries = app.topic(os.environ["OUTPUT"], key_serializer="str", value_serializer="bytes")


def count(event: dict, state: State) -> bytes:
    """Count one message; the site's new summary."""
    messages, visitors = state.get("counts") or (0, 0)
    visitor = f"v:{event['from']}"
    if not state.exists(visitor):
        state.set(visitor, 1)
        visitors += 1
    state.set("counts", (messages + 1, visitors))
    return orjson.dumps({"site_id": event["site_id"], "messages": messages + 1, "visitors": visitors})


(
    app.dataframe(events)
    .apply(orjson.loads)
    .filter(lambda event: event["type"] == "message")
    .apply(count, stateful=True)
    .to_topic(summaries)
)

if __name__ == "__main__":
    app.run()
