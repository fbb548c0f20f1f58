"""Figures: what a settled job adds to its run's roll-up, and what a requeue subtracts again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.decision import SkipReason
from shared.core.errors import UserErrorCode
from shared.core.figures import (
    DURATION_RATIO,
    NAMES,
    Effort,
    Rollup,
    duration_class,
    figures_of,
    hour_name,
    plan_requeue,
    rolled_up,
    sum_figures,
)
from shared.core.jobs import Job, RequeueCarryover, settle
from shared.core.outcomes import Outcome

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
SLOT = MIDNIGHT + timedelta(hours=10)
MINUTE = timedelta(minutes=1)
EFFORT = Effort(processing_ms=120, conflicts=2, reads=5, writes=9)

REFRESHED = Outcome.refreshed("ann", 10, 50)
SKIPPED = Outcome.skipped("bob", SkipReason.PAUSED)
SUPERSEDED = Outcome.skipped("sue", SkipReason.SUPERSEDED)
FAILED = Outcome.failed("cid", UserErrorCode.BAD_BALANCE, "the balance is a text")
AGAIN = Outcome.retry("dan", UserErrorCode.CONTENTION, "the document keeps changing")
NOBODY = Outcome.failed("", UserErrorCode.UNREADABLE_JOB, "no users")
OUTCOMES = [REFRESHED, SKIPPED, SUPERSEDED, FAILED, AGAIN]


def job(**fields) -> Job:
    """A claimed job of the slot at ten o'clock."""
    defaults = {"job_id": "j", "root_id": "j", "run_id": "2026-11-22", "day": date(2026, 11, 22), "scheduled_for": SLOT}
    defaults |= {"user_ids": (), "max_attempts": 3, "created_at": MIDNIGHT, "visible_at": None, "attempts": 1}
    return Job(**{**defaults, **fields})


def settled(outcomes, ended_at=SLOT, **fields):
    return settle(job(**fields), outcomes, ended_at, MINUTE)


def codes_of(settlement):
    """The code of each user's error, as the settled job has them."""
    return {error["userId"]: error["code"] for error in settlement.errors}


def shards_of(*increments):
    """The document that Firestore makes from increments by field path."""
    shard: dict = {}
    for each in increments:
        for path, amount in each.items():
            first, _, second = path.partition(".")
            place, name = (shard, first) if not second else (shard.setdefault(first, {}), second)
            place[name] = place.get(name, 0) + amount
    return [shard]


def test_the_figures_of_a_job_count_its_users_and_its_cost():
    """Users are counted by outcome, and by whether they were on time."""
    figures = figures_of(settled([REFRESHED, SKIPPED, FAILED, AGAIN]), EFFORT)

    assert figures == {
        "refreshedUsers": 1,
        "skippedUsers": 1,
        "failedUsers": 1,
        "retriedUsers": 1,
        "onTimeUsers": 1,
        "lateUsers": 1,
        "conflicts": 2,
        "processingMs": 120,
        "reads": 5,
        "writes": 9,
    }
    assert tuple(figures) == NAMES


@pytest.mark.parametrize(
    ("due_at", "ended_at", "outcomes", "on_time", "late"),
    [
        (None, SLOT, [REFRESHED], 1, 0),
        (None, SLOT + 30 * MINUTE, [REFRESHED], 1, 0),
        (None, SLOT + 30 * MINUTE + timedelta(seconds=1), [REFRESHED], 0, 1),
        (SLOT - 29 * MINUTE, SLOT, [REFRESHED], 1, 0),
        (SLOT - 40 * MINUTE, SLOT, [REFRESHED], 0, 1),
        (None, SLOT, [SKIPPED], 0, 0),
        (None, SLOT, [SUPERSEDED], 0, 1),
        (None, SLOT, [FAILED], 0, 1),
        (None, SLOT, [AGAIN], 0, 0),
        (None, SLOT, [NOBODY], 0, 0),
    ],
)
def test_users_refreshed_within_half_an_hour_are_on_time(due_at, ended_at, outcomes, on_time, late):
    """Half an hour exactly is on time. Users who failed or were superseded count as late."""
    figures = figures_of(settled(outcomes, ended_at, due_at=due_at), EFFORT)

    assert (figures["onTimeUsers"], figures["lateUsers"]) == (on_time, late)


def test_a_settled_job_increments_the_roll_up():
    """It adds the figures, how the job ended, the hour, the class of its duration, and errors by code."""
    settlement = settled([REFRESHED, FAILED, FAILED, AGAIN], SLOT + 90 * MINUTE)
    figures = figures_of(settlement, EFFORT)

    increments = rolled_up(settlement, figures, MIDNIGHT)

    assert {name: amount for name, amount in increments.items() if name not in figures} == {
        "failedJobs": 1,
        "retryJobs": 1,
        "doneByHour.h11": 3,
        "jobsByDuration.b22": 1,
        "errorsByCode.bad_balance": 2,
        "failedJobsByCode.bad_balance": 1,
    }


def test_a_requeue_subtracts_the_failed_users_and_nothing_else():
    """The roll-up is then as if those users had not been settled yet. Time and cost stay: they were spent."""
    settlement = settled(OUTCOMES, SLOT + 90 * MINUTE)
    figures = figures_of(settlement, EFFORT)
    without = settled([REFRESHED, SKIPPED, SUPERSEDED, AGAIN], SLOT + 90 * MINUTE)

    requeue = plan_requeue(settlement.receipts, codes_of(settlement), SLOT + 90 * MINUTE, MIDNIGHT)
    rollup = Rollup.of(shards_of(rolled_up(settlement, figures, MIDNIGHT), requeue.taken_back))

    expected = Rollup.of(shards_of(rolled_up(without, figures_of(without, EFFORT), MIDNIGHT)))
    ends = {"completedJobs", "failedJobs"}
    assert requeue.user_ids == ("cid",)
    assert [receipt["userId"] for receipt in requeue.receipts] == ["ann", "bob", "sue"]
    assert (rollup["failedJobs"], rollup.done_by_hour, rollup.errors_by_code) == (0, {11: 3}, {})
    assert {name: rollup[name] for name in NAMES if name not in ends} == {name: expected[name] for name in NAMES}


def test_a_requeued_job_keeps_its_receipts_and_figures():
    """Receipts and figures of the new attempt are added to them."""
    before = figures_of(settled([REFRESHED, FAILED]), EFFORT)
    earlier = RequeueCarryover(receipts=(REFRESHED.as_receipt(),), figures={**before, "failedUsers": 0})
    again = settled([Outcome.refreshed("cid", 1, 50)], earlier=earlier)

    figures = sum_figures(earlier.figures, figures_of(again, EFFORT))

    assert [receipt["userId"] for receipt in again.receipts] == ["ann", "cid"]
    assert (figures["refreshedUsers"], figures["failedUsers"], figures["reads"]) == (2, 0, 10)


def test_a_retry_of_a_requeued_job_has_an_id_of_its_own():
    """Its id differs from that of any retry before the requeue, and it carries no receipts."""
    earlier = RequeueCarryover(receipts=(REFRESHED.as_receipt(),))
    retry = settled([AGAIN], chain_id="j-requeue1", earlier=earlier).retry

    assert retry is not None
    assert (retry.job_id, retry.root_id, retry.chain_id, retry.earlier) == (
        "j-requeue1-attempt2",
        "j",
        "j-requeue1",
        RequeueCarryover(),
    )


@pytest.mark.parametrize("codes", [{}, {"": "unreadable_job"}, {"ann": None}])
def test_a_failed_document_that_was_made_by_hand_can_be_requeued(codes):
    """Without receipts no user is known to have failed. The caller then tries all users of the job."""
    assert plan_requeue((), codes, SLOT, MIDNIGHT).user_ids == ()


@pytest.mark.parametrize(
    ("instant", "name"),
    [
        (MIDNIGHT, "h00"),
        (MIDNIGHT + timedelta(minutes=59), "h00"),
        (MIDNIGHT + timedelta(hours=1), "h01"),
        (MIDNIGHT + timedelta(hours=25), "h25"),
        (MIDNIGHT + timedelta(days=9), "h60"),
        (MIDNIGHT - timedelta(hours=1), "h00"),
    ],
)
def test_an_hour_is_named_by_its_number_since_the_day_began(instant, name):
    """An hour contains its start and not its end. The number has a smallest and a largest value."""
    assert hour_name(instant, MIDNIGHT) == name


@given(st.integers(0, 600_000))
def test_a_duration_is_within_a_quarter_of_its_class_s_bound(milliseconds):
    """The bound of a class is at most a quarter above its durations, and never below them."""
    bound = DURATION_RATIO ** int(duration_class(milliseconds)[1:])

    assert max(1, milliseconds) <= bound * (1 + 1e-9)
    assert bound <= max(1, milliseconds) * DURATION_RATIO * (1 + 1e-9)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=50))
def test_a_percentile_is_the_bound_of_the_class_it_falls_into(durations):
    """It equals the percentile of the sorted durations, to within a quarter."""
    classes = Counter(duration_class(each) for each in durations)
    rollup = Rollup.of([{"jobsByDuration": dict(classes)}])

    true = sorted(durations)[-(-95 * len(durations) // 100) - 1]
    found = rollup.percentile_ms(0.95)
    assert found is not None
    assert max(1, true) - 0.5 <= found <= max(1, true) * DURATION_RATIO + 0.5


def test_an_empty_roll_up_has_no_averages():
    """They are None and not zero."""
    rollup = Rollup.of([])

    assert (rollup.average_ms, rollup.percentile_ms(0.95), rollup["refreshedUsers"]) == (None, None, 0)


def test_shards_add_up_and_unknown_fields_are_ignored():
    """Somebody may have written such a field by hand. A count below zero is read as zero."""
    rollup = Rollup.of([{"reads": 2, "note": "x", "doneByHour": {"h01": 3}}, {"reads": 5, "doneByHour": {"h01": 4}}])

    assert (rollup["reads"], rollup.done_by_hour) == (7, {1: 7})
    assert replace(rollup, figures={"failedJobs": -1})["failedJobs"] == 0
