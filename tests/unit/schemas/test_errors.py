"""Errors are one line that says what to do, and an exit code that scripts rely on."""

from __future__ import annotations

import inspect

import pytest

from schemas import errors
from schemas.errors import BrokerUnreachable, LostInput, StateError, StreamgaugeError, UsageError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_the_tree_at_the_top_of_the_module_is_the_tree(error: type[Exception]) -> None:
    """A reader who trusts the picture knows every failure and its parent."""
    tree = [line for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    depths = {line.lstrip(" │├└─").split()[0]: len(line) - len(line.lstrip(" │├└─")) for line in tree}
    assert error.__name__ in depths
    parent = error.__mro__[1]
    if parent is not Exception:
        assert depths[error.__name__] == depths[parent.__name__] + 4


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_only_wrong_usage_is_two(error: type[Exception]) -> None:
    """2: nothing was tried. A bad record has no exit code of its own: it stops nothing."""
    code = getattr(error, "exit_code", None)
    if issubclass(error, StreamgaugeError):
        assert code == (2 if issubclass(error, UsageError) else 1)
    else:
        assert code is None


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (BrokerUnreachable("127.0.0.1:9092", 10.0), "streamgauge broker start"),
        (LostInput("sites", 3, stamp=10, log_start=25), "--skip-lost"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(error: StreamgaugeError, advice: str) -> None:
    assert advice in str(error)
    assert "\n" not in str(error)


def test_lost_input_names_the_gap() -> None:
    """``[stamp, log_start)``: what was never counted and is gone."""
    error = LostInput("sites", 3, stamp=10, log_start=25)
    assert isinstance(error, StateError)
    assert "sites-3" in str(error)
    assert "[10, 25)" in str(error)
