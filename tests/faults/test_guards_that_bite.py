"""Without any one of the core's guards a check fails.

This shows that the checks work and that every guard is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from shared.core.runs import Run
from shared.store.job_documents import Claim
from shared.store.jobs import JobStore
from shared.store.runs import RunStore, StoredRun
from shared.store.users import StampWrite, UserStore
from shared.store.values import put
from tests.support.core_checks import (
    BALANCES,
    CHECKS,
    DEAD_LETTER,
    RECEIPTS,
    ROLLUPS,
    ROOT_JOBS,
    STAMPS,
    a_builder_dying_at_any_commit_loses_and_doubles_nobody,
    a_job_that_kills_its_workers_becomes_a_dead_letter,
    a_lost_reply_grants_nothing_twice,
    a_quiet_day,
    a_worker_failing_at_any_commit_loses_and_doubles_nobody,
    a_worker_killed_before_settling_grants_nothing_twice,
    an_overtaken_worker_changes_nothing,
    calling_everything_again_grants_nothing,
    small_steps,
    what_is_spent_between_builder_and_worker_stays_spent,
)


@pytest.fixture(autouse=True)
def _fine_grained() -> Iterator[None]:
    with small_steps():
        yield


# The guards that are left out


def no_precondition(monkeypatch):
    """(a) A user is written without a precondition."""
    rewrite(monkeypatch, UserStore, "_encode", lambda message, _write: message.ClearField("current_document"))


def bare_increment(monkeypatch):
    """(b) The balance is incremented by the database instead of set under a precondition."""

    def increment(message: Any, write: StampWrite) -> None:
        message.ClearField("current_document")
        message.update_mask.field_paths.remove("credits")
        del message.update.fields["credits"]
        transform = message.update_transforms.add()
        transform.field_path = "credits"
        put(transform.increment, write.grant.granted)

    rewrite(monkeypatch, UserStore, "_encode", increment)


def no_stamp(monkeypatch):
    """(c) The balance is written without stamping the period."""

    def unstamped(message: Any, _write: StampWrite) -> None:
        del message.update.fields["creditRefresh"]
        message.update_mask.ClearField("field_paths")
        message.update_mask.field_paths.append("credits")

    rewrite(monkeypatch, UserStore, "_encode", unstamped)


def cursor_before_jobs(monkeypatch):
    """(d) Jobs and cursor are in separate commits: the cursor moves first, then the jobs are created."""
    save = RunStore.save

    def apart(runs: RunStore, stored: StoredRun, run: Any, beside: Sequence[Any] = ()) -> StoredRun:
        saved = save(runs, stored, run)
        if beside:
            runs._wire.commit(beside)
        return saved

    monkeypatch.setattr(RunStore, "save", apart)


def jobs_before_cursor(monkeypatch):
    """(d) Jobs and cursor are in separate commits: the jobs are created first, then the cursor moves."""
    save = RunStore.save

    def apart(runs: RunStore, stored: StoredRun, run: Any, beside: Sequence[Any] = ()) -> StoredRun:
        if beside:
            runs._wire.commit(beside)
        return save(runs, stored, run)

    monkeypatch.setattr(RunStore, "save", apart)


def no_checkpoint(monkeypatch):
    """(d) A flush of several commits writes no flush checkpoint."""
    monkeypatch.setattr(Run, "with_checkpoint", lambda run, _checkpoint: run)


def cursor_with_the_first_commit(monkeypatch):
    """(d) A flush of several commits moves the cursor with the first of them."""
    monkeypatch.setattr(Run, "with_checkpoint", lambda run, checkpoint: run.advanced(checkpoint.until))


def retry_after_settling(monkeypatch):
    """(e) One Commit ends the job, and the next creates the retry job."""
    split_commits(monkeypatch, lambda writes: [[*writes[:1], *writes[-1:]], writes[1:-1]])


def retry_before_settling(monkeypatch):
    """(e) One Commit creates the retry job, and the next ends the job."""
    split_commits(monkeypatch, lambda writes: [writes[1:-1], [*writes[:1], *writes[-1:]]])


def attempts_not_counted_at_the_claim(monkeypatch):
    """(f) A claim does not count the attempt."""

    def uncounted(message: Any, *_: Any) -> None:
        message.update.fields["attempts"].integer_value -= 1

    rewrite(monkeypatch, JobStore, "_claim_write", uncounted)


def rollup_after_settling(monkeypatch):
    """(g) The roll-up is incremented in a separate Commit, so a replay increments it twice."""
    split_commits(monkeypatch, lambda writes: [writes[:-1], writes[-1:]])


def rewrite(monkeypatch: pytest.MonkeyPatch, store: type, method: str, change: Callable[..., None]) -> None:
    """Change the Write messages that a store's method returns or fills in."""
    original = getattr(store, method)

    def changed(self: Any, *args: Any) -> Any:
        made = original(self, *args)
        change(*args if made is None else (made, *args))
        return made

    monkeypatch.setattr(store, method, changed)


def split_commits(monkeypatch: pytest.MonkeyPatch, split: Callable[[list[Any]], list[list[Any]]]) -> None:
    """Settle in several Commits. The one that ends the job keeps its precondition."""
    commit_ours = JobStore._commit_ours

    def apart(jobs: JobStore, writes: list[Any], claim: Claim, *, settled: bool, **more: bool) -> None:
        for group in split(writes) if settled else [writes]:
            if group and group[0] is writes[0]:
                commit_ours(jobs, group, claim, settled=settled, **more)
            elif group:
                jobs._wire.commit(group)

    monkeypatch.setattr(JobStore, "_commit_ours", apart)


# The checks that notice it


@pytest.mark.parametrize("check", CHECKS)
def test_with_all_guards_every_check_passes(check):
    check()


@pytest.mark.parametrize(
    ("remove_guard", "check", "promise"),
    [
        (no_precondition, what_is_spent_between_builder_and_worker_stays_spent, BALANCES),
        (no_precondition, an_overtaken_worker_changes_nothing, BALANCES),
        (bare_increment, a_lost_reply_grants_nothing_twice, BALANCES),
        (bare_increment, a_worker_killed_before_settling_grants_nothing_twice, BALANCES),
        (bare_increment, an_overtaken_worker_changes_nothing, BALANCES),
        (no_stamp, a_quiet_day, STAMPS),
        (no_stamp, a_lost_reply_grants_nothing_twice, BALANCES),
        (no_stamp, a_worker_killed_before_settling_grants_nothing_twice, BALANCES),
        (no_stamp, calling_everything_again_grants_nothing, BALANCES),
        (cursor_before_jobs, a_builder_dying_at_any_commit_loses_and_doubles_nobody, BALANCES),
        (jobs_before_cursor, a_builder_dying_at_any_commit_loses_and_doubles_nobody, ROOT_JOBS),
        (no_checkpoint, a_builder_dying_at_any_commit_loses_and_doubles_nobody, ROOT_JOBS),
        (cursor_with_the_first_commit, a_builder_dying_at_any_commit_loses_and_doubles_nobody, BALANCES),
        (retry_after_settling, a_worker_failing_at_any_commit_loses_and_doubles_nobody, BALANCES),
        (retry_before_settling, a_worker_failing_at_any_commit_loses_and_doubles_nobody, RECEIPTS),
        (attempts_not_counted_at_the_claim, a_job_that_kills_its_workers_becomes_a_dead_letter, DEAD_LETTER),
        (rollup_after_settling, a_worker_failing_at_any_commit_loses_and_doubles_nobody, ROLLUPS),
    ],
)
def test_without_a_guard_a_check_fails(remove_guard, check, promise, monkeypatch):
    """The failure names the promise that the guard protects."""
    remove_guard(monkeypatch)

    with pytest.raises(AssertionError, match=promise):
        check()
