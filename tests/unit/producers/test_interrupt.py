"""Ctrl-C as a question between two steps."""

from __future__ import annotations

import signal

import pytest

from producers.interrupt import SIGNALS, Interrupt


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_only_asks(number: signal.Signals) -> None:
    """A count that is under way stays whole; the second one strikes anywhere."""
    with Interrupt() as interrupt:
        signal.raise_signal(number)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_blocking_call_ends_at_once() -> None:
    """Whether the signal comes within it, or came just before."""
    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt), interrupt.breaking():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupt.breaking():
            raise AssertionError("it was asked before")


def test_the_handlers_before_come_back() -> None:
    """Whoever runs a command in a process of its own keeps its signals."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupt():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
