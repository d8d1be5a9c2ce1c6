"""The local broker: real Apache Kafka as a child process, without Docker and without an installed Java.

    broker = LocalBroker(data)                   # DESIGN: ops.broker.broker tells how a start goes
    with ephemeral_broker(data) as bootstrap:    # for demo and tests
    running_bootstrap(data)                      # the address, if one runs

It is told what to do by `ops.broker.properties`, runs on `ops.broker.runtime`, comes from `ops.broker.jars`.
"""

from ops.broker.broker import LocalBroker, Status, ephemeral_broker
from ops.broker.home import Record, running_bootstrap

__all__ = ["LocalBroker", "Record", "Status", "ephemeral_broker", "running_bootstrap"]
