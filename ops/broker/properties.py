"""What the local broker is told: one node of Kafka in KRaft mode, on loopback, made for exactly-once streams.

Every path is relative to the working directory (`ops.broker.home`): a data directory may have any name, and none of
Java's quoting rules matter.

>>> "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093" in server_properties(9092, 9093)
True
"""

from __future__ import annotations

from ops.broker.home import HOST


def server_properties(port: int, controller_port: int, log_dirs: str = "kafka") -> str:
    """The text of ``server.properties``.

    Args:
        port: where clients connect.
        controller_port: where the broker reaches its own controller; nothing of it is stored, it may change.
        log_dirs: where Kafka's data lies.
    """
    return f"""\
# Written by streamgauge at each start.
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}
advertised.listeners=PLAINTEXT://{HOST}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
# A fixed quorum of one: unlike a dynamic one it keeps no address that another start would contradict.
controller.quorum.voters=1@{HOST}:{controller_port}
log.dirs={log_dirs}

# Topics are created by those who know how: a misspelt name is an error, not a topic.
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1

# One broker holds all there is of groups and transactions.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# The first member need not wait for a second; a worker that died is noticed as soon as it asks to be.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A transaction whose producer died holds readers up until it times out; look for such ones every second, not ten.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# After a kill -9 the controller takes the dead broker for alive until its session ends, and would keep the new one
# waiting for nine seconds (DUPLICATE_BROKER_REGISTRATION).
broker.session.timeout.ms=2500
broker.heartbeat.interval.ms=250

# The cleaner's buffer is allocated at once, 128 MiB by default.
log.cleaner.dedupe.buffer.size=16777216
"""


LOG4J2_PROPERTIES = """\
# Written by streamgauge at each start.
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=logs/server.log
appender.file.filePattern=logs/server.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1}: %m%n
appender.file.policy.type=SizeBasedTriggeringPolicy
appender.file.policy.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
# Hundreds of lines of settings at each start, and again for each client.
logger.config.name=org.apache.kafka.common.config
logger.config.level=warn
"""
"""The text of ``log4j2.properties``: one file, rolled, so that months of running fill no disk."""
