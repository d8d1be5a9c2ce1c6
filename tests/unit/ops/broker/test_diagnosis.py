"""From what Kafka and Java log to one line for a person. Every line here was logged by a real one."""

from __future__ import annotations

import pytest

from ops.broker.diagnosis import diagnose


@pytest.mark.parametrize(
    ("logged", "reason"),
    [
        (
            (
                "2026-11-24 06:18:44,070 ERROR LogDirFailureChannel: Error while appending records to x-3 in dir /d\n"
                "java.io.IOException: No space left on device\n\tat java.base/sun.nio.ch.FileDispatcherImpl.write0"
            ),
            "the disk is full",
        ),
        (
            (
                "2026-11-24 06:18:44,070 ERROR KafkaRaftServer: Exiting Kafka due to fatal exception\n"
                "java.lang.RuntimeException: No readable meta.properties files found.\n\tat org.apache.kafka.metadata"
            ),
            "its directory is damaged",
        ),
        (
            (
                "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: "
                "Address already in use.\n"
            ),
            "its port was taken by another process",
        ),
        (
            "Error occurred during initialization of VM\nCould not reserve enough space for 1048576KB object heap\n",
            "not enough memory for a Java heap of 1 GiB",
        ),
    ],
)
def test_a_known_end_is_named_with_its_cause(logged: str, reason: str) -> None:
    """People read one line, not a stack trace."""
    assert diagnose(logged) == reason


def test_an_unknown_end_is_quoted_by_its_first_error() -> None:
    """Better Kafka's words than none."""
    logged = (
        "2026-11-24 06:18:43,000 INFO  KafkaConfig: fine\n"
        "2026-11-24 06:18:44,070 ERROR KafkaRaftServer: [it] Exiting: the moon is in the way\n"
    )
    assert diagnose(logged) == "KafkaRaftServer: [it] Exiting: the moon is in the way"


def test_a_frame_of_a_stack_trace_is_no_symptom() -> None:
    """Class names in frames name what was being done, not what went wrong."""
    assert diagnose("\tat org.apache.kafka.metadata.properties.meta.properties(X.java:1)\n") is None
