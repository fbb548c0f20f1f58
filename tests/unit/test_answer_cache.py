"""The cache of the monitor's answers."""

from __future__ import annotations

import threading
import time
from functools import partial
from itertools import count

import pytest

from shared.monitor.answer_cache import KEPT_MAX, AnswerCache
from tests.unit.clock import Clock


def test_an_answer_is_kept_for_its_seconds():
    """After that time, or after `forget`, it is made again."""
    clock, numbers = Clock(), count()
    recent: AnswerCache[int] = AnswerCache(5, clock)
    ask = lambda: recent.get("key", lambda: next(numbers))  # noqa: E731

    first, second = ask(), ask()
    clock.advance(4.9)
    third = ask()
    clock.advance(0.1)
    fourth = ask()
    recent.forget()

    assert (first, second, third, fourth, ask()) == ((0, False), (0, True), (0, True), (1, False), (2, False))


def test_keys_do_not_mix_and_are_bounded():
    """Asking for a thousand different runs does not fill the memory."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())
    for n in range(1000):
        assert recent.get(n, partial(int, n)) == (n, False)

    assert len(recent._kept) <= KEPT_MAX


def test_a_failure_is_not_kept():
    """The next caller tries again."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())

    with pytest.raises(ZeroDivisionError):
        recent.get("key", lambda: 1 // 0)

    assert recent.get("key", lambda: 7) == (7, False)


def test_callers_at_the_same_time_share_one_answer():
    """The others wait for the answer that the first one makes."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())
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


def test_callers_who_wait_for_a_failure_share_it():
    """Otherwise they would try one after another, and each would wait as long as the first."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())
    made, failures = [], []
    waiting = threading.Event()

    def fail() -> int:
        made.append(1)
        waiting.wait(10)
        raise ZeroDivisionError

    def ask() -> None:
        try:
            recent.get("key", fail)
        except ZeroDivisionError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
        while not made:
            time.sleep(0.001)
    time.sleep(0.1)
    waiting.set()
    for thread in threads:
        thread.join()

    assert (len(made), len(failures)) == (1, 8)


def test_an_answer_begun_before_a_change_is_not_kept():
    """`forget` is called after a change. An answer that was begun before it may be outdated."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())

    def make() -> int:
        recent.forget()
        return 7

    assert recent.get("key", make) == (7, False)
    assert recent.get("key", lambda: 8) == (8, False)


def test_callers_for_another_key_do_not_wait():
    """A slow answer delays nobody who asks for another one."""
    recent: AnswerCache[int] = AnswerCache(5, Clock())

    assert recent.get("slow", lambda: recent.get("other", lambda: 7)[0]) == (7, False)
