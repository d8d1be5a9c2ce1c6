"""Who may send, and what a wrong token file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.readers import tokens as read
from producers.collect.tokens import Tokens, read_tokens
from schemas.errors import StreamgaugeError


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Basic b25l", 401),
        ("one", 401),
        ("Bearer on", 403),
        ("Bearer one two", 403),
        ("Bearer \udcff", 403),
        ("Bearer one", None),
        ("bearer  two ", None),
    ],
)
def test_without_a_token_it_is_401_with_a_wrong_one_403(authorization: str | None, status: int | None) -> None:
    assert Tokens(["one", "two"]).refusal(authorization) == status


def test_every_token_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In constant time each: neither where they differ nor which one fits can be told from outside."""
    compared: list[int] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return one == other

    monkeypatch.setattr("producers.collect.tokens.hmac.compare_digest", compare)
    tokens = Tokens(["one", "two", "three"])
    assert tokens.refusal("Bearer one") is None
    assert tokens.refusal("Bearer none") == 403
    assert compared == [32] * 6


def test_no_token_is_kept_as_it_is() -> None:
    assert "s3cret" not in repr(vars(Tokens(["s3cret"])))


def test_a_file_holds_one_token_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n  two  \n")
    assert read_tokens(path) == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read the token file .*No such file"),
        (b"\n \n", "holds no token"),
        (b"one\ns3 cret\n", "^line 2 of the token file [^ ]+ is no token"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_without_a_word_of_it(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """One that holds nothing, above all: it would let everybody in."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StreamgaugeError, match=reason) as raised:
        read_tokens(path)
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize("text", ["", ",", "s3 cret", "s3cret\n2", "één"])
def test_a_token_on_the_command_line_that_does_not_fit_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"must not be empty|a token is made of") as raised:
        read(text)
    assert "s3" not in str(raised.value)
