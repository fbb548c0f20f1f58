"""Checks at the end of the day: compares every user's document and every receipt with what the oracle expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dev.database import Database, document_id, serialize, serialize_values, update_time_ns
from dev.day import JOBS, Day
from dev.loading import PAGE, LoadedUsers
from dev.oracle import Expected, Outcome, after_scan, expect, faults
from shared.store.values import get_fields, get_time

REPORT_EVERY = 1000
JOB_PAGE = 50
OURS = {"credits", "creditRefresh"}
FAULTS_SHOWN_MAX = 20


@dataclass(slots=True)
class Receipts:
    """The receipts of each user, and counts of the jobs."""

    jobs: int = 0
    unsettled: int = 0
    signed_up: int = 0
    taken_over: int = 0
    outcomes: dict[str, list[tuple[str, Any, Any]]] = field(default_factory=dict)
    unreported_reads: int = 0
    unreported_writes: int = 0

    @classmethod
    def read(cls, database: Database, day: Day) -> Receipts:
        """Read the receipts of that day's jobs."""
        receipts = cls()
        for document in database.scan(JOBS, JOB_PAGE):
            job = get_fields(document.fields)
            if document_id(document).startswith(f"{day.run_id}-"):
                receipts._add(job, day.killed_at)
        return receipts

    def _add(self, job: dict[str, Any], killed_at: datetime | None) -> None:
        self.jobs += "kind" not in job
        self.signed_up += job.get("kind") == "signup"
        self.taken_over += job.get("attempts", 0) > 1
        if job["status"] not in ("completed", "failed"):
            self.unsettled += 1
            return
        if killed_at is not None and job.get("startedAt") == killed_at:
            self.unreported_reads += job["reads"]
            self.unreported_writes += job["writes"] - job.get("refreshedUsers", 0)
        elif job.get("attempts", 0) > 1:  # claimed by the worker that was killed
            self.unreported_reads += 1
            self.unreported_writes += 1
        for receipt in job["receipts"]:
            outcome = (receipt["outcome"], receipt["before"], receipt["after"])
            self.outcomes.setdefault(receipt["userId"], []).append(outcome)


@dataclass(slots=True)
class Verdict:
    """The result of the check: users by expected outcome, the first faults, and the receipts."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    faulty: int = 0
    checked: int = 0
    full: int = 0
    receipts: Receipts = field(default_factory=Receipts)

    def add_faults(self, culprit: str, problems: list[str]) -> None:
        if problems:
            self.faulty += 1
            if len(self.faults) < FAULTS_SHOWN_MAX:
                self.faults.append(f"{culprit}: {'; '.join(problems)}")

    @property
    def is_ok(self) -> bool:
        return self.faulty == 0


class Judge:
    """Checks every user once."""

    def __init__(self, database: Database, loaded: LoadedUsers, day: Day) -> None:
        self._database = database
        self._loaded = loaded
        self._day = day
        self._verdict = Verdict()

    def judge(self, report: Callable[[int], None]) -> Verdict:
        verdict = self._verdict
        verdict.receipts = Receipts.read(self._database, self._day)
        for document in self._database.scan("users", PAGE):
            self._judge_user(document)
            verdict.checked += 1
            if verdict.checked % REPORT_EVERY == 0:
                report(verdict.checked)
        self._judge_totals()
        return verdict

    def _judge_user(self, document: Any) -> None:
        user_id = document_id(document)
        index = self._loaded.index_of.get(user_id)
        if index is None:
            self._verdict.add_faults(user_id, ["exists, but the demo did not create it"])
            return
        rules = self._loaded.population.rules
        start, final = self._loaded.document(index), get_fields(document.fields)
        expected = expect(rules, start, get_time(document.create_time), self._day.day)
        self._verdict.outcomes[expected.outcome] += 1
        self._verdict.full += expected.is_full
        if expected.outcome is Outcome.FAILED:
            self._verdict.failed.append(user_id)
        spends = self._day.spender.spends_of(index)
        problems = faults(rules, expected, start, final, spends)
        left = after_scan(rules, start, get_time(document.create_time), self._day.day)
        if expected.outcome is Outcome.REFRESHED:
            problems += self._app_field_faults(start, final)
        elif spends.before or spends.after:
            problems += self._app_field_faults(start, final) + self._stamp_faults(left, final, is_full=expected.is_full)
        else:
            problems += self._document_faults(document, start, left, index)
        problems += self._receipt_faults(user_id, expected, final, may_be_met_again=index in self._loaded.changed)
        self._verdict.add_faults(user_id, problems)

    def _document_faults(
        self, document: Any, start: Mapping[str, Any], left: Mapping[str, Any], index: int
    ) -> list[str]:
        """Faults in a document that must be unchanged but for `dueOn`. If `dueOn` was right, it must not be written."""
        problems = []
        if left is start and update_time_ns(document) != self._loaded.update_times[index]:
            problems.append("was written, though there was nothing to do")
        if serialize_values(document) != serialize(left):
            problems.append(f"is {get_fields(document.fields)}, not {left}")
        return problems

    def _stamp_faults(self, left: Mapping[str, Any], final: Mapping[str, Any], *, is_full: bool) -> list[str]:
        """Faults in the stamp of a user who got nothing. A full user who spends early may already be due by date."""
        wanted = [left.get("creditRefresh")]
        if is_full:
            wanted.append({**(wanted[0] or {}), "dueOn": self._day.run_id})
        found = final.get("creditRefresh")
        if serialize({"": found}) in [serialize({"": stamp}) for stamp in wanted]:
            return []
        return [f"has the stamp {found}, not {wanted[0]}"]

    @staticmethod
    def _app_field_faults(start: dict[str, Any], final: dict[str, Any]) -> list[str]:
        """Faults in the app's own fields, which must be unchanged."""
        before, after = ({name: user[name] for name in user.keys() - OURS} for user in (start, final))
        return [] if serialize(before) == serialize(after) else ["a field of the app's has changed"]

    def _receipt_faults(
        self, user_id: str, expected: Expected, final: dict[str, Any], *, may_be_met_again: bool
    ) -> list[str]:
        """Faults in the receipts. A user who was due has one receipt with the stamp's figures. Other users have none.

        Users who signed up or requested credits may have a second receipt, of a job that skipped them.
        """
        receipts = self._verdict.receipts.outcomes.get(user_id, [])
        refreshed = [receipt for receipt in receipts if receipt[0] == "refreshed"]
        if expected.outcome is not Outcome.REFRESHED:
            return [f"was not due, and has {len(receipts)} receipts"] if receipts else []
        if len(refreshed) != 1 or (len(receipts) > 1 and not may_be_met_again):
            return [f"has {len(refreshed)} receipts of a refresh among {len(receipts)}, not one"]
        stamp = final.get("creditRefresh") or {}
        figures = ("refreshed", stamp.get("before"), stamp.get("before", 0) + stamp.get("granted", 0))
        problems = [] if refreshed[0] == figures else [f"has the receipt {refreshed[0]}, and the stamp {figures}"]
        at, midnight = stamp.get("refreshedAt"), self._day.at(0)
        if not isinstance(at, datetime) or not timedelta() <= at - midnight < timedelta(hours=25):
            problems.append(f"was refreshed at {at}")
        self._count_unreported(at)
        return problems

    def _count_unreported(self, refreshed_at: object) -> None:
        """Count a write of the worker that was killed before it could answer."""
        self._verdict.receipts.unreported_writes += refreshed_at == self._day.killed_at

    def _judge_totals(self) -> None:
        verdict, ledger = self._verdict, self._day.ledger
        named = sorted(error["userId"] for error in ledger.errors)
        if verdict.checked != len(self._loaded.index_of):
            verdict.add_faults("users", [f"{verdict.checked} exist, {len(self._loaded.index_of)} were created"])
        if named != sorted(verdict.failed):
            odd = sorted(set(named) ^ set(verdict.failed))
            verdict.add_faults("errors", [f"not each named exactly once: {odd[:10] or named[:10]}"])
        if verdict.receipts.unsettled:
            verdict.add_faults("jobs", [f"{verdict.receipts.unsettled} are not settled at the end of the day"])
        if verdict.receipts.jobs < ledger.jobs_created:
            verdict.add_faults("jobs", [f"{ledger.jobs_created} were created, {verdict.receipts.jobs} exist"])
