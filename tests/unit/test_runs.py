"""Runs: how one changes from its beginning to its end, through restarts and flushes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.packing import SlotPosition
from shared.core.proof import Proof
from shared.core.ranges import Cursor, RangeName
from shared.core.runs import (
    CHECKPOINTS_MAX,
    ERRORS_KEPT_MAX,
    PLANS_COUNTED_MAX,
    FlushCheckpoint,
    LastFull,
    Run,
    RunStatus,
    Scan,
    ScanCounts,
    ScanTally,
    SettledUsers,
)

SUNDAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
ALL, DUE, ADOPT = Scan
IN_PROGRESS, COMPLETED, SUPERSEDED = RunStatus

counts = st.builds(ScanCounts, *[st.integers(0, 1000)] * 6)


def run(scan: Scan = ALL, status: RunStatus = IN_PROGRESS, **more) -> Run:
    return Run(run_id="2026-11-22", scan=scan, created_at=NOW, status=status, **more)


def test_a_run_is_restarted_from_the_first_user():
    """It becomes the next generation of the same day. Settled users stay counted, and all others are found again."""
    ended = run(
        DUE,
        COMPLETED,
        cursor=Cursor("mid"),
        wrap_until="zoe",
        completed_at=NOW,
        counts=ScanCounts(6, 4, 1, 1, 2),
        errors=({"userId": "bad"},),
        errors_total=1,
        flushes=7,
        last_full=LastFull(SUNDAY - ONE_DAY, "f"),
        completed_generation=0,
        read_time_ns=5,
        rescan_requested=True,
        named=2,
        refreshed_before=3,
    )

    restarted = ended.restarted(ALL, "why", "new", SettledUsers(3, 1))

    assert restarted == run(
        ALL,
        scan_reason="why",
        counts=ScanCounts(queued=3, jobs_created=2),
        failed_before=1,
        flushes=7,
        fingerprint="new",
        last_full=LastFull(SUNDAY - ONE_DAY, "f"),
        generation=1,
        completed_generation=0,
        names_from=("2026-11-22", 0),
    )


@pytest.mark.parametrize(
    ("before", "names_from"),
    [
        (run(DUE, COMPLETED, named=1, generation=2), ("2026-11-22", 2)),
        (run(DUE, COMPLETED, names_from=("2026-11-21", 0)), None),
        (run(DUE, IN_PROGRESS, named=1, names_from=("2026-11-21", 0)), ("2026-11-21", 0)),
    ],
)
def test_the_next_scan_reads_the_follow_up_list_of_the_last_complete_scan(before, names_from):
    """A scan that is not complete has not met all users of the list.

    A complete scan that names nobody found them in order.
    """
    assert before.next_names_from == names_from


@pytest.mark.parametrize(
    ("scan", "proof", "found"),
    [
        (ALL, None, True),
        (ADOPT, None, True),
        (DUE, None, False),
        (DUE, Proof((1,)), False),
        (DUE, Proof((1, 0)), True),
        (DUE, Proof(unavailable="why"), False),
    ],
)
def test_older_jobs_are_closed_once_everybody_is_found(scan, proof, found):
    """A `due` scan has found everybody only if that is proved."""
    begun = run(scan, generation=3, proof=proof)

    assert begun.completed_generation is None
    assert begun.completed(NOW, 0).completed_generation == (3 if found else None)
    assert begun.completed(NOW, 1).completed_generation == (3 if found or proof == Proof((1,)) else None)


def test_a_proof_that_comes_later_closes_older_jobs():
    """The scan was complete before it was known to have found everybody."""
    completed = run(DUE, generation=1, proof=Proof((2,))).completed(NOW, 0)

    assert completed.proved(Proof((2, 0)), 0).completed_generation == 1
    assert run(DUE).proved(Proof((0,)), 0).completed_generation is None


def test_a_lease_is_half_open():
    """Nobody else scans before it ends. At its end it is over."""
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
    """A `due` scan keeps what the last full scan said."""
    begun = run(scan, cursor=Cursor("zoe"), lease_until=NOW, fingerprint="new", last_full=LastFull(SUNDAY, "f"))

    completed = begun.completed(NOW, 0)

    assert completed == replace(
        begun,
        status=COMPLETED,
        completed_at=NOW,
        lease_until=None,
        cursor=None,
        last_full=last_full,
        completed_generation=None if scan is DUE else 0,
    )
    assert completed.is_completed


def test_an_adoption_of_marked_users_has_not_read_everybody():
    """It reads marked users alone, perhaps under other plans than the scan of everybody before it."""
    begun = run(ADOPT, adopts_marked=True, fingerprint="new", last_full=LastFull(SUNDAY - ONE_DAY, "f"))

    assert begun.completed(NOW, 0).last_full == LastFull(SUNDAY - ONE_DAY, "f")


def test_a_superseded_run_keeps_its_cursor():
    """The next day's scan begins there."""
    left = run(cursor=Cursor("mid"), lease_until=NOW, flushes=3).superseded()

    assert (SUPERSEDED, Cursor("mid"), None, 4) == (left.status, left.cursor, left.lease_until, left.flushes)


def cursor(user_id: str, due_on: str | None = None, *, wrapped: bool = False) -> Cursor:
    if due_on is not None:
        return Cursor(user_id, RangeName.BY_DATE, json.dumps(due_on))
    return Cursor(user_id, RangeName.WRAPPED if wrapped else RangeName.EVERYBODY)


def checkpoint(
    until: str, user_id: str = "mia", due_on: str | None = None, *, wrapped: bool = False
) -> FlushCheckpoint:
    return FlushCheckpoint(cursor(until, due_on, wrapped=wrapped), SlotPosition(NOW, user_id), "spread")


def test_a_flush_that_goes_on_moves_its_checkpoint():
    """The cursor stays. Checkpoints of earlier flushes that were broken off stay beside it."""
    broken = run(cursor=Cursor("ada")).with_checkpoint(checkpoint("zoe", "ann"))

    going_on = broken.with_checkpoint(checkpoint("max", "bob")).with_checkpoint(checkpoint("max", "eve"))

    assert going_on.cursor == Cursor("ada")
    assert going_on.checkpoints == (checkpoint("zoe", "ann"), checkpoint("max", "eve"))


def test_a_checkpoint_is_kept_until_the_cursor_has_passed_it():
    """Until then the scan meets users who are in jobs already."""
    checkpoints = checkpoint("mia"), checkpoint("zoe"), checkpoint("bob", wrapped=True)
    with_checkpoint = run(checkpoints=checkpoints)

    assert with_checkpoint.advanced(None).checkpoints == checkpoints
    assert with_checkpoint.advanced(cursor("max")).checkpoints == checkpoints
    assert with_checkpoint.advanced(cursor("mia")).checkpoints == checkpoints[1:]
    assert with_checkpoint.advanced(cursor("ada", wrapped=True)).checkpoints == checkpoints[2:]
    assert with_checkpoint.advanced(cursor("bob", wrapped=True)).checkpoints == ()
    assert with_checkpoint.completed(NOW, 0).checkpoints == ()
    assert with_checkpoint.restarted(ALL, "", "", SettledUsers()).checkpoints == ()


def test_the_number_of_checkpoints_is_bounded():
    """Each is left by a builder that ended in the middle of a flush. The oldest ones are dropped."""
    with_checkpoint = run()
    for number in range(CHECKPOINTS_MAX + 5):
        with_checkpoint = with_checkpoint.with_checkpoint(checkpoint(f"user-{number:02}"))

    assert [one.until.user_id for one in with_checkpoint.checkpoints] == [
        f"user-{number:02}" for number in range(5, CHECKPOINTS_MAX + 5)
    ]


def test_a_checkpoint_says_who_is_in_a_job():
    """These are users up to its cursor whose position is at most its own. A `due` scan is ordered by `dueOn` first."""
    one = checkpoint("mia", "eve", "2026-11-22")

    scanned = [cursor("zoe", "2026-11-21"), cursor("mia", "2026-11-22"), cursor("mo", "2026-11-22")]
    assert [one.has_scanned(each) for each in scanned] == [True, True, False]
    assert not one.has_scanned(Cursor("ada", RangeName.BY_BALANCE, "5"))
    assert checkpoint("ada", wrapped=True).has_scanned(cursor("zoe"))
    positions = [
        SlotPosition(NOW - ONE_DAY, "zoe"),
        SlotPosition(NOW, "eve"),
        SlotPosition(NOW, "eves"),
        SlotPosition(NOW + ONE_DAY, "ada"),
    ]
    assert [one.has_queued(position) for position in positions] == [True, True, False, False]


@given(st.lists(counts, max_size=8))
def test_flushes_add_up(found):
    """A run counts what its flushes found, and every flush moves it on."""
    advancing = run()
    for one in found:
        advancing = advancing.found(ScanTally(one))

    assert advancing.counts == sum(found, ScanCounts())
    assert advancing.errors_total == sum(one.failed for one in found)
    assert advancing.flushes == len(found)


@given(st.lists(st.integers(0, 150), max_size=5))
def test_a_run_keeps_the_first_hundred_errors(sizes):
    """All errors are counted. The first hundred are kept, from whichever flushes they came."""
    advancing, named = run(), []
    for size in sizes:
        errors = [{"userId": f"user-{len(named) + number}"} for number in range(size)]
        named += errors
        advancing = advancing.found(ScanTally(ScanCounts(failed=size), errors))

    assert tuple(named[:ERRORS_KEPT_MAX]) == tuple(advancing.errors)
    assert len(named) == advancing.errors_total


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 50)), max_size=5))
def test_users_by_plan_add_up_over_the_flushes(found):
    advancing = run()
    for plans in found:
        queued = ScanCounts(queued=sum(plans.values()))
        advancing = advancing.found(ScanTally(queued, users_by_plan=plans))

    assert advancing.users_by_plan == sum(map(Counter, found), Counter())
    assert advancing.users_of_uncounted_plans == 0


def test_a_run_counts_the_users_of_a_hundred_plans():
    """Users of further plans are counted together, so that the document stays small."""
    names = [f"plan{number}" for number in range(PLANS_COUNTED_MAX + 5)]
    first = run().found(ScanTally(ScanCounts(queued=len(names)), users_by_plan=dict.fromkeys(names, 1)))

    second = first.found(ScanTally(ScanCounts(queued=3), users_by_plan={names[0]: 1, names[-1]: 2}))

    assert second.users_by_plan == dict.fromkeys(names[:PLANS_COUNTED_MAX], 1) | {names[0]: 2}
    assert second.users_of_uncounted_plans == 5 + 2


@pytest.mark.parametrize(
    ("well", "failed", "by_plan", "uncounted"),
    [(0, 0, {}, 0), (3, 0, {}, 3), (3, 1, {}, 3), (4, 0, {"free": 3, "pro": 1}, 0)],
)
def test_a_restart_forgets_the_plans_of_users_it_may_find_again(well, failed, by_plan, uncounted):
    """Settled users stay counted. Their plans are known only if all users are settled."""
    before = run(counts=ScanCounts(queued=4), users_by_plan={"free": 3, "pro": 1})

    restarted = before.restarted(ALL, "why", "new", SettledUsers(well, failed))

    assert (restarted.users_by_plan, restarted.users_of_uncounted_plans) == (by_plan, uncounted)
