"""Which scan a run makes, and what a builder does with a run that has begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from shared.core.proof import TRY_EVERY, Proof
from shared.core.ranges import Cursor, RangeName
from shared.core.runs import LastFull, Run, RunStatus, Scan, ScanCounts, ScanRequest
from shared.core.scan_choice import (
    ADOPTION_FAILED,
    CHANGED,
    FIRST_RUN,
    REQUESTED,
    RESCAN,
    UNFINISHED,
    ScanPolicy,
    choose_scan,
    new_run,
    next_step,
)

SUNDAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
ALL, DUE, ADOPT = Scan
IN_PROGRESS, COMPLETED, SUPERSEDED = RunStatus
POLICY = ScanPolicy("f")
YESTERDAY = LastFull(SUNDAY - ONE_DAY, "f")
PROVED = Proof((0,), NOW)

EVERY_REQUEST = {"all", "due", "adopt", "auto"}
# Requests that do not restart a run of that scan and status, made under the present settings.
COVERED = {
    (ALL, IN_PROGRESS): {"all", "due", "auto"},
    (ALL, COMPLETED): {"all", "due", "auto"},
    (DUE, IN_PROGRESS): {"due", "auto"},
    (DUE, COMPLETED): {"due", "auto"},
    (ADOPT, IN_PROGRESS): EVERY_REQUEST,  # finished first; otherwise it would grant users whom it has not reached
    (ADOPT, COMPLETED): {"adopt"},  # users who became due since must still be refreshed
}


def run(scan: Scan = ALL, status: RunStatus = IN_PROGRESS, **more) -> Run:
    fields = {"last_full": YESTERDAY, "fingerprint": "f", "proof": PROVED if scan is DUE else None, **more}
    return Run(run_id="2026-11-22", scan=scan, created_at=NOW, status=status, **fields)


@pytest.mark.parametrize(
    ("requested", "last_full", "scan", "reason"),
    [
        ("all", None, ALL, REQUESTED),
        ("due", None, DUE, REQUESTED),
        ("adopt", None, ADOPT, REQUESTED),
        ("auto", None, ALL, FIRST_RUN),
        ("auto", LastFull(SUNDAY - ONE_DAY, "f"), DUE, "1 days ago"),
        ("auto", LastFull(SUNDAY - 6 * ONE_DAY, "f"), DUE, "6 days ago"),
        ("auto", LastFull(SUNDAY - 7 * ONE_DAY, "f"), ALL, "every 7 days"),
        ("auto", LastFull(SUNDAY - 400 * ONE_DAY, "f"), ALL, "every 7 days"),
        ("auto", LastFull(SUNDAY - ONE_DAY, "changed"), ALL, CHANGED),
        ("all", LastFull(SUNDAY - ONE_DAY, "f"), ALL, REQUESTED),
        ("due", LastFull(SUNDAY - ONE_DAY, "changed"), DUE, REQUESTED),
        ("due", LastFull(SUNDAY - 400 * ONE_DAY, "f"), DUE, REQUESTED),
    ],
)
def test_auto_reads_everybody_weekly_and_after_a_change(requested, last_full, scan, reason):
    """`auto` means `due`. Before the first full scan, after a change and after a week it means `all`."""
    choice = choose_scan(ScanRequest(requested), last_full, POLICY, SUNDAY)

    assert choice.scan is scan
    assert reason in choice.reason


@pytest.mark.parametrize(("days", "scan"), [(1, DUE), (2, DUE), (3, ALL), (4, ALL)])
def test_how_often_everybody_is_read_can_be_set(days, scan):
    """The setting is a number of days."""
    policy = replace(POLICY, full_scan_days=3)

    assert choose_scan(ScanRequest.AUTO, LastFull(SUNDAY - days * ONE_DAY, "f"), policy, SUNDAY).scan is scan


@pytest.mark.parametrize(("state", "requested"), list(product(COVERED, ScanRequest)))
def test_a_run_is_restarted_only_for_requests_that_it_does_not_cover(state, requested):
    """A covered request goes on with the run or finds it done."""
    step = next_step(run(*state), requested, POLICY, NOW)

    if requested.value in COVERED[state]:
        assert (step.step, step.choice) == ("done" if state[1] is COMPLETED else "go_on", None)
    else:
        assert step.step == "restart"
        assert step.choice.scan == ("due" if requested is ScanRequest.AUTO else requested.value)


@pytest.mark.parametrize("status", [IN_PROGRESS, COMPLETED])
@pytest.mark.parametrize("scan", [ALL, DUE])
def test_an_adoption_after_changed_plans_adopts_whatever_scan_the_day_had(scan, status):
    """It stamps the periods of the new plans. A scan of everybody would grant them."""
    step = next_step(run(scan, status, fingerprint="changed"), ScanRequest.ADOPT, POLICY, NOW)

    assert (step.step, step.choice.scan) == ("restart", ADOPT)


@pytest.mark.parametrize("status", [IN_PROGRESS, COMPLETED])
@pytest.mark.parametrize(
    ("last_full", "reason"),
    [(None, FIRST_RUN), (LastFull(SUNDAY - ONE_DAY, "other"), CHANGED), (LastFull(SUNDAY - 7 * ONE_DAY, "f"), "7")],
    ids=["never", "other plans", "a week ago"],
)
def test_a_due_scan_is_restarted_where_everybody_has_to_be_read(status, last_full, reason):
    """This also holds later the same day. Otherwise users who need the full scan would wait a day."""
    step = next_step(run(DUE, status, last_full=last_full), ScanRequest.AUTO, POLICY, NOW)

    assert (step.step, step.choice.scan) == ("restart", ALL)
    assert reason in step.choice.reason


@pytest.mark.parametrize("status", [IN_PROGRESS, COMPLETED])
@pytest.mark.parametrize(
    ("scan", "requested", "wanted"),
    [(ALL, "auto", ALL), (ALL, "all", ALL), (ALL, "due", ALL), (DUE, "due", DUE), (DUE, "auto", ALL)],
)
def test_changed_settings_restart_the_run_on_the_same_day(status, scan, requested, wanted):
    """A run that has read everybody is restarted too, because under other plans other users may be due."""
    changed = run(scan, status, fingerprint="old", last_full=LastFull(SUNDAY, "old"))

    step = next_step(changed, ScanRequest(requested), POLICY, NOW)

    assert (step.step, step.choice.scan) == ("restart", wanted)


@pytest.mark.parametrize(
    ("proof", "after", "step"),
    [
        (None, timedelta(), "prove"),
        (PROVED, timedelta(hours=9), "done"),
        (Proof((2,), NOW), timedelta(minutes=5), "done"),
        (Proof((2,), NOW), TRY_EVERY, "prove"),
        (Proof((2, 1), NOW), timedelta(minutes=10), "prove"),
        (Proof((2, 1, 1), NOW), timedelta(), "restart"),
        (Proof((2,), NOW, "no index"), timedelta(hours=9), "done"),
    ],
)
def test_an_open_proof_is_tried_again_also_after_the_scan(proof, after, step):
    """After a proof has failed three times, everybody is scanned. The reason says the difference."""
    found = next_step(run(DUE, COMPLETED, proof=proof), ScanRequest.AUTO, POLICY, NOW + after)

    assert found.step == step
    assert step != "restart" or (found.choice.scan is ALL and "differ by 1" in found.choice.reason)
    assert next_step(run(DUE, COMPLETED, proof=proof), ScanRequest.DUE, POLICY, NOW + after).step == "done"


@pytest.mark.parametrize(("scan", "wanted"), [(ALL, ALL), (DUE, ALL), (ADOPT, ADOPT)])
def test_an_operator_can_have_everybody_read_again(scan, wanted):
    """The rescan comes first, whatever the schedule asks for. After an adoption it grants nobody."""
    step = next_step(run(scan, COMPLETED, rescan_requested=True), ScanRequest.DUE, POLICY, NOW)

    assert (step.step, step.choice.scan, step.choice.reason) == ("restart", wanted, RESCAN)


def test_an_adoption_comes_before_a_rescan():
    """Whoever asks for an adoption must not be answered with a scan that grants."""
    step = next_step(run(ALL, COMPLETED, rescan_requested=True), ScanRequest.ADOPT, POLICY, NOW)

    assert (step.step, step.choice.scan) == ("restart", ADOPT)


def test_an_adoption_that_left_somebody_is_made_again():
    """A second call adopts the users that the first could not. Users adopted already are left alone."""
    step = next_step(run(ADOPT, COMPLETED, counts=ScanCounts(failed=1)), ScanRequest.ADOPT, POLICY, NOW)

    assert (step.step, step.choice.scan, step.choice.reason) == ("restart", ADOPT, ADOPTION_FAILED)


@pytest.mark.parametrize(
    ("requested", "previous", "scan", "cursor"),
    [
        ("all", None, ALL, None),
        ("all", run(ALL, COMPLETED), ALL, None),
        ("all", run(ALL, IN_PROGRESS), ALL, None),
        ("all", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), ALL, "mid"),
        ("all", run(ALL, SUPERSEDED, cursor=Cursor("mid")), ALL, "mid"),
        ("all", run(ALL, IN_PROGRESS, cursor=Cursor("mid", RangeName.WRAPPED), wrap_until="zoe"), ALL, "mid"),
        ("adopt", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), ADOPT, "mid"),
        ("all", run(DUE, IN_PROGRESS, cursor=Cursor("mid", RangeName.BY_DATE, '"2026-11-21"')), ALL, None),
        ("due", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), DUE, None),
        ("due", run(DUE, IN_PROGRESS, cursor=Cursor("mid", RangeName.BY_DATE, '"2026-11-21"')), DUE, None),
        ("auto", run(ALL, COMPLETED, last_full=None), ALL, None),
        ("auto", run(ALL, COMPLETED), DUE, None),
        ("auto", run(DUE, COMPLETED), DUE, None),
        ("auto", run(DUE, COMPLETED, fingerprint="old"), ALL, None),
        ("auto", run(ALL, IN_PROGRESS, cursor=Cursor("mid"), last_full=LastFull(SUNDAY, "old")), ALL, "mid"),
        ("auto", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), ALL, "mid"),
    ],
)
def test_a_new_run_begins_where_the_last_one_stopped(requested, previous, scan, cursor):
    """It wraps around to that user, so nobody is left out. After a completed run it begins at the first user."""
    begun = new_run(SUNDAY + ONE_DAY, ScanRequest(requested), previous, POLICY, NOW)

    assert (begun.run_id, begun.scan, begun.fingerprint) == ("2026-11-23", scan, "f")
    assert (begun.cursor, begun.wrap_until) == (cursor and Cursor(cursor), cursor)
    assert begun.last_full == (previous and previous.last_full)


@pytest.mark.parametrize("requested", list(ScanRequest))
def test_an_adoption_unfinished_at_midnight_is_finished_first(requested):
    """It goes on after the users already adopted and does not return to them, because they are due on the new day."""
    begun = new_run(SUNDAY + ONE_DAY, requested, run(ADOPT, IN_PROGRESS, cursor=Cursor("mid")), POLICY, NOW)

    assert (begun.scan, begun.cursor, begun.wrap_until) == (ADOPT, Cursor("mid"), None)
    assert begun.scan_reason == UNFINISHED


def test_an_adoption_of_marked_users_unfinished_at_midnight_begins_anew():
    """Users who are not marked were adopted the day before, and are due on the new day."""
    before = run(ADOPT, IN_PROGRESS, cursor=Cursor("mid", RangeName.NAMED), adopts_marked=True)

    begun = new_run(SUNDAY + ONE_DAY, ScanRequest.AUTO, before, POLICY, NOW)

    assert (begun.scan, begun.cursor, begun.adopts_marked) == (ADOPT, None, True)
