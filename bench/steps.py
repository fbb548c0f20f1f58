"""The steps of the systems in Python. Each is measured in a process of its own.

A step is prepared first: it connects and reads what it may know beforehand. Then it is run. Only the run is measured.
bench/peers has the steps in Node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.cloud import firestore

from bench.project import ALLOWANCE, EVENING, MIDNIGHT, BenchProject, chunks
from shared.core.decision import Grant, decide
from shared.core.runs import ScanRequest
from shared.core.users import read_user
from shared.services.build import build
from shared.services.context import user_fields
from shared.services.limits import LIMITS
from shared.services.work import work
from shared.store.jobs import JobStore
from shared.store.users import StampWrite, UserDocument, UserStore

Figures = Mapping[str, int]
Run = Callable[[], Figures]  # returns how many users it refreshed or queued, and other counts

BATCH = 300  # writes of a bare BatchWrite; a job has as many users
PAGE = 2000
CLAIMED_AT_ONCE = 50
JOBS_MAX = 1_000_000
SECONDS_MAX = 3600
ENQUEUED_AT_ONCE = 500


# Written by hand


def read_all_write_each(project: BenchProject) -> Run:
    """Stream every user; update each whose balance is below the allowance."""
    users = _app(project).collection("users")

    def run() -> Figures:
        done = 0
        for user in users.stream():
            if user.get("credits") < ALLOWANCE:
                user.reference.update({"credits": ALLOWANCE, "refreshedAt": EVENING})
                done += 1
        return {"users": done}

    return run


def python_bulk_writer(project: BenchProject) -> Run:
    """Query the users below the allowance; update them through a BulkWriter with its defaults."""
    client = _app(project)
    below = client.collection("users").where(filter=firestore.FieldFilter("credits", "<", ALLOWANCE))

    def run() -> Figures:
        found, writer = below.get(), client.bulk_writer()
        for user in found:
            writer.update(user.reference, {"credits": ALLOWANCE})
        writer.close()
        return {"users": len(found)}

    return run


# One job per user


def enqueue_each(project: BenchProject) -> Run:
    """Stream every user; create a job for each, in batches of 500."""
    client = _app(project)

    def run() -> Figures:
        done = 0
        for chunk in chunks(list(client.collection("users").select(["credits"]).stream()), ENQUEUED_AT_ONCE):
            batch = client.batch()
            for user in chunk:
                batch.set(client.document(f"naive_jobs/{user.id}"), {"userId": user.id, "status": "pending"})
            batch.commit()
            done += len(chunk)
        return {"users": done}

    return run


def one_at_a_time(project: BenchProject) -> Run:
    """Query for one job, claim it, read the user, write the user, complete the job; and again."""
    client = _app(project)
    jobs, users = client.collection("naive_jobs"), client.collection("users")
    waiting = jobs.where(filter=firestore.FieldFilter("status", "==", "pending")).limit(1)

    def run() -> Figures:
        done = 0
        while found := list(waiting.stream()):
            job = found[0]
            job.reference.update({"status": "processing"})
            user = users.document(job.get("userId"))
            user.update({"credits": max(user.get().get("credits"), ALLOWANCE), "refreshedAt": EVENING})
            job.reference.update({"status": "completed"})
            done += 1
        return {"users": done}

    return run


def transaction_per_job(project: BenchProject) -> Run:
    """Query for 50 jobs, claim them in one batch, then a transaction for each: read the user, write user and job."""
    client = _app(project)
    jobs, users = client.collection("naive_jobs"), client.collection("users")
    waiting = jobs.where(filter=firestore.FieldFilter("status", "==", "pending")).limit(CLAIMED_AT_ONCE)

    @firestore.transactional  # type: ignore[untyped-decorator] # the library comes without types
    def settle(transaction: Any, job: Any) -> None:
        user = users.document(job.get("userId"))
        balance = user.get(transaction=transaction).get("credits")
        transaction.update(user, {"credits": max(balance, ALLOWANCE), "refreshedAt": EVENING})
        transaction.update(job.reference, {"status": "completed"})

    def run() -> Figures:
        done = 0
        while found := list(waiting.stream()):
            claim = client.batch()
            for job in found:
                claim.update(job.reference, {"status": "processing"})
            claim.commit()
            for job in found:
                settle(client.transaction(), job)
            done += len(found)
        return {"users": done}

    return run


# This project


def build_jobs(project: BenchProject) -> Run:
    """This project's builder. It reads everybody; if full users are left alone, only those below the allowance."""
    scan = ScanRequest.DUE if project.spec.skips_full else ScanRequest.ALL

    def run() -> Figures:
        context = project.context(MIDNIGHT)
        counts = build(context, scan, SECONDS_MAX).counts
        return {"users": counts.queued, "jobs": counts.jobs_created}

    return run


def work_on_jobs(project: BenchProject) -> Run:
    """This project's worker, on the jobs of its builder."""
    tried_claims = _count_claims()

    def run() -> Figures:
        report = work(project.context(EVENING), JOBS_MAX, SECONDS_MAX)
        return {"users": report.tally.refreshed, "jobs": report.claimed, "tried": sum(tried_claims)}

    return run


def _count_claims() -> list[int]:
    """Count from now on how many jobs each claim tries to get. The worker itself reports how many it got."""
    tried: list[int] = []
    claim = JobStore.claim

    def count_and_claim(self: JobStore, due_jobs: Any, *args: Any) -> Any:
        tried.append(len(due_jobs))
        return claim(self, due_jobs, *args)

    JobStore.claim = count_and_claim  # type: ignore[method-assign,assignment] # it only counts
    return tried


# The fastest possible writes


def bare_batch_writes(project: BenchProject) -> Run:
    """Only the worker's guarded updates, in BatchWrite calls of 300, one after another."""
    store, updates = _bare(project)

    def run() -> Figures:
        for chunk in chunks(updates, BATCH):
            store.write(chunk)
        return {"users": len(updates)}

    return run


def bare_in_lanes(project: BenchProject) -> Run:
    """The same calls, as many at a time as the worker has lanes. Database and machine can't do more."""
    store, updates = _bare(project)

    def run() -> Figures:
        with ThreadPoolExecutor(LIMITS.lanes) as lanes:
            list(lanes.map(store.write, chunks(updates, BATCH)))
        return {"users": len(updates)}

    return run


def _bare(project: BenchProject) -> tuple[UserStore, Sequence[StampWrite]]:
    """The updates that the worker would make for every user. The users are read and decided beforehand."""
    store = UserStore(project.wire(), user_fields(project.settings))
    return store, [_update(project, document) for document in _everybody(store)]


def _everybody(store: UserStore) -> Sequence[UserDocument]:
    found: list[UserDocument] = []
    after = None
    while page := store.page(after, PAGE):
        found += page
        after = page[-1].user_id
    return found


def _update(project: BenchProject, document: UserDocument) -> StampWrite:
    schedule = project.settings.schedule
    decision = decide(read_user(document.raw, schedule.zone), project.plans, MIDNIGHT.date(), None)
    if not isinstance(decision, Grant):
        raise TypeError(f"{document.user_id} is not due")
    next_at = schedule.slot_start(decision.period.end, document.user_id)
    return StampWrite(document.user_id, document.update_time_ns, decision, "bare", EVENING, next_at)


# The scan


def scan_pages(project: BenchProject) -> Run:
    """Only the builder's page queries, from the first user to the last, without decisions."""
    store = UserStore(project.wire(), user_fields(project.settings))
    return lambda: {"users": len(_everybody(store))}


def _app(project: BenchProject) -> firestore.Client:
    """The official client library, used as its documentation shows."""
    return firestore.Client(project=project.spec.project)


STEPS: Mapping[str, Callable[[BenchProject], Run]] = {
    step.__name__: step
    for step in (
        read_all_write_each,
        python_bulk_writer,
        enqueue_each,
        one_at_a_time,
        transaction_per_job,
        build_jobs,
        work_on_jobs,
        bare_batch_writes,
        bare_in_lanes,
        scan_pages,
    )
}
