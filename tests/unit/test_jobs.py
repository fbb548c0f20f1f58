"""Jobs: how they end, which users leave for a retry, and when attempts are used up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.decision import SkipReason
from shared.core.errors import UserErrorCode
from shared.core.jobs import (
    AttemptMode,
    FailureResponse,
    Job,
    JobKind,
    JobStatus,
    Snapshot,
    id_at_fraction,
    is_job_of_scan,
    later_today_job,
    new_job_id,
    retry_job,
    settle,
    split,
)
from shared.core.mending import Mend
from shared.core.outcomes import Outcome, OutcomeKind, Tally

SUNDAY = date(2026, 11, 22)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
NOW = MIDNIGHT + timedelta(hours=10)
MINUTE = timedelta(minutes=1)
IDS = ("ann", "bob", "cid")

ANN_REFRESHED = Outcome.refreshed("ann", 10, 50)
BOB_SKIPPED = Outcome.skipped("bob", SkipReason.PAUSED)
CID_FAILED = Outcome.failed("cid", UserErrorCode.BAD_BALANCE, "the balance is a text")
ANN_AGAIN = Outcome.retry("ann", UserErrorCode.WRITE_FAILED, "aborted")
CID_AGAIN = Outcome.retry("cid", UserErrorCode.CONTENTION, "the document keeps changing")


def job(attempts: int = 1, user_ids: tuple[str, ...] = IDS, max_attempts: int = 3) -> Job:
    """A claimed job, the first of its chain."""
    return Job(
        job_id="2026-11-22-00001-007",
        root_id="2026-11-22-00001-007",
        run_id="2026-11-22",
        day=SUNDAY,
        scheduled_for=NOW - MINUTE,
        user_ids=user_ids,
        max_attempts=max_attempts,
        created_at=MIDNIGHT,
        visible_at=NOW + 2 * MINUTE,
        status=JobStatus.PROCESSING,
        attempts=attempts,
        started_at=NOW,
        fingerprint="f",
        snapshots=tuple(Snapshot(1, 10, None, None, SUNDAY) for _ in user_ids),
    )


@pytest.mark.parametrize(
    ("attempts", "outcomes", "status", "leaving", "tally"),
    [
        (1, [ANN_REFRESHED], "completed", None, Tally(1, 0, 0)),
        (1, [BOB_SKIPPED], "completed", None, Tally(0, 1, 0)),
        (1, [CID_FAILED], "failed", None, Tally(0, 0, 1)),
        (1, [], "completed", None, Tally()),
        (1, [ANN_REFRESHED, BOB_SKIPPED, CID_FAILED], "failed", None, Tally(1, 1, 1)),
        (1, [ANN_AGAIN], "completed", ("ann",), Tally()),
        (1, [ANN_AGAIN, BOB_SKIPPED, CID_AGAIN], "completed", ("ann", "cid"), Tally(0, 1, 0)),
        (1, [ANN_AGAIN, BOB_SKIPPED, CID_FAILED], "failed", ("ann",), Tally(0, 1, 1)),
        (2, [ANN_REFRESHED, BOB_SKIPPED, CID_AGAIN], "completed", ("cid",), Tally(1, 1, 0)),
        (3, [ANN_REFRESHED, BOB_SKIPPED], "completed", None, Tally(1, 1, 0)),
        (3, [ANN_REFRESHED, BOB_SKIPPED, CID_AGAIN], "failed", None, Tally(1, 1, 1)),
        (3, [ANN_AGAIN, CID_AGAIN], "failed", None, Tally(0, 0, 2)),
        (4, [ANN_REFRESHED, CID_AGAIN], "failed", None, Tally(1, 0, 1)),
    ],
)
def test_a_job_ends_by_the_outcomes_of_its_users(attempts, outcomes, status, leaving, tally):
    """A job with a user who failed for good is failed. Users to try again leave, except at the last attempt."""
    settlement = settle(job(attempts), outcomes, NOW, MINUTE)

    assert status == settlement.job.status
    assert leaving == (settlement.retry and settlement.retry.user_ids)
    assert tally == settlement.tally
    assert (settlement.ended_at, settlement.job.visible_at) == (NOW, None)


def test_a_retry_job_goes_on_with_the_users_who_left():
    """It is visible later, keeps counting attempts, and has no snapshots, so it reads its users again."""
    first = job(1)

    retry = settle(first, [ANN_REFRESHED, BOB_SKIPPED, CID_AGAIN], NOW, MINUTE).retry

    assert retry == replace(
        first,
        job_id="2026-11-22-00001-007-attempt2",
        user_ids=("cid",),
        status=JobStatus.PENDING,
        created_at=NOW,
        started_at=None,
        visible_at=NOW + MINUTE,
        snapshots=(),
    )
    assert (first.root_id, first.attempts, first.day) == (retry.root_id, retry.attempts, retry.day)


def test_the_ids_of_a_chain_follow_from_its_root():
    """A replay makes the same id, so it creates no second job. All ids of a chain differ."""
    chain = [job(1, max_attempts=5)]
    while retry := settle(chain[-1], [CID_AGAIN], NOW, MINUTE).retry:
        chain.append(replace(retry, attempts=retry.attempts + 1))

    assert [link.job_id.removeprefix("2026-11-22-00001-007") for link in chain] == [
        "",
        "-attempt2",
        "-attempt3",
        "-attempt4",
        "-attempt5",
    ]
    assert {link.root_id for link in chain} == {"2026-11-22-00001-007"}
    assert chain[-1].is_last_attempt


def test_a_replayed_settling_makes_the_same_retry_job():
    """The id does not depend on when it happens."""
    one = settle(job(2), [CID_AGAIN], NOW, MINUTE).retry
    other = settle(job(2), [CID_AGAIN], NOW + MINUTE, 3 * MINUTE).retry

    assert one is not None
    assert other is not None
    assert one.job_id == other.job_id


def test_only_settled_users_have_a_receipt():
    """A user who left gets a receipt in the retry job only."""
    settlement = settle(job(), [ANN_REFRESHED, BOB_SKIPPED, CID_AGAIN], NOW, MINUTE)

    assert [ANN_REFRESHED.as_receipt(), BOB_SKIPPED.as_receipt()] == settlement.receipts


def test_errors_name_users_who_failed_or_left_for_a_retry():
    """The error says why a user left."""
    settlement = settle(job(), [ANN_AGAIN, BOB_SKIPPED, CID_FAILED], NOW, MINUTE)

    assert [ANN_AGAIN.as_error(), CID_FAILED.as_error()] == settlement.errors


def test_a_user_who_fails_for_good_keeps_the_reason():
    """The last attempt turns a retry into a failure with the same code and message."""
    settlement = settle(job(3), [CID_AGAIN], NOW, MINUTE)

    assert [replace(CID_AGAIN, kind=OutcomeKind.FAILED)] == list(settlement.outcomes)
    assert [CID_AGAIN.as_error()] == settlement.errors
    assert settlement.receipts == [{"userId": "cid", "outcome": "failed", "before": None, "after": None}]


@pytest.mark.parametrize(
    ("attempts", "max_attempts", "mode", "last"),
    [
        (1, 3, AttemptMode.WORK, False),
        (2, 3, AttemptMode.WORK, False),
        (3, 3, AttemptMode.WORK, True),
        (4, 3, AttemptMode.RECONCILE, True),
        (5, 3, AttemptMode.ABANDON, True),
        (99, 3, AttemptMode.ABANDON, True),
        (1, 1, AttemptMode.WORK, True),
        (2, 1, AttemptMode.RECONCILE, True),
        (3, 1, AttemptMode.ABANDON, True),
    ],
)
def test_the_mode_of_an_attempt_follows_from_the_attempts_made(attempts, max_attempts, mode, last):
    """While attempts are left it works. Then one attempt reconciles, and the next abandons the job."""
    claimed = job(attempts, max_attempts=max_attempts)

    assert (mode, last) == (claimed.mode, claimed.is_last_attempt)


@pytest.mark.parametrize(
    ("database_failures", "user_ids", "database_works", "response"),
    [
        (0, IDS, False, FailureResponse.RELEASE),
        (1, IDS, True, FailureResponse.RELEASE),
        (1, ("ann",), True, FailureResponse.RELEASE),
        (2, IDS, False, FailureResponse.SPLIT),
        (2, IDS, True, FailureResponse.SPLIT),
        (3, ("ann", "bob"), False, FailureResponse.SPLIT),
        (2, ("ann",), False, FailureResponse.RELEASE),
        (2, ("ann",), True, FailureResponse.COUNT),
        (9, ("ann",), False, FailureResponse.RELEASE),
        (9, ("ann",), True, FailureResponse.COUNT),
    ],
)
def test_a_job_whose_requests_fail_is_released_and_then_split(database_failures, user_ids, database_works, response):
    """It is released twice, then split until a user has a job alone. That attempt counts if others are written."""
    failed = replace(job(user_ids=user_ids), database_failures=database_failures)

    assert response == failed.response_to_failure(database_works=database_works)


@pytest.mark.parametrize("chain_id", ["", "2026-11-22-00001-007-requeue1"])
def test_half_jobs_hold_all_users_and_count_no_attempt(chain_id):
    """Their ids follow from the chain, so a replay makes the same ones. They are isolated from the start."""
    claimed = replace(job(2, ("a", "b", "c")), chain_id=chain_id)

    first, second = split(claimed, "unavailable", NOW, NOW + MINUTE).new_jobs
    again = split(claimed, "unavailable", NOW + MINUTE, NOW + MINUTE).new_jobs
    quarter = split(second, "unavailable", NOW, NOW).new_jobs[0]

    chain = chain_id or claimed.root_id
    assert [first.job_id, second.job_id, quarter.job_id] == [f"{chain}-half1", f"{chain}-half2", f"{chain}-half2-half1"]
    assert [half.job_id for half in again] == [first.job_id, second.job_id]
    assert (first.user_ids, second.user_ids) == (("a",), ("b", "c"))
    assert {(half.root_id, half.attempts, half.is_isolated, half.snapshots) for half in (first, second)} == {
        (claimed.root_id, 1, True, ())
    }


kinds = st.sampled_from(OutcomeKind)
many = st.lists(kinds, max_size=20).map(
    lambda drawn: [
        Outcome(f"user-{number}", kind, code=UserErrorCode.CONTENTION, error="e") for number, kind in enumerate(drawn)
    ]
)


@given(many, st.integers(1, 6), st.integers(1, 4))
def test_each_user_is_settled_or_leaves_and_no_user_does_both(outcomes, attempts, max_attempts):
    """No user is lost between a job and its retry job, and no user is in both."""
    claimed = job(attempts, tuple(outcome.user_id for outcome in outcomes), max_attempts)

    settlement = settle(claimed, outcomes, NOW, MINUTE)

    settled = [receipt["userId"] for receipt in settlement.receipts]
    left = [] if settlement.retry is None else list(settlement.retry.user_ids)
    assert sorted(claimed.user_ids) == sorted(settled + left)
    assert settlement.tally.processed == len(settled)
    assert settlement.retry is None or attempts < max_attempts
    assert (settlement.job.status is JobStatus.FAILED) == (settlement.tally.failed > 0)


@given(many)
def test_a_chain_of_retries_ends(outcomes):
    """After the last attempt no user is left to retry."""
    claimed, links = job(1, max_attempts=4), 0
    while (retry := settle(claimed, outcomes, NOW, MINUTE).retry) is not None:
        claimed, links = replace(retry, attempts=retry.attempts + 1), links + 1

    assert links <= 3


def test_a_retry_is_a_pending_job_like_any_other():
    """It has no lease and a time from which it is visible, like a first job."""
    retry = retry_job(job(2), ("bob",), NOW, NOW + MINUTE)

    assert (
        retry.status,
        retry.visible_at,
        retry.started_at,
    ) == (JobStatus.PENDING, NOW + MINUTE, None)


def test_the_id_of_a_job_for_later_today_follows_from_its_users():
    """Two tries at one request have the same root and other users, so their jobs have two ids.

    A replay makes the same id.
    """
    made = [
        later_today_job("root", user_ids, SUNDAY, SUNDAY, NOW).job_id for user_ids in (("ann",), ("bob",), ("ann",))
    ]

    assert made[0] != made[1]
    assert made[0] == made[2]


def test_ids_of_a_day_begin_with_it_and_are_spread_evenly():
    """The day in front finds a day's jobs. The hash behind it spreads new jobs over the indexes."""
    ids = [
        new_job_id("2026-11-22", f"{flush:05d}-{number:03d}", "abcdef") for flush in range(5) for number in range(400)
    ]
    quarters = [id_at_fraction(ids[0], share / 4) for share in range(4)]
    found = [sum(job_id >= start for job_id in ids) for start in quarters]

    assert len(set(ids)) == len(ids)
    assert {job_id[:11] for job_id in ids} == {"2026-11-22-"}
    assert [round(number / len(ids), 1) for number in found] == pytest.approx([1, 0.75, 0.5, 0.25], abs=0.06)


MENDS = tuple(Mend(user_id, 1, {"dueOn": "2026-11-23"}) for user_id in IDS)


def test_mends_that_could_not_be_written_leave_for_a_retry_job():
    """Nobody waits for a grant, so the retry job is due when it is visible."""
    mending = replace(job(user_ids=()), snapshots=(), mends=MENDS, due_at=MIDNIGHT)

    settlement = settle(mending, [], NOW, MINUTE, MENDS[:1])

    assert settlement.job.status is JobStatus.COMPLETED
    assert settlement.retry is not None
    assert (settlement.retry.mends, settlement.retry.user_ids) == (MENDS[:1], ())
    assert settlement.retry.due_at == settlement.retry.visible_at == NOW + MINUTE


def test_mends_are_given_up_after_the_last_attempt():
    mending = replace(job(3, user_ids=()), snapshots=(), mends=MENDS)

    assert settle(mending, [], NOW, MINUTE, MENDS).retry is None


def test_mends_are_split_like_users():
    """One user who breaks every request soon has a job alone."""
    mending = replace(job(user_ids=()), snapshots=(), mends=MENDS, database_failures=2)
    assert mending.response_to_failure(database_works=True) is FailureResponse.SPLIT

    halves = split(mending, "unavailable", NOW, NOW).new_jobs

    assert [half.mends for half in halves] == [MENDS[:1], MENDS[1:]]
    assert halves[0].response_to_failure(database_works=True) is FailureResponse.COUNT


@pytest.mark.parametrize(
    ("job_id", "expected"),
    [
        (new_job_id("2026-11-22", "00001-000", "abcdef"), True),
        (new_job_id("2026-11-21", "00001-000", "abcdef"), False),
        *((new_job_id("2026-11-22", kind.value, "abcdef"), False) for kind in JobKind),
        ("", False),
        (7, False),
        (None, False),
    ],
)
def test_the_id_tells_whether_a_scan_of_the_run_made_the_job(job_id, expected):
    """A stamp may hold anything."""
    assert is_job_of_scan(job_id, "2026-11-22") is expected
