"""Pathway: the job as an incremental group-by, with persistence. Its sink to Kafka is not transactional.

    BOOTSTRAP=… INPUT=… OUTPUT=… GROUP=… STATE=… COMMIT_S=1 PATHWAY_THREADS=1 python app.py

Persistence is that of the input: operators' states are kept by those who have a licence key only. A change of a site
is two records: the old row with ``diff`` -1, the new one with ``diff`` 1.
"""

import os

import pathway as pw

kafka = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
every_ms = int(float(os.environ["COMMIT_S"]) * 1000)


class Event(pw.Schema):
    """What is read of an event."""

    type: str
    sender: str
    site_id: str


events = pw.io.kafka.read(
    {**kafka, "group.id": os.environ["GROUP"], "auto.offset.reset": "earliest", "session.timeout.ms": "6000"},
    topic=os.environ["INPUT"],
    format="json",
    schema=Event,
    json_field_paths={"sender": "/from"},
    autocommit_duration_ms=every_ms,
    name="events",
)
sites = (
    events.filter(pw.this.type == "message")
    .groupby(pw.this.site_id)
    .reduce(
        pw.this.site_id,
        messages=pw.reducers.count(),
        visitors=pw.reducers.count_distinct(pw.this.sender),
    )
)
pw.io.kafka.write(
    sites,
    {**kafka, "acks": "all", "linger.ms": "5", "queue.buffering.max.messages": "1000000"},
    topic_name=os.environ["OUTPUT"],
    format="json",
    key=sites.site_id,
    name="summaries",
)
pw.run(
    monitoring_level=pw.MonitoringLevel.NONE,
    persistence_config=pw.persistence.Config(
        pw.persistence.Backend.filesystem(os.environ["STATE"]),
        snapshot_interval_ms=every_ms,
    ),
)
