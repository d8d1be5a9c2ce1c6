"""Synthetic items: the same as lines and as pages, and every kind of bad line is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.simulate import Scenario, simulate
from producers.simulate.items import BAD, Synthetic
from producers.simulate.recorded import recorded
from schemas.errors import BadRecord, StreamgaugeError
from schemas.items import ITEMS


def lines_of(**scenario: float) -> list[bytes]:
    return b"".join(simulate("items", Scenario(**scenario))).splitlines()  # pyright: ignore[reportArgumentType]


def test_lines_are_the_items_of_the_pages_in_any_cut() -> None:
    """Walking from page to page gives every item once."""
    scenario = Scenario(events=3000, keys=200, seed=4)
    items, pages, offset = Synthetic(scenario), list[bytes](), 0
    while offset is not None:
        found, offset = items.page(offset, 70)
        pages += found
    assert pages == lines_of(events=3000, keys=200, seed=4)
    assert items.page(10**12, 10) == ([], None)


def test_late_lines_and_duplicates_are_the_same_items() -> None:
    """As many lines as were asked for; the same seed gives the same bytes; both names of the category occur."""
    plain = lines_of(events=100_000, keys=500)
    wild = lines_of(events=100_000, keys=500, disorder_s=3, duplicates=0.1)
    assert wild == lines_of(events=100_000, keys=500, disorder_s=3, duplicates=0.1)
    assert len(wild) == len(plain) == 100_000
    assert set(wild) < set(plain)
    assert 85_000 < len(set(wild)) < 95_000
    assert wild[:1000] != plain[:1000]
    assert any(b'{"category_id"' in line for line in plain)
    decoded = ITEMS.decoder.decode(plain)
    assert decoded.bad == []
    ids = [item.id for item in decoded.records]
    assert ids == sorted(set(ids))
    assert ids[-1] - ids[0] > 104_000


@pytest.mark.parametrize("kind", range(len(BAD)))
def test_every_kind_of_bad_line_is_rejected(kind: int) -> None:
    """With a reason."""
    with pytest.raises(BadRecord, match=r"\w"):
        ITEMS.decoder.decode_one(Synthetic(Scenario(events=1, keys=1)).bad(kind))


def test_the_share_of_bad_lines_is_the_one_asked_for() -> None:
    """Each is rejected, the others are good."""
    decoded = ITEMS.decoder.decode(lines_of(events=20_000, keys=100, bad=0.05))
    assert 900 < len(decoded.bad) < 1100


def test_a_directory_without_pages_is_no_api(tmp_path: Path) -> None:
    """Serving nothing would look like an API that has nothing."""
    (tmp_path / "empty.json").touch()
    with pytest.raises(StreamgaugeError, match="holds no pages of the API"):
        recorded(str(tmp_path))
