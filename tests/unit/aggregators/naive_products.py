"""The rules of `products`, read literally: a dict of pairs, and its names counted anew after every command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.products import Product

Pairs = dict[tuple[str, str], str]
"""``(sku, name)`` → description."""


def catalogue(commands: Iterable[Product]) -> Pairs:
    """What is in the catalogue after all ``commands``, one after the other."""
    pairs: Pairs = {}
    for command in commands:
        pair = command.sku, command.name
        if command.op == "delete":
            pairs.pop(pair, None)
        elif command.op == "update" or pair not in pairs:
            pairs[pair] = command.description
    return pairs


def counts(pairs: Pairs) -> dict[str, int]:
    """How many pairs have each name."""
    return dict(Counter(name for _, name in pairs))
