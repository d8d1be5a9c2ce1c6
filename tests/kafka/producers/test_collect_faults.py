"""``streamgauge collect`` when the broker stops, when it is stopped itself, and when it is killed."""

# confluent_kafka exports names that its stubs call private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from ops.topics import ensure
from producers.collect import server as module
from producers.collect.server import Collector, Opened
from producers.collect.tokens import Tokens
from producers.jsonl import json_lines
from producers.publisher import Publisher
from schemas.sites import SITES
from tests.kafka.producers.collecting import Answer, OpenBody, Server, post, process_of
from tests.kafka.producers.conftest import PATIENCE_S, Shell, event
from tests.waiting import until


@contextmanager
def stopped(kafka: dict[str, Any]) -> Iterator[None]:
    """Within, the broker is there and does nothing."""
    broker = process_of(kafka)
    broker.suspend()
    try:
        yield
    finally:
        broker.resume()


def test_while_the_broker_stands_still_clients_are_held_up_and_nothing_is_lost(shell: Shell) -> None:
    """Stopped in the middle of a body: it is read no further, and TCP pushes back; then it goes on, each line once."""
    server = Server(shell, "-X", "queue.buffering.max.kbytes=1024", "-X", "compression.type=none")
    body = server.open("/streams/sites")
    body.send(event(0) + b"\n")
    until(lambda: shell.values() == [event(0)])
    filler = "x" * 1000
    lines = [event(number, site=str(number), data={"message": filler}) for number in range(1, 12_001)]
    sent = [0]

    def send() -> None:
        for at in range(0, len(lines), 50):
            body.send(b"\n".join(lines[at : at + 50]) + b"\n")
            sent[0] = at + 50

    sender = threading.Thread(target=send)
    with stopped(shell.kafka):
        sender.start()
        until(lambda: sent[0])
        seen = -1
        while seen != sent[0]:  # until it has not got on for a while
            seen = sent[0]
            sender.join(0.25)
        assert sender.is_alive(), "twelve megabytes fit into no buffer on the way"
        assert 0 < seen < len(lines)
    sender.join(PATIENCE_S)
    answer = body.end()
    assert (answer.status, answer.told) == (200, {"accepted": len(lines) + 1, "rejected": 0, "errors": []})
    assert shell.values() == sorted([event(0), *lines])


def test_a_stop_answers_what_is_open_with_what_was_taken(shell: Shell) -> None:
    """SIGTERM: whole lines that had come are acknowledged, half of one is not taken, everybody is told; exit code 0."""
    server = Server(shell, "--json")
    bodies = [server.open("/streams/sites") for _ in range(20)]
    for number, body in enumerate(bodies):
        for line in range(number):
            body.send(event(100 * number + line) + b"\n")
        body.send(b'{"id":"half')
    until(lambda: len(shell.values()) == 190)
    server.running.process.terminate()
    for number, body in enumerate(bodies):
        answer = body.answer()
        assert (answer.status, answer.told["accepted"], answer.told["rejected"]) == (503, number, 0)
        assert answer.told["error"].endswith(f"send again what begins at line {number + 1}")
        assert int(answer.headers["Retry-After"]) > 0
    assert server.running.process.wait(PATIENCE_S) == 0
    assert len(shell.values()) == 190
    assert "accepted 190, rejected 0" in server.running.stderr
    assert server.running.process.stdout is not None
    (told,) = json.loads(server.running.process.stdout.read())
    assert (told["stream"], told["accepted"], told["rejected"]) == ("sites", 190, 0)


def test_a_stop_while_the_broker_stands_still_tells_what_is_not_known(shell: Shell) -> None:
    """Within seconds, as 503; and a second Ctrl-C ends it at once."""
    server = Server(shell)
    assert server.post("/streams/sites", event(1)).status == 200
    body = server.open("/streams/sites")
    with stopped(shell.kafka):
        body.send(event(2) + b"\n")
        server.running.process.send_signal(signal.SIGINT)
        answer = body.answer()
        assert (answer.status, answer.told["accepted"]) == (503, 0)
        assert server.running.process.wait(PATIENCE_S) == 130
        assert "accepted 1, rejected 0" in server.running.stderr
    again = Server(shell)
    assert again.post("/streams/sites", event(3)).status == 200
    with stopped(shell.kafka):
        body = again.open("/streams/sites")
        body.send(event(4) + b"\n")
        again.running.process.send_signal(signal.SIGINT)
        until(lambda: not listens(again.port), "the first one is being obeyed")
        again.running.process.send_signal(signal.SIGINT)
        assert again.running.process.wait(3) == 130
        body.connection.close()
    assert "Traceback" not in again.running.stderr


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        OpenBody(port, "/sessions", {}).connection.close()
    except OSError:
        return False
    return True


def test_what_was_acknowledged_before_a_kill_is_in_the_topic(shell: Shell) -> None:
    """Clients send small bodies for as long as the server lives; kill -9; every one that was answered 200 is there."""
    server = Server(shell)
    answered: list[bytes] = []

    def client(number: int) -> None:
        try:
            for turn in range(10_000):
                lines = [event(turn * 10 + n, site=f"{number}-{turn}") for n in range(5)]
                if server.post("/streams/sites", b"\n".join(lines)).told["accepted"] == 5:
                    answered.extend(lines)
        except OSError:
            pass

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for each in clients:
        each.start()
    until(lambda: len(answered) > 1000)
    server.running.kill()
    for each in clients:
        each.join(PATIENCE_S)
    kept = shell.values()
    assert len(answered) > 1000
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept))


class Inside:
    """The server in this process, to reach what takes long from outside.

    Args:
        kafka: client properties.
        most_bodies: requests at a time.
    """

    def __init__(self, kafka: dict[str, Any], most_bodies: int) -> None:
        ensure(kafka, SITES)
        self.publishers: list[Publisher] = []
        self.notices: list[str] = []
        self._kafka = kafka
        self.collector = Collector(
            ["sites"], self._open, Tokens([]), most_bodies=most_bodies, notice=self.notices.append
        )

    def _open(self, name: str) -> Opened:
        assert name == "sites"
        publisher = Publisher(self._kafka, SITES.topics, logging.getLogger("test"), stop=lambda: True)
        self.publishers.append(publisher)
        return Opened(json_lines(SITES), "", publisher)


def test_a_server_that_can_take_no_more_says_when_to_come_back(
    kafka: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 while others fill it, 503 when the broker does not answer; both name seconds, and both pass."""
    monkeypatch.setattr(module, "STALLED_S", 0.2)
    monkeypatch.setattr(module, "ANSWER_S", 1.0)

    async def scenario() -> None:
        inside = Inside(kafka, most_bodies=1)
        _, port = await inside.collector.serve("127.0.0.1", 0)

        async def send(body: bytes) -> Answer:
            return await asyncio.to_thread(post, port, "/streams/sites", body)

        body = await asyncio.to_thread(OpenBody, port, "/streams/sites", {})
        await asyncio.to_thread(until, lambda: inside.collector.bodies)
        refused = await send(event(1))
        assert (refused.status, refused.told["accepted"]) == (429, 0)
        assert int(refused.headers["Retry-After"]) > 0
        body.send(event(2))
        assert (await asyncio.to_thread(body.end)).status == 200
        with stopped(kafka):
            late = await send(event(3) + b"\n" + event(4))
            assert (late.status, late.told["accepted"]) == (503, 0)
            assert "send again what begins at line 1" in late.told["error"]
            at_once = await send(event(5))
            assert (at_once.status, at_once.headers["Retry-After"]) == (503, "10")
            assert "has not answered for" in at_once.told["error"]
            assert (await asyncio.to_thread(post, port, "/ready", b"", "GET")).status == 503
            assert (await asyncio.to_thread(post, port, "/live", b"", "GET")).status == 200
        while (answer := await send(event(6))).status != 200:
            assert answer.status == 503
        await inside.collector.stop()
        assert inside.collector.totals["sites"].accepted == 4, "also those that nobody could promise"

    asyncio.run(scenario())


def test_a_refusal_of_the_broker_costs_the_open_requests_and_not_the_server(kafka: dict[str, Any]) -> None:
    """They are told, the operator is told, and the next request begins anew."""

    async def scenario() -> None:
        inside = Inside(kafka, most_bodies=10)
        _, port = await inside.collector.serve("127.0.0.1", 0)

        async def send(body: bytes) -> Answer:
            return await asyncio.to_thread(post, port, "/streams/sites", body)

        size = ConfigEntry("max.message.bytes", "3000", incremental_operation=AlterConfigOpType.SET)
        change = ConfigResource(ResourceType.TOPIC, "sites", incremental_configs=[size])
        admin = AdminClient(kafka)
        for changed in admin.incremental_alter_configs([change]).values():
            changed.result()
        assert (await send(event(1))).status == 200
        refused = await send(event(2, data={"message": secrets.token_hex(10_000)}))
        assert (refused.status, refused.told["accepted"]) == (503, 0)
        assert "Kafka refused a record for the topic sites" in refused.told["error"]
        assert (await send(event(3))).status == 200
        assert len(inside.publishers) == 2
        await asyncio.to_thread(until, lambda: inside.notices)
        assert "Kafka refused a record" in inside.notices[0]
        await inside.collector.stop()
        assert inside.collector.totals["sites"].accepted == 2

    asyncio.run(scenario())
