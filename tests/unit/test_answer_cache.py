"""The cache of the monitor's answers."""

from __future__ import annotations

import threading
from functools import partial
from itertools import count

import pytest

from shared.monitor.answer_cache import KEPT_MAX, Recent
from tests.unit.clock import Clock


def test_an_answer_is_good_for_its_seconds():
    """After that time, or once it was forgotten, it is made again."""
    clock, numbers = Clock(), count()
    recent: Recent[int] = Recent(5, clock)
    ask = lambda: recent.get("key", lambda: next(numbers))  # noqa: E731

    first, second = ask(), ask()
    clock.pass_by(4.9)
    third = ask()
    clock.pass_by(0.1)
    fourth = ask()
    recent.forget()

    assert (first, second, third, fourth, ask()) == ((0, False), (0, True), (0, True), (1, False), (2, False))


def test_keys_do_not_mix_and_are_bounded():
    """Asking for a thousand different runs does not fill the memory."""
    recent: Recent[int] = Recent(5, Clock())
    for n in range(1000):
        assert recent.get(n, partial(int, n)) == (n, False)

    assert len(recent._kept) <= KEPT_MAX


def test_a_failure_is_not_kept():
    """The next caller tries again."""
    recent: Recent[int] = Recent(5, Clock())

    with pytest.raises(ZeroDivisionError):
        recent.get("key", lambda: 1 // 0)

    assert recent.get("key", lambda: 7) == (7, False)


def test_many_at_once_make_one():
    """Callers that come at the same time wait for the first one's answer."""
    recent: Recent[int] = Recent(5, Clock())
    made, answers = [], []

    def make() -> int:
        made.append(1)
        return 7

    threads = [threading.Thread(target=lambda: answers.append(recent.get("key", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert sorted(answers) == [(7, False)] + [(7, True)] * 7
