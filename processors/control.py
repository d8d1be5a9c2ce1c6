"""Faust as the control plane: the app, its one agent, and the table that its recovery and assignor know.

    app = build_app(schema, aggregator, settings)
    await app.start()

Faust decides who owns what, follows changelogs for recovery and standbys, and calls the hooks below; the work is
`PartitionTable`'s. Its own stores, producers, acknowledgements and web server stay unused.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportUntypedFunctionDecorator=false, reportMissingTypeArgument=false

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
from faust.assignor.partition_assignor import PartitionAssignor
from faust.serializers.schemas import Schema as FaustSchema
from faust.stores.base import Store as FaustStore
from faust.tables.manager import TableManager
from faust.types import TP

from aggregators.aggregator import Aggregator
from processors.log import KafkaLog
from processors.offsets import Offsets, Place
from processors.security import aiokafka_settings
from processors.settings import EngineSettings
from processors.table import PartitionTable
from processors.transport import SESSION_TIMEOUT_S, RunTransport, partition_numbers
from processors.watchdog import fail_stop
from schemas.errors import Stalled
from schemas.schema import Schema
from schemas.wire import CLIENT, Topics, transactional_id

TABLE = "state"


class RunSchema(FaustSchema):
    """Decodes nothing: the value of an event is the `Run` itself."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """Faust's hook: how a message becomes an event."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class ChangelogStore(FaustStore):
    """What Faust's recovery, standbys and rebalances call, passed on to the `PartitionTable`."""

    app: StreamApp

    def persisted_offset(self, tp: TP) -> int | None:
        """Up to where the local store holds the changelog."""
        return self.app.partition_table.stored_offset(tp.partition)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Never: the offset moves with the rows only."""
        fail_stop(RuntimeError(f"an offset for {tp} without its rows"))

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Recovery and standbys: each event carries a run."""
        for event in batch:
            self.app.partition_table.restore(event.message.value)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """The group decided; Faust's assignor knows which changelogs are ours to own and which to follow."""
        topic = self.app.topics_of_stream.changelog
        self.app.assigned_once = True
        await self.app.partition_table.assign(
            partition_numbers(self.app.assignor.assigned_actives(), topic),
            partition_numbers(self.app.assignor.assigned_standbys(), topic),
        )

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """All active changelogs are read to their ends. Faust swallows what this raises; the table ends the process."""
        await self.app.partition_table.activate()

    async def backup_partition(self, *_: Any, **__: Any) -> None:
        """Unused: the changelog is the backup."""

    def restore_backup(self, *_: Any, **__: Any) -> None:
        """Unused: the changelog is the backup."""

    def reset_state(self) -> None:
        """Unused: a store is thrown away by `RocksStore.open` alone."""


class ChangelogTable(faust.Table):
    """The table as Faust's assignor and recovery see it: a changelog topic and a `ChangelogStore`."""

    app: StreamApp

    def _new_store(self) -> ChangelogStore:
        return ChangelogStore("streamgauge://", self.app, self, table_name=self.name, loop=self.loop)

    def _new_changelog_topic(self, **_: Any) -> Any:
        return self.app.topic(
            self._changelog_topic_name(),
            schema=RunSchema(),
            partitions=self.partitions,
            compacting=True,
            acks=False,
            internal=True,
            maxsize=64,
            allow_empty=True,
        )


class StreamApp(faust.App):
    """One stream's Faust app."""

    partition_table: PartitionTable[Any]
    topics_of_stream: Topics
    client_settings: dict[str, Any]
    offsets: Offsets
    epoch_s: float
    leave: bool
    assigned_once: bool = False

    def inputs(self) -> list[TP]:
        """The input partitions that this process owns."""
        return [TP(self.topics_of_stream.input, number) for number in self.partition_table.owned()]

    def _crash(self, reason: BaseException) -> None:
        """An error anywhere inside Faust: its own answer is a stop that may never end."""
        fail_stop(reason)


class PromptTableManager(TableManager):
    """Faust's manager of tables without the second that it sleeps before it begins."""

    async def on_start(self) -> None:
        """Register the changelog and start recovery; agents and consumer have started before."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class WholeAssignor(PartitionAssignor):
    """Faust's assignor leaves out a topic that it does not see: this one never assigns changelogs without the input.

    Everybody would be ready then and count nothing; and static members are given that assignment again for as long as
    they are back within their session.
    """

    @classmethod
    def _get_copartitioned_groups(cls, topics: set[str], cluster: Any, subscriptions: Any) -> Any:
        missing = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if missing:
            fail_stop(
                Stalled(f"no broker tells of the topic {', '.join(missing)}: nothing is assigned without it; "
                        "a restart makes it, or waits for it")
            )  # fmt: skip
        return super()._get_copartitioned_groups(topics, cluster, subscriptions)


class ConsumerSource:
    """The table's view of the input and the changelog (`processors.source.Source`)."""

    def __init__(self, app: StreamApp) -> None:
        self._app = app

    async def log_starts(self, partitions: Iterable[int]) -> dict[int, int]:
        """First offsets of the input."""
        return await self._ask(self._app.offsets.starts, self._app.topics_of_stream.input, partitions)

    async def log_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Committed ends of the input."""
        return await self._ask(self._app.offsets.ends, self._app.topics_of_stream.input, partitions)

    async def changelog_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Committed ends of the changelog."""
        return await self._ask(self._app.offsets.ends, self._app.topics_of_stream.changelog, partitions)

    async def changelog_heads(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ends of the changelog, what is open included."""
        return await self._ask(self._app.offsets.heads, self._app.topics_of_stream.changelog, partitions)

    async def seek(self, partition: int, offset: int) -> None:
        """Move the consumer."""
        await self._app.consumer.seek(TP(self._app.topics_of_stream.input, partition), offset)

    @staticmethod
    async def _ask(
        question: Callable[[list[Place]], Awaitable[dict[Place, int]]], topic: str, partitions: Iterable[int]
    ) -> dict[int, int]:
        answer = await question([(topic, number) for number in partitions])
        return {number: offset for (_, number), offset in answer.items()}


def _print_of(topic_id: str | None) -> str:
    """A topic's id as a name in the group may have it; empty where it is not known.

    >>> _print_of("ar4o+ZYiS5KiI8O9rDf1zw"), _print_of(None)
    ('.ar4oZYiS', '')
    """
    return f".{''.join(filter(str.isalnum, topic_id))[:8]}" if topic_id else ""


def build_app(schema: Schema[Any], aggregator: Aggregator[Any], settings: EngineSettings) -> StreamApp:
    """The Faust app that counts one stream; start it with ``await app.start()``."""
    topics, partitions = schema.topics, settings.partitions
    app = StreamApp(
        topics.app,
        broker="kafka://",
        broker_client_id=f"{CLIENT}{settings.instance}",
        # A member that is back within its session is given what it had, and nothing is assigned anew. Where the topics
        # were made again meanwhile, perhaps with more partitions, that is not what it needs: it is another member then.
        consumer_group_instance_id=f"{settings.instance}.{partitions}{_print_of(settings.topic_ids.get(topics.input))}",
        datadir=str(settings.state_dir / "faust"),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=settings.standbys,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_commit_interval=0.5,
        broker_request_timeout=40.0,
        stream_buffer_maxsize=4,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        recovery_consistency_check=False,
        TableManager=PromptTableManager,
        PartitionAssignor=WholeAssignor,
    )
    app.finalize()
    app.topics_of_stream = topics
    app.client_settings = aiokafka_settings(settings.kafka)
    app.offsets = Offsets(settings.kafka)
    app.epoch_s = settings.epoch_s
    app.leave = settings.leave
    app.transport = RunTransport(app.conf.broker_consumer, app)
    app.producer_transport = app.transport
    app.partition_table = PartitionTable(
        schema,
        aggregator,
        settings,
        ConsumerSource(app),
        lambda number: KafkaLog(settings.kafka, topics, number, transactional_id(topics.app, number)),
    )
    # These count runs. recovery_buffer_size=1 would make Faust read the changelog of an active partition on for ever.
    app.tables.add(
        ChangelogTable(app, name=TABLE, partitions=partitions, recovery_buffer_size=2, standby_buffer_size=1)
    )

    @app.agent(app.topic(topics.input, schema=RunSchema(), partitions=partitions), name="count")
    async def count(stream: Any) -> None:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        async for event in stream.noack().events():
            await app.partition_table.process(event.value)

    return app
