"""The end of the day: every user's document and every receipt, compared with what must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dev.database import Database, document_id, serialized, serialized_values, update_time_ns
from dev.day import JOBS, Day
from dev.loading import PAGE, Loaded
from dev.oracle import Expected, Fate, after_look, expect, faults
from shared.store.values import get_fields, get_time

TOLD_EVERY = 1000
JOB_PAGE = 50
OURS = {"credits", "creditRefresh"}
FAULTS_SHOWN_MAX = 20


@dataclass(slots=True)
class Receipts:
    """The receipts of each user, and the settled jobs' own counts."""

    jobs: int = 0
    unsettled: int = 0
    signed_up: int = 0
    taken_over: int = 0
    outcomes: dict[str, list[tuple[str, Any, Any]]] = field(default_factory=dict)
    unreported_reads: int = 0
    unreported_writes: int = 0

    @classmethod
    def read(cls, database: Database, day: Day) -> Receipts:
        """Of the jobs of that day."""
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
            told = (receipt["outcome"], receipt["before"], receipt["after"])
            self.outcomes.setdefault(receipt["userId"], []).append(told)


@dataclass(slots=True)
class Verdict:
    """Users by fate, the unreported cost of the killed worker, and all faults."""

    fates: Counter[Fate] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    faulty: int = 0
    checked: int = 0
    full: int = 0
    receipts: Receipts = field(default_factory=Receipts)

    def blame(self, culprit: str, problems: list[str]) -> None:
        if problems:
            self.faulty += 1
            if len(self.faults) < FAULTS_SHOWN_MAX:
                self.faults.append(f"{culprit}: {'; '.join(problems)}")

    @property
    def is_ok(self) -> bool:
        return self.faulty == 0


class Judge:
    """Checks every user once."""

    def __init__(self, database: Database, loaded: Loaded, day: Day) -> None:
        self._database = database
        self._loaded = loaded
        self._day = day
        self._verdict = Verdict()

    def judge(self, tell: Callable[[int], None]) -> Verdict:
        verdict = self._verdict
        verdict.receipts = Receipts.read(self._database, self._day)
        for document in self._database.scan("users", PAGE):
            self._judge_user(document)
            verdict.checked += 1
            if verdict.checked % TOLD_EVERY == 0:
                tell(verdict.checked)
        self._judge_totals()
        return verdict

    def _judge_user(self, document: Any) -> None:
        user_id = document_id(document)
        index = self._loaded.index_of.get(user_id)
        if index is None:
            self._verdict.blame(user_id, ["is not one of those who were made"])
            return
        rules = self._loaded.population.rules
        start, final = self._loaded.document(index), get_fields(document.fields)
        expected = expect(rules, start, get_time(document.create_time), self._day.day)
        self._verdict.fates[expected.fate] += 1
        self._verdict.full += expected.is_full
        if expected.fate is Fate.FAILED:
            self._verdict.failed.append(user_id)
        spends = self._day.spender.spends_of(index)
        problems = faults(rules, expected, start, final, spends)
        left = after_look(rules, start, get_time(document.create_time), self._day.day)
        if expected.fate is Fate.REFRESHED:
            problems += self._left_alone(start, final)
        elif spends.before or spends.after:
            problems += self._left_alone(start, final) + self._stamp_faults(left, final, is_full=expected.is_full)
        else:
            problems += self._untouched(document, start, left, index)
        problems += self._receipt_faults(user_id, expected, final, may_be_met_again=index in self._loaded.since)
        self._verdict.blame(user_id, problems)

    def _untouched(self, document: Any, start: Mapping[str, Any], left: Mapping[str, Any], index: int) -> list[str]:
        """The same bytes, but for `dueOn` where that had to be mended; if not, the same update time, too."""
        problems = []
        if left is start and update_time_ns(document) != self._loaded.update_times[index]:
            problems.append("was written, though there was nothing to do")
        if serialized_values(document) != serialized(left):
            problems.append(f"is {get_fields(document.fields)}, not {left}")
        return problems

    def _stamp_faults(self, left: Mapping[str, Any], final: Mapping[str, Any], *, is_full: bool) -> list[str]:
        """A full user who spends before the look's own write is low by then, and may be found by date as well."""
        wanted = [left.get("creditRefresh")]
        if is_full:
            wanted.append({**(wanted[0] or {}), "dueOn": self._day.run_id})
        found = final.get("creditRefresh")
        if serialized({"": found}) in [serialized({"": stamp}) for stamp in wanted]:
            return []
        return [f"has the stamp {found}, not {wanted[0]}"]

    @staticmethod
    def _left_alone(start: dict[str, Any], final: dict[str, Any]) -> list[str]:
        """The app's own fields are unchanged."""
        before, after = ({name: user[name] for name in user.keys() - OURS} for user in (start, final))
        return [] if serialized(before) == serialized(after) else ["a field of the app's has changed"]

    def _receipt_faults(
        self, user_id: str, expected: Expected, final: dict[str, Any], *, may_be_met_again: bool
    ) -> list[str]:
        """A user who was due has one receipt with the stamp's figures. Other users have none.

        A user who signed up or requested credits may have a second receipt, of a job of the day that skipped them.
        """
        told = self._verdict.receipts.outcomes.get(user_id, [])
        refreshed = [receipt for receipt in told if receipt[0] == "refreshed"]
        if expected.fate is not Fate.REFRESHED:
            return [f"was not due, and has {len(told)} receipts"] if told else []
        if len(refreshed) != 1 or (len(told) > 1 and not may_be_met_again):
            return [f"has {len(refreshed)} receipts of a refresh among {len(told)}, not one"]
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
            verdict.blame("users", [f"{verdict.checked} are there, {len(self._loaded.index_of)} were made"])
        if named != sorted(verdict.failed):
            odd = sorted(set(named) ^ set(verdict.failed))
            verdict.blame("errors", [f"not named once each as they ought to be: {odd[:10] or named[:10]}"])
        if verdict.receipts.unsettled:
            verdict.blame("jobs", [f"{verdict.receipts.unsettled} are not settled at the end of the day"])
        if verdict.receipts.jobs < ledger.jobs_created:
            verdict.blame("jobs", [f"{ledger.jobs_created} were created, {verdict.receipts.jobs} are there"])
