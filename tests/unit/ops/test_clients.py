"""What must not be asked of a Kafka client."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_no_admin_client_is_asked_for_a_groups_offsets() -> None:
    """It ends the process: librdkafka follows a null pointer while the coordinator loads (its issue 5040).

    `replay --wait` died with SIGSEGV in 4 of 20 first runs on a fresh broker. A consumer that has the group and never
    joins it answers the same question (`Consumer.committed`).
    """
    asking = [
        path.relative_to(ROOT).as_posix()
        for package in ("ops", "processors", "producers", "sinks")
        for path in (ROOT / package).rglob("*.py")
        if "list_consumer_group_offsets" in path.read_text()
    ]
    assert asking == []
