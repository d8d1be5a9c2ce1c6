"""How state is kept: the public face of the engine.

An engine counts one stream in one process: runs come in from Kafka, an aggregator counts them into rows, and each
epoch makes changed rows, summaries, dead letters and the stamp durable in one transaction. Start reading at
`processors.table` (the life of partitions), then `processors.partition` (counting and epochs).
"""

from processors.engine import Engine, NotOwned
from processors.settings import EngineSettings

__all__ = ["Engine", "EngineSettings", "NotOwned"]
