"""The circuit breaker: opens after enough failures in a row, lets one call through once its time has passed."""

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
        """Steps: `c` asks for a call, `f` `s` `a` end one, `.` ten seconds pass. Answers `+` and `-` for the calls."""
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
                    self.clock.pass_by(10)
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
def test_what_is_let_through(steps, answers):
    """Each step depends on how the calls before it ended: the breaker is closed, open or half-open."""
    assert answers == Bench().play(steps)


def test_a_single_failure_can_be_enough():
    """BREAKER_FAILURES=1 opens it at the first failure."""
    assert Bench(failures_max=1).play("cf c ...... cs cf c") == "+-++-"


@pytest.mark.parametrize(("waited", "seconds"), [(0, 60), (0.5, 60), (10, 50), (59.5, 1), (60, 1), (600, 1)])
def test_the_error_says_when_to_come_again(waited, seconds):
    """The time is in whole seconds and at least one, also while the probing call has not returned yet."""
    bench = Bench()
    bench.play("fff")
    bench.clock.pass_by(waited)
    if waited >= 60:
        bench.breaker.before_call()

    with pytest.raises(
        BreakerOpenError, match=rf"^the database failed 3 times in a row; next try in {seconds} s$"
    ) as raised:
        bench.breaker.before_call()

    assert seconds == raised.value.retry_after_seconds
    assert isinstance(raised.value, SystemFailureError)


def test_open_is_open_until_a_success():
    """Half-open counts as open, because the database has not answered yet."""
    bench = Bench()

    seen = [bench.breaker.is_open]
    for steps in ("ff", "f", "......", "c", "s"):
        bench.play(steps)
        seen.append(bench.breaker.is_open)

    assert seen == [False, False, True, True, True, False]


def test_of_many_threads_one_probes():
    """A half-open breaker lets one call through, even when many threads ask at once."""
    bench, together = Bench(), threading.Barrier(8)
    bench.play("fff ......")

    def ask(_: int) -> bool:
        together.wait()
        return bench.lets_through

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1


@given(st.text("cfsa.", max_size=60))
def test_after_a_success_calls_are_made(steps):
    """Whatever came before, one success closes the breaker."""
    bench = Bench()
    bench.play(steps)

    assert bench.play("s ccc") == "+++"


@given(st.text("cfsa.", max_size=60))
def test_while_it_fails_calls_are_rare(steps):
    """While nothing succeeds, an open breaker lets at most one call a minute through."""
    bench = Bench()
    bench.play(steps + "fff")

    assert bench.play("cf ..... " * 12).count("+") <= 10


@given(st.text("cfa.", max_size=80))
def test_it_never_stays_shut(steps):
    """When its time has passed and no probing call is under way, the next call is let through."""
    bench = Bench()
    bench.play(steps)

    assert bench.play("a ...... c") == "+"
