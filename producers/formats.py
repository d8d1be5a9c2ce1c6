"""Which reading a stream's input takes, by the word that its registry entry says: one line a format.

>>> from schemas.sites import SITES
>>> read = format_of(SITES, "jsonl")
>>> read("events.jsonl").line
1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from producers.csv_rows import csv_rows
from producers.jsonl import json_lines
from producers.records import Format
from schemas.schema import Schema

FORMATS: Mapping[str, Callable[[Schema[Any]], Format]] = {"jsonl": json_lines, "csv": csv_rows}
"""By what the registry calls ``lines``."""


def format_of(schema: Schema[Any], lines: str) -> Format:
    """The format of a stream: what `replay` reads its files by, and `dlq replay` its letters."""
    return FORMATS[lines](schema)
