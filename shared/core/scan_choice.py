"""Which scan a day's run makes, and why: pure functions of the request and the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from shared.core.proof import Proof
from shared.core.ranges import Cursor
from shared.core.runs import LastFull, Run, RunStatus, Scan, ScanRequest

REQUESTED = "requested"
FIRST_RUN = "nobody has been scanned yet"
CHANGED = "plans or settings have changed since the last scan of everybody"
RESCAN = "an operator asked for it"
NO_INDEX = "no index serves the scan by date or balance"
ADOPTION_FAILED = "some users could not be adopted"
UNFINISHED = "the scan of everybody of the day before was not finished"


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """The settings that decide between a scan of everybody and a scan of the due."""

    fingerprint: str
    full_scan_days: int = 7
    full_scan_below: int = 0
    proof_tolerance: int = 0


@dataclass(frozen=True, slots=True)
class ScanChoice:
    """A scan, and why it is that one."""

    scan: Scan
    reason: str


class Step(StrEnum):
    """What a builder must do with the day's run."""

    DONE = "done"  # nothing
    GO_ON = "go_on"  # scan on behind its cursor
    PROVE = "prove"  # count again, then scan on if users are left
    RESTART = "restart"  # scan again from the first user


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next step; only a restart has a `choice`."""

    step: Step
    choice: ScanChoice | None = None


def choose_scan(requested: ScanRequest, last_full: LastFull | None, policy: ScanPolicy, today: date) -> ScanChoice:
    """The scan of a new run, as far as it can be chosen without a count."""
    if requested is not ScanRequest.AUTO:
        return ScanChoice(Scan(requested.value), REQUESTED)
    if last_full is None:
        return ScanChoice(Scan.ALL, FIRST_RUN)
    if last_full.fingerprint != policy.fingerprint:
        return ScanChoice(Scan.ALL, CHANGED)
    days = (today - last_full.day).days
    if days >= policy.full_scan_days:
        return ScanChoice(Scan.ALL, f"everybody is scanned every {policy.full_scan_days} days")
    return ScanChoice(Scan.DUE, f"the last scan of everybody was {days} days ago")


def few_users(users_max: int) -> str:
    return f"there are at most {users_max} users"


def proof_failed(proof: Proof) -> str:
    missing = min(proof.differences, key=abs)
    return f"the proof failed: the count of users with a balance and that of users with a dueOn differ by {missing}"


def new_run(day: date, requested: ScanRequest, previous: Run | None, policy: ScanPolicy, now: datetime) -> Run:
    """The day's run. If the run before was left unfinished, the scan begins there, so that nobody starves."""
    last_full = None if previous is None else previous.last_full
    choice = choose_scan(requested, last_full, policy, day)
    run = Run(
        run_id=day.isoformat(),
        scan=choice.scan,
        scan_reason=choice.reason,
        created_at=now,
        last_full=last_full,
        fingerprint=policy.fingerprint,
    )
    if previous is None:
        return run
    run = replace(run, names_from=previous.next_names_from)
    if requested is ScanRequest.AUTO and previous.fingerprint != policy.fingerprint:
        run = replace(run, scan=Scan.ALL, scan_reason=CHANGED)
    return run if previous.status is RunStatus.COMPLETED else _after_unfinished(run, requested, previous)


def _after_unfinished(run: Run, requested: ScanRequest, previous: Run) -> Run:
    if previous.scan is Scan.ADOPT:
        run = replace(run, scan=Scan.ADOPT, scan_reason=UNFINISHED, adopts_marked=previous.adopts_marked)
        # It does not wrap: users who were adopted already may be due for a later period. One that adopts marked users
        # alone begins anew, because its ranges, and its list of names, are others on the next day.
        return run if previous.adopts_marked else replace(run, cursor=previous.cursor)
    if requested is ScanRequest.AUTO and previous.scan is Scan.ALL:
        run = replace(run, scan=Scan.ALL, scan_reason=UNFINISHED)
    if previous.cursor is None or not (run.reads_everybody and previous.reads_everybody):
        return run
    return replace(run, cursor=Cursor(previous.cursor.user_id), wrap_until=previous.cursor.user_id)


def next_step(run: Run, requested: ScanRequest, policy: ScanPolicy, now: datetime) -> NextStep:
    """What to do with a run that has begun."""
    if run.scan is Scan.ADOPT and not run.is_completed:
        return NextStep(Step.GO_ON)  # it is finished first, because users it has not reached would be granted
    if run.rescan_requested:
        adopts = run.scan is Scan.ADOPT or requested is ScanRequest.ADOPT
        return _restart(ScanChoice(Scan.ADOPT if adopts else Scan.ALL, RESCAN))
    wanted = _restart_for(run, requested, policy)
    if wanted is not None:
        return wanted
    if requested is ScanRequest.AUTO and run.scan is Scan.DUE:
        proof = run.proof or Proof()
        if proof.has_failed(policy.proof_tolerance):
            return _restart(ScanChoice(Scan.ALL, proof_failed(proof)))
        if proof.is_due(now, policy.proof_tolerance):
            return NextStep(Step.PROVE)
    return NextStep(Step.DONE if run.is_completed else Step.GO_ON)


def _restart_for(run: Run, requested: ScanRequest, policy: ScanPolicy) -> NextStep | None:
    """A restart, if the run is not what is asked for now, or was made under other settings."""
    choice = choose_scan(requested, run.last_full, policy, run.day)
    if run.scan is Scan.ADOPT:
        return _restart_after_adoption(run, requested, choice)
    if run.fingerprint != policy.fingerprint:
        goes_on = run.scan is Scan.ALL and requested is not ScanRequest.ADOPT  # an adoption must grant nobody
        scan = Scan.ALL if goes_on else choice.scan
        return _restart(ScanChoice(scan, CHANGED))
    if choice.scan in (run.scan, Scan.DUE):
        return None
    return _restart(choice)


def _restart_after_adoption(run: Run, requested: ScanRequest, choice: ScanChoice) -> NextStep | None:
    if requested is not ScanRequest.ADOPT:
        return _restart(choice)
    return _restart(ScanChoice(Scan.ADOPT, ADOPTION_FAILED)) if run.counts.failed else None


def _restart(choice: ScanChoice) -> NextStep:
    return NextStep(Step.RESTART, choice)
