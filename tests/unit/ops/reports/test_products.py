"""The reports of `products`, as people and programs read them."""

from __future__ import annotations

import csv
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from ops.reports.products import bare, names, pairs

TEXTS = st.text(st.sampled_from(list('ab,"\n\r ÿé\U0001f600')), min_size=1, max_size=5)


@given(st.dictionaries(TEXTS, st.integers(1, 4), max_size=9), st.none() | st.integers(1, 4))
def test_the_most_frequent_name_is_first_then_names_go_by_code_point(found: dict[str, int], most: int | None) -> None:
    """Whatever a name holds, a CSV reader gives it back."""
    table = names(({"name": name, "count": count, "revision": 1} for name, count in found.items()), most)
    read = list(csv.reader(StringIO("\n".join(bare(table)), newline="")))
    ranked = sorted(found.items(), key=lambda each: (-each[1], [ord(letter) for letter in each[0]]))
    assert read == [[str(count), name] for name, count in ranked[:most]]


def test_only_what_needs_quotes_has_them() -> None:
    """The rows of a sku by name; a field that is empty, one with a space, one with each special character."""
    texts = ("", " x ", "a,b", 'a"b', "a\nb", "a\rb", "'")
    table = pairs({"sku": "s", "name": str(9 - number), "description": text} for number, text in enumerate(texts))
    assert [*bare(table)] == ["3,s,'", '4,s,"a\rb"', '5,s,"a\nb"', '6,s,"a""b"', '7,s,"a,b"', "8,s, x ", "9,s,"]
