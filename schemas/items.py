"""`items`: what was eaten, one food at a time, as a paged API tells it; each item id counts once.

>>> item = ITEMS.decoder.decode_one(b'{"food__category_id":128,"food_id":293161,"id":658330693}')
>>> item.id, item.food_id, item.category, ITEMS.key(item)
(658330693, 293161, 128, '65833')

The key is a block of `BLOCK` consecutive ids, so that one partition sees all deliveries of an id. A food or a category
is eaten in many blocks: their counts are published as partials and merged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.errors import BadRecord
from schemas.schema import Schema

BLOCK = 10_000
"""Ids that share a key."""
WHOLES = {"food": "foods", "category": "categories"}
"""What is counted, and the kind of the one summary about all of it that ``--sketch`` adds."""

Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""64 bits."""


class Item(Struct, gc=False, rename={"long_name": "food__category_id", "short_name": "category_id"}):
    """One item. Some replies of the API call the category `food__category_id`, some `category_id`."""

    id: Id
    food_id: Id
    long_name: Id | UnsetType = UNSET
    short_name: Id | UnsetType = UNSET

    @property
    def category(self) -> int:
        """The category, whatever it was called."""
        return self.long_name if self.long_name is not UNSET else _given(self.short_name)


class ItemSummary(TypedDict):
    """How many items were of a food, or of a category.

    With ``--sketch``, ``count`` may be too small by the ``error`` of ``foods`` (or ``categories``) 0 at the most, whose
    own ``count`` is that of all items, and ``distinct`` about how many different ones they were of.
    """

    kind: Literal["food", "category", "foods", "categories"]
    id: int
    count: int
    error: NotRequired[int]
    distinct: NotRequired[int]
    revision: int


def entity_of(kind: str, number: int) -> str:
    """What the summary of a food or a category is keyed by.

    >>> entity_of("food", 293161)
    'food:293161'
    """
    return f"{kind}:{number}"


def _given(category: int | UnsetType) -> int:
    if category is UNSET:
        raise BadRecord("Object missing required field `food__category_id` (or `category_id`)")
    return category


def _check(item: Item) -> None:
    if item.short_name is UNSET:
        _given(item.long_name)
    elif item.long_name is not UNSET and item.long_name != item.short_name:
        raise BadRecord(f"`food__category_id` is {item.long_name}, but `category_id` is {item.short_name}")


def _block(item: Item) -> str:
    return str(item.id // BLOCK)


def _entity(summary: ItemSummary) -> str:
    return entity_of(summary["kind"], summary["id"])


def _fields(key: str) -> dict[str, Any]:
    kind, _, number = key.partition(":")
    return {"kind": kind, "id": int(number)}


ITEMS: Schema[Item] = Schema(
    name="items",
    record=Item,
    summary=ItemSummary,
    key=_block,
    entity=_entity,
    check=_check,
    fields=_fields,
    merges=True,
)
