"""The floor: a consumer, orjson and a dict. Nothing is durable: after a crash it counts everything anew.

    BOOTSTRAP=… INPUT=… OUTPUT=… GROUP=… COMMIT_S=1 python app.py

Summaries of what changed go out once every `COMMIT_S`, so that a site that changes often costs one.
"""

import os
import signal
import sys
import time

import orjson
from confluent_kafka import Consumer, Producer

kafka = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
consumer = Consumer({**kafka, "group.id": os.environ["GROUP"], "auto.offset.reset": "earliest"})
producer = Producer({**kafka, "acks": "all", "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
output, every_s = os.environ["OUTPUT"], float(os.environ["COMMIT_S"])

messages: dict[str, int] = {}
visitors: dict[str, set[str]] = {}
changed: set[str] = set()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
consumer.subscribe([os.environ["INPUT"]])
due = time.monotonic() + every_s
while True:
    for message in consumer.consume(10_000, 0.05):
        if message.error():
            continue
        event = orjson.loads(message.value() or b"{}")
        if event["type"] != "message":
            continue
        site = event["site_id"]
        if site in messages:
            messages[site] += 1
            visitors[site].add(event["from"])
        else:
            messages[site] = 1
            visitors[site] = {event["from"]}
        changed.add(site)
    if time.monotonic() >= due:
        for site in changed:
            summary = {"site_id": site, "messages": messages[site], "visitors": len(visitors[site])}
            producer.produce(output, orjson.dumps(summary), site)
        changed.clear()
        producer.flush()
        due = time.monotonic() + every_s
