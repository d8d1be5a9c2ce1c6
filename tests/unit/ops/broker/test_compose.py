"""``docker-compose.yml`` starts the same Kafka as the local broker, and commands that exist.

Compose itself is not needed for this: the file keeps to one line a setting.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from ops.broker.jars import kafka_version
from ops.broker.properties import server_properties
from ops.cli import program

COMPOSE = Path(__file__).parents[4].joinpath("docker-compose.yml").read_text()
OF_ITS_OWN = {
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.quorum.voters",
    "log.dirs",
}
"""What a container has otherwise than a process: its network and its disk."""


def test_containers_run_the_kafka_that_the_lock_names() -> None:
    """What works with one works with the other."""
    assert re.findall(r"image: apache/kafka:(\S+)", COMPOSE) == [kafka_version()]


def test_containers_tell_kafka_what_the_local_broker_is_told() -> None:
    """A setting that exactness stands on must not be in one place only."""
    lines = server_properties(9092, 9093).splitlines()
    local = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    composed = {
        name.lower().replace("_", "."): value.strip('"')
        for name, value in re.findall(r"^ +KAFKA_(\w+): (\S+)$", COMPOSE, re.MULTILINE)
    }
    assert set(composed) - OF_ITS_OWN <= set(local)
    assert {key: local[key] for key in composed if key not in OF_ITS_OWN} == {
        key: value for key, value in composed.items() if key not in OF_ITS_OWN
    }


def test_containers_run_commands_with_options_that_exist() -> None:
    """A renamed option would show at the next `docker compose up` only."""
    commands = re.findall(r"command: \[(.*)\]", COMPOSE)
    assert len(commands) == 2
    for words in commands:
        arguments = [word.strip(' "') for word in words.split(",")]
        command: click.Command | None = program
        while isinstance(command, click.Group) and arguments:
            context = click.Context(command)
            command = command.get_command(context, arguments.pop(0))
        assert command is not None
        command.make_context(words, arguments, resilient_parsing=False)
