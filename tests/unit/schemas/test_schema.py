"""A stream's schema: all that producers need to know of it."""

from __future__ import annotations

import pytest

from schemas.errors import BadRecord
from schemas.schema import Schema
from schemas.sites import SITES, SiteEvent
from schemas.wire import topics


def test_a_schema_names_its_topics_after_itself() -> None:
    assert SITES.topics == topics("sites")


def test_a_summary_is_published_under_its_entity() -> None:
    """`sites`: the site, which is the key of its records too."""
    summary = {"site_id": "7", "messages": 1, "emails": 0, "operators": 1, "visitors": 1, "revision": 3}
    assert SITES.entity(summary) == "7"


def test_a_schema_hands_its_check_to_the_decoder() -> None:
    """What types cannot say is refused in the same place."""

    def refuse(record: SiteEvent) -> None:
        raise BadRecord(f"not {record.id}")

    picky = Schema(
        name="picky", record=SITES.record, summary=SITES.summary, key=SITES.key, entity=SITES.entity, check=refuse
    )
    with pytest.raises(BadRecord, match=r"^not a$"):
        picky.decoder.decode_one(b'{"id":"a","type":"message","from":"v","site_id":"7","timestamp":1,"data":{}}')
