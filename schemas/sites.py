"""`sites`: live chat. Messages of visitors and statuses of operators, in any order, each maybe more than once.

>>> SITES.decoder.decode_one(b'{"id":"a","type":"message","from":"visitor1","site_id":"1","timestamp":7391,"data":{}}')
Message(id='a', sender='visitor1', site_id='1', timestamp=7391, data=MessageData(message=''))
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta, Struct

from schemas.schema import Schema

Name = Annotated[str, Meta(min_length=1)]
"""An opaque, case-sensitive id."""
Seconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Event time: whole seconds, 64 bits."""


class MessageData(Struct, gc=False):
    """What a message carries; its text is checked and not kept."""

    message: str = ""


class StatusData(Struct, gc=False):
    """What a status carries."""

    status: Literal["online", "offline"]


class Message(Struct, gc=False, tag_field="type", tag="message", rename={"sender": "from"}):
    """A visitor wrote: a chat when the site is online at that moment, otherwise an e-mail."""

    id: Name
    sender: Name
    site_id: Name
    timestamp: Seconds
    data: MessageData


class Status(Struct, gc=False, tag_field="type", tag="status", rename={"sender": "from"}):
    """An operator signed on or off."""

    id: Name
    sender: Name
    site_id: Name
    timestamp: Seconds
    data: StatusData


SiteEvent = Message | Status


class SiteSummary(TypedDict):
    """A site's running totals. ``messages`` are chats (somebody was online), ``emails`` missed chats."""

    site_id: str
    messages: int
    emails: int
    operators: int
    visitors: int
    revision: int


def _site(record: SiteEvent) -> str:
    return record.site_id


def _entity(summary: SiteSummary) -> str:
    return summary["site_id"]


SITES: Schema[SiteEvent] = Schema(name="sites", record=SiteEvent, summary=SiteSummary, key=_site, entity=_entity)
