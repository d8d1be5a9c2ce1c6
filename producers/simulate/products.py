r"""A synthetic catalogue: names of people and slugs, a few of the names very often, descriptions of several lines.

>>> from producers.simulate import Scenario
>>> text = b"".join(blocks(Scenario(events=1000, keys=900, seed=7)))
>>> text[:21], text.count(b'"\n"')          # rows begin and end with a quote
(b'name,sku,description\n', 999)

Its shape is that of a real file, scaled: with 500,000 rows about 466,693 skus and a share of 0.000012 of duplicates it
has 499,994 pairs and 222,024 names, the most frequent one 247 times. So the counts are not left to chance: how often
each name stands there, and each sku, is decided first, and noise shuffles them.

Event time and disorder mean nothing here: the order of rows is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from producers.simulate import Scenario
from producers.simulate.bad_products import NAMES as BAD_KINDS
from producers.simulate.bad_products import bad_row
from producers.simulate.noise import Noise, below

Column = NDArray[np.int64]

HEADER = b"name,sku,description\n"
BLOCK = 1 << 14
"""Rows that are written at once."""
DESCRIPTIONS = 4096
REAL_PAIRS, REAL_NAMES, REAL_TOP = 499_994, 222_024, 247
"""Of the file whose shape this is: pairs, names, and how often the most frequent name stands there."""
ROUNDS = 50
"""In which pairs that are the same are parted; with very few skus some stay."""

_FIRST_TEXT = (
    "Aaron Ada Agnes Alan Alice Amy Andre Anna Ben Bella Boris Carla Carol Chad Clara Cora Dana David Dora Edgar "
    "Ella Emil Emma Erik Eva Felix Fiona Frank Gina Grace Greta Hanna Hugo Ida Ines Iris Ivan Jack Jana Jill John "
    "Jonas Julia Karl Kate Kim Lara Lena Leo Lily Linus Lisa Lucy Maja Marc Maria Max Mia Mona Nadia Nick Nina "
    "Nora Olga Oscar Otto Paul Petra Ralf Rita Robin Rosa Ruth Sara Simon Sofia Tara Theo Tim Tina Ursula Vera "
    "Victor Wanda Yara Zoe"
)
_LAST_TEXT = (
    "Adler Allen Baker Baum Beck Berg Bishop Black Boyd Brandt Brooks Brown Burke Carter Clark Cole Cook Cox Cruz "
    "Dean Diaz Dixon Dunn Ellis Engel Evans Ferry Fischer Ford Foster Fox Frank Gibson Gray Green Haas Hall Hart "
    "Hayes Hill Holt Horn Hunt Jensen Jones Kaiser Kelly King Klein Knight Koch Kramer Lane Lang Lee Lewis Long "
    "Lopez Lutz Marsh Mason Meyer Miles Moore Moss Myers Nash Nolan Olsen Page Park Perez Pope Price Quinn Reed "
    "Rice Ritter Rivera Rose Ross Roth Ruiz Shaw Silva Snow Stein Stone Sutton Todd Torres Tucker Vance Vogel "
    "Wagner Walsh Ward Weber West Wood"
)
_WORDS_TEXT = (
    "able act add age air all area arm art ask away back bad ball bank base bed best big bill bit blue board body "
    "book box boy build call camera car card care case cell chair check child choose city claim class clear close "
    "cold come cost course cup cut dark day deal deep door down draw dream drive drop early east easy edge eight "
    "end enter even every eye face fact fall far fast field fill film find fine fire firm fish five floor fly "
    "food foot form four free full game gas girl give glass goal gold good great ground group grow gun hair half "
    "hand hang happy hard head heart heat help high hold home hope hour house hundred idea image item job join "
    "just keep key kid kind kitchen know land large late laugh law lay lead learn leave left leg less let level "
    "lie life light like line list live local long"
)

_FIRST, _LAST, _WORDS = _FIRST_TEXT.split(), _LAST_TEXT.split(), _WORDS_TEXT.split()


def blocks(scenario: Scenario) -> Iterator[bytes]:
    """The rows of ``scenario``, header first, in blocks of whole rows."""
    yield HEADER
    noise = Noise(scenario.seed)
    names, skus, bad = _pairs(scenario, noise)
    descriptions = _descriptions(noise)
    bad_made = 0
    for first in range(0, scenario.events, BLOCK):
        places = np.arange(first, min(first + BLOCK, scenario.events), dtype=np.uint64)
        texts = below(noise.at("description", places), DESCRIPTIONS).tolist()
        rows: list[bytes] = []
        for name, sku, text, is_bad in zip(
            names[first : first + BLOCK].tolist(), skus[first : first + BLOCK].tolist(), texts,
            bad[first : first + BLOCK].tolist(), strict=True,
        ):  # fmt: skip
            if is_bad:
                rows.append(bad_row(BAD_KINDS[bad_made % len(BAD_KINDS)], _name(name), _slug(sku)))
                bad_made += 1
            else:
                rows.append(b'"%b",%b,"%b"' % (_name(name), _slug(sku), descriptions[text]))
        rows.append(b"")
        yield b"\n".join(rows)


def _pairs(scenario: Scenario, noise: Noise) -> tuple[Column, Column, NDArray[np.bool_]]:
    """For each row the number of its name and of its sku, and whether it is a bad one."""
    rows = scenario.events
    repeats = min(round(rows * scenario.duplicates), max(rows - 1, 0))
    distinct = rows - repeats
    names = _shuffled(noise, "name", np.repeat(*_name_counts(distinct)))
    keys = min(scenario.keys, distinct)
    more = below(noise.words("sku", 0, distinct - keys), max(keys, 1)).astype(np.int64)
    skus = _shuffled(noise, "order", np.concatenate((np.arange(keys), more)))
    _part(names, skus)
    if repeats:
        # A duplicate repeats a pair that stands above it, with another description.
        at = np.sort(below(noise.words("at", 0, repeats), distinct).astype(np.int64))
        source = below(noise.words("repeat", 0, repeats), 1 << 32).astype(np.int64) % (at + 1)
        names, skus = np.insert(names, at + 1, names[source]), np.insert(skus, at + 1, skus[source])
    bad = below(noise.words("bad", 0, rows), 1 << 32) < int(scenario.bad * (1 << 32))
    return names, skus, bad


def _part(names: Column, skus: Column) -> None:
    """Let skus change places until no two rows are the same pair."""
    for _ in range(ROUNDS):
        _, first = np.unique((names << 32) + skus, return_index=True)
        again = np.setdiff1d(np.arange(len(names)), first)
        if not len(again):
            return
        for at in again.tolist():
            skus[at - 1], skus[at] = skus[at], skus[at - 1]


def _name_counts(rows: int) -> tuple[Column, Column]:
    """The numbers of the names, and in how many of ``rows`` each stands: once, and a few far more often."""
    names = -(-rows * REAL_NAMES // REAL_PAIRS)
    more = rows - names
    top = max((REAL_TOP - 1) * rows // REAL_PAIRS, -(-more // max(names, 1)) + 1)
    ranks = np.arange(names)
    width = 1
    # Integers, so that no rounding differs anywhere.
    while (extra := top * width // (width + ranks)).sum() < more:
        width += max(1, width // 8)
    until = np.cumsum(extra)
    return ranks, 1 + np.clip(more - (until - extra), 0, extra)


def _shuffled(noise: Noise, purpose: str, column: Column) -> Column:
    return column[np.argsort(noise.words(f"shuffle {purpose}", 0, len(column)), kind="stable")]


def _name(number: int) -> bytes:
    """A name of its own for each number: first and last name, then with initials between them."""
    rest, first = divmod(number, len(_FIRST))
    initials, last = divmod(rest, len(_LAST))
    middle = ""
    while initials:
        initials, letter = divmod(initials - 1, 26)
        middle = f" {chr(ord('A') + letter)}.{middle}"
    return f"{_FIRST[first]}{middle} {_LAST[last]}".encode()


def _slug(number: int) -> bytes:
    """A slug of its own for each number: three words, more for very large numbers."""
    count = len(_WORDS)
    parts: list[str] = []
    for step in range(3):
        number, word = divmod(number, count)
        parts.append(_WORDS[(word + 61 * step) % count])
    while number:
        number, word = divmod(number - 1, count)
        parts.append(_WORDS[word])
    return "-".join(parts).encode()


def _descriptions(noise: Noise) -> list[bytes]:
    """Texts as they stand between quotes: some lines of some words, here and there a quote or a comma."""
    words = below(noise.words("words", 0, DESCRIPTIONS * 36), len(_WORDS)).reshape(DESCRIPTIONS, 4, 9).tolist()
    lengths = (3 + below(noise.words("lengths", 0, DESCRIPTIONS * 4), 7)).reshape(DESCRIPTIONS, 4).tolist()
    lines = (1 + below(noise.words("lines", 0, DESCRIPTIONS), 4)).tolist()
    texts: list[bytes] = []
    for number, (some, long, count) in enumerate(zip(words, lengths, lines, strict=True)):
        parts = [" ".join(_WORDS[word] for word in line[:length]) for line, length in zip(some, long, strict=True)]
        joined = ".\n".join(part.capitalize() for part in parts[:count])
        if number % 16 == 0:
            joined = joined.replace(" ", ' ""so-called"", ', 1)
        texts.append(joined.encode() + b".")
    return texts
