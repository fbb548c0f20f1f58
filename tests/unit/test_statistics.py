"""Statistics: sums over a run and its roll-up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.core.figures import Rollup
from shared.core.runs import Billed, Run, RunStatus, Scan, ScanCounts
from shared.core.service_level import DayServed, Served
from shared.monitor.prices import dollars
from shared.monitor.statistics import (
    PlanUsers,
    Users,
    billed_of,
    errors_by_code,
    hours_of,
    pending_jobs,
    plans_of,
    served_lately,
    users_of,
)
from shared.settings import Settings

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
RUN = Run(
    run_id="2026-11-22",
    scan=Scan.ALL,
    created_at=MIDNIGHT,
    counts=ScanCounts(scanned=120, queued=100, skipped=18, failed=2, jobs_created=10),
    billed=Billed(130, 12),
    errors_by_code={"bad_balance": 2},
    planned_by_hour=Counter({3: 60, 4: 40}),
)
ROLLUP = Rollup(
    {"refreshedUsers": 70, "skippedUsers": 5, "failedUsers": 1, "completedJobs": 7, "failedJobs": 1, "retryJobs": 2}
    | {"reads": 20, "writes": 90, "onTimeUsers": 70, "lateUsers": 1},
    {3: 60, 26: 16},
    {},
    {"write_rejected": 1, "bad_balance": 3, "gone": 0},
)


def test_users_are_counted_by_outcome():
    """Users that the builder found to fail count as failed. Users queued and not settled are pending."""
    users = users_of(RUN, ROLLUP)

    assert users == Users(refreshed=70, skipped=5, failed=3, pending=24)
    assert users.success_rate == pytest.approx(75 / 78)


def test_a_user_whom_a_newer_scan_found_again_counts_as_what_it_found():
    """One user was refreshed and fails now; the job of another one has not come yet."""
    run = replace(RUN, generation=1, counts=ScanCounts(queued=71, failed=1), refreshed_before=2)

    assert users_of(run, Rollup({"refreshedUsers": 70})) == Users(refreshed=68, skipped=0, failed=1, pending=1)


@pytest.mark.parametrize(
    ("refreshed", "skipped", "expected"),
    [
        (7, 0, Users(refreshed=5, skipped=0, failed=1, pending=0)),
        (5, 3, Users(refreshed=5, skipped=0, failed=1, pending=0)),
        (6, 2, Users(refreshed=5, skipped=0, failed=1, pending=0)),
        (4, 1, Users(refreshed=4, skipped=1, failed=1, pending=0)),
    ],
)
def test_after_a_rescan_there_are_no_more_users_than_it_met(refreshed, skipped, expected):
    """The scan met six. Whoever is in two jobs was skipped by one of them, or refreshed by both."""
    counts = ScanCounts(scanned=6, queued=refreshed + skipped, failed=1)
    run = replace(RUN, generation=1, counts=counts, status=RunStatus.COMPLETED)

    assert users_of(run, Rollup({"refreshedUsers": refreshed, "skippedUsers": skipped})) == expected


@pytest.mark.parametrize("change", [{"status": RunStatus.IN_PROGRESS}, {"scan": Scan.DUE}, {"generation": 0}])
def test_a_scan_that_has_not_met_everybody_bounds_no_figure(change):
    """Only a later scan of everybody that is complete knows how many there are."""
    counts = ScanCounts(scanned=6, queued=7)
    run = replace(RUN, **{"generation": 1, "counts": counts, "status": RunStatus.COMPLETED} | change)

    assert users_of(run, Rollup({"refreshedUsers": 7})).refreshed == 7


def test_without_a_run_there_are_no_users():
    """There is no success rate either."""
    assert users_of(None, Rollup()) == Users(0, 0, 0, 0)
    assert users_of(None, Rollup()).success_rate is None


def test_pending_users_are_never_negative():
    """Somebody may have put a job into the queue by hand."""
    assert users_of(None, ROLLUP).pending == 0


@pytest.mark.parametrize(
    ("counted", "run", "expected"),
    [(5, RUN, 5), (999, RUN, 999), (1000, None, 1000), (1000, RUN, 1000), (1000, "large", 4989)],
)
def test_pending_jobs_beyond_the_limit_of_counting_are_computed(counted, run, expected):
    """They are the jobs that were created, retry jobs included, less those that were begun."""
    large = replace(RUN, counts=replace(RUN.counts, jobs_created=4998))

    assert pending_jobs(counted, 1000, large if run == "large" else run, ROLLUP, 3) == expected


def test_there_is_a_row_for_each_hour_of_the_day():
    """There are more rows where work was done later."""
    hours = hours_of(RUN, ROLLUP, MIDNIGHT, MIDNIGHT + DAY)

    assert [hour.number for hour in hours] == list(range(27))
    assert [(hours[n].planned, hours[n].done) for n in (3, 4, 26)] == [(60, 60), (40, 0), (0, 16)]
    assert hours[26].start == MIDNIGHT + timedelta(hours=26)


@pytest.mark.parametrize("length", [23, 24, 25])
def test_a_day_may_have_23_or_25_hours(length):
    """The clocks change on such a day."""
    assert len(hours_of(None, Rollup(), MIDNIGHT, MIDNIGHT + timedelta(hours=length))) == length


def test_errors_by_code_add_up_those_of_builder_and_worker():
    """The most frequent code comes first. Codes that a requeue subtracted to zero are left out."""
    assert list(errors_by_code(RUN, ROLLUP).items()) == [("bad_balance", 5), ("write_rejected", 1)]


def test_the_figures_of_the_last_thirty_days_add_up():
    """These are the run's day and the 29 days before."""
    history = [DayServed(date(2026, 10, 1) + n * DAY, Served(10, 1)) for n in range(40)]

    assert served_lately(replace(RUN, history=history), ROLLUP) == Served(70 + 290, 1 + 29)
    assert served_lately(None, ROLLUP) == Served(70, 1)


def test_the_bill_adds_up_builders_and_workers():
    """Prices are per 100,000 operations."""
    assert billed_of(RUN, ROLLUP) == Billed(150, 102)
    assert dollars(Billed(100_000, 200_000), Settings(price_read=0.03, price_write=0.09)) == pytest.approx(0.21)


def test_each_plan_has_a_share_of_all_queued_users():
    """The plan with most users comes first. Users who are not counted by plan are part of the whole."""
    run = replace(RUN, users_by_plan={"pro": 20, "free": 60, "gone": 0})

    assert plans_of(run) == [PlanUsers("free", 60, 0.6), PlanUsers("pro", 20, 0.2)]
    assert run.users_of_uncounted_plans == 20


@pytest.mark.parametrize("run", [None, replace(RUN, counts=ScanCounts(scanned=5))])
def test_where_nobody_was_queued_there_are_no_plans(run):
    """There is no division by zero."""
    assert plans_of(run) == []
