"""The circuit breaker opens after enough failures in a row, and lets one call through once its time has passed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BreakerOpenError, SystemFailureError
from shared.store.breaker import Breaker
from tests.unit.clock import Clock


class Bench:
    """A breaker that opens after three failures for sixty seconds, its clock, and which calls were let through."""

    def __init__(self, failures_max: int = 3) -> None:
        self.clock = Clock()
        self.breaker = Breaker(failures_max, 60, self.clock)

    @property
    def lets_through(self) -> bool:
        try:
            self.breaker.before_call()
        except BreakerOpenError:
            return False
        return True

    def play(self, steps: str) -> str:
        """Play the steps, and return `+` for each call that is let through and `-` for each other call.

        The steps: `c` asks for a call; `f`, `s` and `a` end one as failed, successful or inconclusive; `.` lets ten
        seconds pass.
        """
        answers = ""
        for step in steps.replace(" ", ""):
            match step:
                case "c":
                    answers += "+" if self.lets_through else "-"
                case "f":
                    self.breaker.record_failure()
                case "s":
                    self.breaker.record_success()
                case "a":
                    self.breaker.record_inconclusive()
                case ".":
                    self.clock.advance(10)
        return answers


@pytest.mark.parametrize(
    ("steps", "answers"),
    [
        ("c c c", "+++"),
        ("cf cf c", "+++"),
        ("cf cf cf c", "+++-"),
        ("cf cf cs cf cf c", "++++++"),
        ("cf cf ca cf c", "++++-"),
        ("fff c ..... c . c", "--+"),
        ("fff ...... c c c", "+--"),
        ("fff ...... cs c c", "+++"),
        ("fff ...... cs f f c f c", "++-"),
        ("fff ...... cf c ..... c . c", "+--+"),
        ("fff ...... ca c", "++"),
        ("fff ...... ca cf c", "++-"),
        ("fff ... f ... c ... c", "-+"),
        ("fff s c c", "++"),
        ("fff ............ c c", "+-"),
        ("a a a c", "+"),
    ],
)
def test_calls_are_let_through_by_how_earlier_calls_ended(steps, answers):
    """The breaker is closed, open or half-open, by how the calls before ended."""
    assert answers == Bench().play(steps)


def test_a_single_failure_can_be_enough():
    """BREAKER_FAILURES=1 opens it at the first failure."""
    assert Bench(failures_max=1).play("cf c ...... cs cf c") == "+-++-"


@pytest.mark.parametrize(("waited", "seconds"), [(0, 60), (0.5, 60), (10, 50), (59.5, 1), (60, 1), (600, 1)])
def test_the_error_says_when_to_try_again(waited, seconds):
    """The time is in whole seconds and at least one, also while the probing call has not returned yet."""
    bench = Bench()
    bench.play("fff")
    bench.clock.advance(waited)
    if waited >= 60:
        bench.breaker.before_call()

    with pytest.raises(
        BreakerOpenError, match=rf"^the database failed 3 times in a row; next try in {seconds} s$"
    ) as raised:
        bench.breaker.before_call()

    assert seconds == raised.value.retry_after_seconds
    assert isinstance(raised.value, SystemFailureError)


def test_the_breaker_is_open_until_a_call_succeeds():
    """Half-open counts as open, because the database has not answered yet."""
    bench = Bench()

    seen = [bench.breaker.is_open]
    for steps in ("ff", "f", "......", "c", "s"):
        bench.play(steps)
        seen.append(bench.breaker.is_open)

    assert seen == [False, False, True, True, True, False]


def test_one_of_many_threads_may_probe():
    """A half-open breaker lets one call through, even when many threads ask at once."""
    bench, together = Bench(), threading.Barrier(8)
    bench.play("fff ......")

    def ask(_: int) -> bool:
        together.wait()
        return bench.lets_through

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1


@given(st.text("cfsa.", max_size=60))
def test_a_success_closes_the_breaker(steps):
    """This holds after any steps."""
    bench = Bench()
    bench.play(steps)

    assert bench.play("s ccc") == "+++"


@given(st.text("cfsa.", max_size=60))
def test_while_calls_fail_they_are_rare(steps):
    """While nothing succeeds, an open breaker lets at most one call a minute through."""
    bench = Bench()
    bench.play(steps + "fff")

    assert bench.play("cf ..... " * 12).count("+") <= 10


@given(st.text("cfa.", max_size=80))
def test_the_breaker_does_not_stay_open_for_ever(steps):
    """When its time has passed and no probing call is under way, the next call is let through."""
    bench = Bench()
    bench.play(steps)

    assert bench.play("a ...... c") == "+"
