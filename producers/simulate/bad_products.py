"""Every kind of row that `products` must reject, made from the parts of a good one.

>>> bad_row("the name is empty", b"Anna Berg", b"lay-raise-best")
b',lay-raise-best,to and tangled'

A quote that never closes is not among them: where a later row has a quote, it takes all rows up to that one with it.
"""

from __future__ import annotations

KINDS: dict[str, bytes] = {
    "a column is missing": b"%(name)b,%(sku)b",
    "there is a column too many": b"%(name)b,%(sku)b,to and,tangled",
    "the name is empty": b",%(sku)b,to and tangled",
    "the sku is empty": b"%(name)b,,to and tangled",
    "text follows a closing quote": b'%(name)b,%(sku)b,"to and" tangled',
    "a quote within quotes is not doubled": b'%(name)b,%(sku)b,"to "and" tangled"',
    "a text is not UTF-8": b"%(name)b,%(sku)b,to and tangl\xe9d",
    "the sku holds a NUL": b"%(name)b,%(sku)b\0,to and tangled",
}
"""Templates by what is wrong."""

NAMES = tuple(KINDS)


def bad_row(kind: str, name: bytes, sku: bytes) -> bytes:
    """A row that is bad in one way: one of `NAMES`."""
    return KINDS[kind] % {b"name": name, b"sku": sku}
