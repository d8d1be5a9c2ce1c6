"""The local broker: real Apache Kafka as a child process, without Docker and without an installed Java.

    broker = LocalBroker(data)                   # `ops.broker.broker` tells how a start goes
    with ephemeral_broker(data) as bootstrap:    # ends with its process
    running_bootstrap(data)                      # the address, if one runs

It is told what to do by `ops.broker.properties`, runs on `ops.broker.runtime`, comes from `ops.broker.jars`.
"""

from typing import TYPE_CHECKING, Any

from ops.broker.home import Record, running_bootstrap

if TYPE_CHECKING:
    from ops.broker.broker import LocalBroker, Status, ephemeral_broker

__all__ = ["LocalBroker", "Record", "Status", "ephemeral_broker", "running_bootstrap"]


def __getattr__(name: str) -> Any:
    """Load what starts brokers when it is used: every command asks for the address, few for more."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ops.broker import broker

    return getattr(broker, name)
