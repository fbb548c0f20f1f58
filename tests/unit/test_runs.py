"""Runs: what a day's scan is, which requests it covers, and where it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.packing import SlotPosition
from shared.core.runs import (
    CHECKPOINTS_MAX,
    ERRORS_KEPT_MAX,
    Cursor,
    FlushCheckpoint,
    LastFull,
    Run,
    RunStatus,
    Scan,
    ScanCounts,
    ScanRequest,
    ScanTally,
    new_run,
    resolve,
)

SUNDAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
ALL, DUE, ADOPT = Scan
IN_PROGRESS, COMPLETED, SUPERSEDED = RunStatus
EVERY_REQUEST = {"all", "due", "adopt", "auto"}

COVERED = {
    (ALL, IN_PROGRESS): {"all", "due", "auto"},
    (ALL, COMPLETED): {"all", "due", "auto"},
    (ALL, SUPERSEDED): {"all", "due", "auto"},
    (DUE, IN_PROGRESS): {"due", "auto"},
    (DUE, COMPLETED): {"due", "auto"},
    (DUE, SUPERSEDED): {"due", "auto"},
    (ADOPT, IN_PROGRESS): EVERY_REQUEST,  # finished first; else users it has not reached would be granted
    (ADOPT, COMPLETED): {"adopt"},  # users who became due since must still be refreshed
    (ADOPT, SUPERSEDED): EVERY_REQUEST,
}

user_ids = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
counts = st.builds(ScanCounts, *[st.integers(0, 1000)] * 5)


def run(scan: Scan = ALL, status: RunStatus = IN_PROGRESS, **more) -> Run:
    return Run(run_id="2026-11-22", scan=scan, created_at=NOW, status=status, **more)


@pytest.mark.parametrize(("scan", "status", "requested"), list(product(Scan, RunStatus, ScanRequest)))
def test_a_run_covers_what_it_does_already(scan, status, requested):
    """For each scan, status and request: a covered request goes on with the run, any other restarts it."""
    covering = run(scan, status, last_full=LastFull(SUNDAY - ONE_DAY, "plans"))

    assert (requested.value in COVERED[scan, status]) == covering.covers(requested, "plans")


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize(
    "last_full",
    [None, LastFull(SUNDAY - ONE_DAY, "other plans"), LastFull(SUNDAY - 7 * ONE_DAY, "plans")],
    ids=["never", "other plans", "a week ago"],
)
def test_auto_is_not_covered_by_a_due_scan_where_it_would_read_everybody(status, last_full):
    """This also holds later the same day. Otherwise users who need the full scan would wait a day."""
    due = run(DUE, status, last_full=last_full)

    assert not due.covers(ScanRequest.AUTO, "plans")
    assert due.covers(ScanRequest.DUE, "plans")
    assert run(ALL, status, last_full=last_full).covers(ScanRequest.AUTO, "plans")


@pytest.mark.parametrize(
    ("requested", "last_full", "scan"),
    [
        ("all", None, ALL),
        ("due", None, DUE),
        ("adopt", None, ADOPT),
        ("auto", None, ALL),
        ("auto", LastFull(SUNDAY - ONE_DAY, "f"), DUE),
        ("auto", LastFull(SUNDAY - 6 * ONE_DAY, "f"), DUE),
        ("auto", LastFull(SUNDAY - 7 * ONE_DAY, "f"), ALL),
        ("auto", LastFull(SUNDAY - 400 * ONE_DAY, "f"), ALL),
        ("auto", LastFull(SUNDAY - ONE_DAY, "changed"), ALL),
        ("all", LastFull(SUNDAY - ONE_DAY, "f"), ALL),
        ("due", LastFull(SUNDAY - ONE_DAY, "changed"), DUE),
        ("due", LastFull(SUNDAY - 400 * ONE_DAY, "f"), DUE),
    ],
)
def test_auto_reads_everybody_weekly_and_after_a_change(requested, last_full, scan):
    """`auto` is `due`, but `all` before the first full scan, after a change, or after a week."""
    assert scan is resolve(ScanRequest(requested), last_full, "f", SUNDAY)


@pytest.mark.parametrize(
    ("requested", "previous", "scan", "cursor"),
    [
        ("all", None, ALL, None),
        ("all", run(ALL, COMPLETED), ALL, None),
        ("all", run(ALL, IN_PROGRESS), ALL, None),
        ("all", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), ALL, "mid"),
        ("all", run(ALL, SUPERSEDED, cursor=Cursor("mid")), ALL, "mid"),
        ("all", run(ALL, IN_PROGRESS, cursor=Cursor("mid"), wrap_until="zoe", wrapped=True), ALL, "mid"),
        ("adopt", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), ADOPT, "mid"),
        ("all", run(DUE, IN_PROGRESS, cursor=Cursor("mid", "2026-11-21")), ALL, None),
        ("due", run(ALL, IN_PROGRESS, cursor=Cursor("mid")), DUE, None),
        ("due", run(DUE, IN_PROGRESS, cursor=Cursor("mid", "2026-11-21")), DUE, None),
        ("auto", run(ALL, COMPLETED), ALL, None),
        ("auto", run(ALL, COMPLETED, last_full=LastFull(SUNDAY, "f")), DUE, None),
        ("auto", run(DUE, COMPLETED, last_full=LastFull(SUNDAY, "f")), DUE, None),
        ("auto", run(ALL, IN_PROGRESS, cursor=Cursor("mid"), last_full=LastFull(SUNDAY, "old")), ALL, "mid"),
        ("auto", run(ALL, IN_PROGRESS, cursor=Cursor("mid"), last_full=LastFull(SUNDAY, "f")), ALL, "mid"),
    ],
)
def test_a_new_run_begins_where_the_last_one_stopped(requested, previous, scan, cursor):
    """It wraps around to that place, so nobody starves. If the last run was completed, it begins at the first user."""
    begun = new_run(SUNDAY + ONE_DAY, ScanRequest(requested), previous, "f", NOW)

    assert begun == Run(
        run_id="2026-11-23",
        scan=scan,
        created_at=NOW,
        cursor=cursor and Cursor(cursor),
        wrap_until=cursor,
        last_full=previous and previous.last_full,
        fingerprint="f",
    )


@pytest.mark.parametrize("requested", list(ScanRequest))
def test_an_adoption_unfinished_at_midnight_is_finished_first(requested):
    """It goes on after the users already adopted and does not return to them, because they are due on the new day."""
    begun = new_run(SUNDAY + ONE_DAY, requested, run(ADOPT, IN_PROGRESS, cursor=Cursor("mid")), "f", NOW)

    assert (begun.scan, begun.cursor, begun.wrap_until) == (ADOPT, Cursor("mid"), None)


def test_a_run_is_restarted_from_the_first_user():
    """The run stays the same day's. Its queued users and its lease stay; everything else is found again."""
    ended = run(
        DUE,
        COMPLETED,
        cursor=Cursor("mid", "2026-11-21"),
        wrap_until="zoe",
        wrapped=True,
        completed_at=NOW,
        counts=ScanCounts(6, 4, 1, 1, 2),
        errors=({"userId": "bad"},),
        errors_total=1,
        flushes=7,
        last_full=LastFull(SUNDAY - ONE_DAY, "f"),
    )

    restarted = ended.restarted(ALL, "new")

    kept = ScanCounts(queued=4, jobs_created=2)
    assert restarted == run(ALL, counts=kept, flushes=7, fingerprint="new", last_full=LastFull(SUNDAY - ONE_DAY, "f"))


def test_a_lease_is_half_open():
    """No other builder scans before it ends. At the moment it ends it is over."""
    leased = run().leased("token", NOW)

    assert (leased.token, leased.flushes) == ("token", 1)
    assert leased.is_leased(NOW - timedelta(microseconds=1))
    assert not leased.is_leased(NOW)
    assert not leased.released().is_leased(NOW - ONE_DAY)
    assert not run().is_leased(NOW)


@pytest.mark.parametrize(
    ("scan", "last_full"),
    [(ALL, LastFull(SUNDAY, "new")), (ADOPT, LastFull(SUNDAY, "new")), (DUE, LastFull(SUNDAY, "f"))],
)
def test_a_completed_run_says_whether_everybody_was_read(scan, last_full):
    """A `due` scan keeps what the last full scan recorded."""
    begun = run(scan, cursor=Cursor("zoe"), lease_until=NOW, fingerprint="new", last_full=LastFull(SUNDAY, "f"))

    completed = begun.completed(NOW)

    assert completed == replace(
        begun, status=COMPLETED, completed_at=NOW, lease_until=None, cursor=None, last_full=last_full
    )
    assert completed.is_completed


def test_a_superseded_run_keeps_its_cursor():
    """The next day's run begins there."""
    left = run(cursor=Cursor("mid"), lease_until=NOW, flushes=3).superseded()

    assert (SUPERSEDED, Cursor("mid"), None, 4) == (left.status, left.cursor, left.lease_until, left.flushes)


def checkpoint(
    until: str, user_id: str = "mia", due_on: str | None = None, *, wrapped: bool = False
) -> FlushCheckpoint:
    return FlushCheckpoint(Cursor(until, due_on), wrapped, SlotPosition(NOW, user_id), "UTC/86400/300")


def test_a_flush_that_goes_on_moves_its_mark():
    """The cursor stays. A flush has one checkpoint; checkpoints of earlier, unfinished flushes are kept beside it."""
    broken = run(cursor=Cursor("ada")).with_checkpoint(checkpoint("zoe", "ann"))

    going_on = broken.with_checkpoint(checkpoint("max", "bob")).with_checkpoint(checkpoint("max", "eve"))

    assert going_on.cursor == Cursor("ada")
    assert going_on.checkpoints == (checkpoint("zoe", "ann"), checkpoint("max", "eve"))


def test_a_mark_is_kept_until_the_cursor_is_past_it():
    """Until then the scan passes users who are in jobs already."""
    checkpoints = checkpoint("mia"), checkpoint("zoe"), checkpoint("bob", wrapped=True)
    with_checkpoint = run(checkpoints=checkpoints)

    assert with_checkpoint.advanced(None, wrapped=False).checkpoints == checkpoints
    assert with_checkpoint.advanced(Cursor("max"), wrapped=False).checkpoints == checkpoints
    assert with_checkpoint.advanced(Cursor("mia"), wrapped=False).checkpoints == checkpoints[1:]
    assert with_checkpoint.advanced(None, wrapped=True).checkpoints == checkpoints[2:]
    assert with_checkpoint.advanced(Cursor("bob"), wrapped=True).checkpoints == ()
    assert with_checkpoint.completed(NOW).checkpoints == with_checkpoint.restarted(ALL, "").checkpoints == ()


def test_marks_are_few():
    """Each was left by a builder that ended in the middle of a flush, so there can't be many."""
    with_checkpoint = run()
    for number in range(CHECKPOINTS_MAX + 5):
        with_checkpoint = with_checkpoint.with_checkpoint(checkpoint(f"user-{number:02}"))

    assert [one.until.user_id for one in with_checkpoint.checkpoints] == [
        f"user-{number:02}" for number in range(5, CHECKPOINTS_MAX + 5)
    ]


def test_a_mark_tells_who_is_in_a_job():
    """Of the users scanned up to its cursor, those up to its position are. A `due` scan is ordered by dueOn first."""
    one = checkpoint("mia", "eve", "2026-11-22")

    scanned = [Cursor("zoe", "2026-11-21"), Cursor("mia", "2026-11-22"), Cursor("mo", "2026-11-22")]
    assert [one.has_scanned(cursor, wrapped=False) for cursor in scanned] == [True, True, False]
    assert not one.has_scanned(Cursor("ada", "2026-11-21"), wrapped=True)
    assert checkpoint("ada", wrapped=True).has_scanned(Cursor("zoe"), wrapped=False)
    positions = [
        SlotPosition(NOW - ONE_DAY, "zoe"),
        SlotPosition(NOW, "eve"),
        SlotPosition(NOW, "eves"),
        SlotPosition(NOW + ONE_DAY, "ada"),
    ]
    assert [one.has_queued(position) for position in positions] == [True, True, False, False]


@given(st.lists(counts, max_size=8))
def test_flushes_add_up(found):
    """A run adds up what its flushes found."""
    advancing = run()
    for one in found:
        advancing = advancing.found(ScanTally(one))

    assert advancing.counts == sum(found, ScanCounts())
    assert advancing.errors_total == sum(one.failed for one in found)
    assert advancing.flushes == len(found)


@given(st.lists(st.integers(0, 150), max_size=5))
def test_a_run_keeps_the_first_hundred_errors(sizes):
    """All errors are counted, and the first hundred are kept, over all flushes."""
    advancing, named = run(), []
    for size in sizes:
        errors = [{"userId": f"user-{len(named) + number}"} for number in range(size)]
        named += errors
        advancing = advancing.found(ScanTally(ScanCounts(failed=size), errors))

    assert tuple(named[:ERRORS_KEPT_MAX]) == tuple(advancing.errors)
    assert len(named) == advancing.errors_total


@given(user_ids, st.none() | st.text())
def test_a_cursor_comes_back_as_it_was(user_id, due_on):
    """This holds for any id and for any text in dueOn."""
    cursor = Cursor(user_id, due_on)

    assert cursor == Cursor.parse(str(cursor))


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (None, None),
        ("ann", Cursor("ann")),
        ("2026-11-22/ann", Cursor("ann", "2026-11-22")),
        ("11/22/2026/ann", Cursor("ann", "11/22/2026")),
        ("/ann", Cursor("ann", "")),
    ],
)
def test_a_cursor_is_read(text, cursor):
    """Its text is an id, or a dueOn and an id."""
    assert cursor == Cursor.parse(text)


def test_a_runs_id_is_its_day():
    """The id is the local date as text."""
    assert run().day == SUNDAY
