"""Faust as its documents show it: an agent, a table in RocksDB with its changelog, a topic for the summaries.

    BOOTSTRAP=… INPUT=… OUTPUT=… GROUP=… STATE=… COMMIT_S=1 python app.py worker -l warn

One table has it all: the messages of a site at its id, its visitors at ``SITE|``, each visitor at ``SITE|VISITOR``. So
a message costs a few small entries, not a whole set. (Of several tables, the changelogs are made one after the other
at the first start, and a worker that assigns its partitions meanwhile counts none of those that came late.)
"""

import os

import faust
import orjson

PARTITIONS = 4

app = faust.App(
    os.environ["GROUP"],
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="rocksdb://",
    datadir=os.environ["STATE"],
    topic_partitions=PARTITIONS,
    topic_disable_leader=True,
    processing_guarantee="at_least_once",
    broker_commit_interval=float(os.environ["COMMIT_S"]),
    broker_session_timeout=10.0,
    broker_heartbeat_interval=2.0,
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    producer_linger=0.005,
    stream_wait_empty=False,
    web_enabled=False,
)
events = app.topic(os.environ["INPUT"], key_serializer="raw", value_serializer="raw")
summaries = app.topic(os.environ["OUTPUT"], key_serializer="raw", value_serializer="raw")
counts = app.Table(
    "counts", key_type=str, value_type=int, default=int, partitions=PARTITIONS, options={"driver": "rocksdict"}
)


@app.agent(events)
async def count(stream):
    """Count message by message."""
    async for value in stream:
        event = orjson.loads(value)
        if event["type"] != "message":
            continue
        site = event["site_id"]
        visitors, visitor = f"{site}|", f"{site}|{event['from']}"
        counts[site] = messages = counts[site] + 1
        distinct = counts[visitors]
        if visitor not in counts:
            counts[visitor] = 1
            counts[visitors] = distinct = distinct + 1
        summary = {"site_id": site, "messages": messages, "visitors": distinct}
        await summaries.send(key=site.encode(), value=orjson.dumps(summary))


if __name__ == "__main__":
    app.main()
