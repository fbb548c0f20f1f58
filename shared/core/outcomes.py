"""Outcomes of users, and tallies of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from shared.core.decision import SkipReason
from shared.core.errors import UserErrorCode
from shared.core.plans import Balance

ERROR_CHARACTERS_MAX = 200  # an error may quote a user's document, and one document keeps hundreds of errors


class OutcomeKind(StrEnum):
    """How a user's attempt ended. `retry` is not final: a later job tries the user again."""

    REFRESHED = "refreshed"
    SKIPPED = "skipped"
    FAILED = "failed"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One user's outcome. Refreshed: `before`, `after`. Skipped: `reason`. Failed or to be retried: `code`, `error`."""

    user_id: str
    kind: OutcomeKind
    before: Balance | None = None
    after: Balance | None = None
    reason: SkipReason | None = None
    code: UserErrorCode | None = None
    error: str | None = None

    @classmethod
    def refreshed(cls, user_id: str, before: Balance, after: Balance) -> Outcome:
        return cls(user_id, OutcomeKind.REFRESHED, before, after)

    @classmethod
    def skipped(cls, user_id: str, reason: SkipReason) -> Outcome:
        return cls(user_id, OutcomeKind.SKIPPED, reason=reason)

    @classmethod
    def failed(cls, user_id: str, code: UserErrorCode, error: str) -> Outcome:
        return cls(user_id, OutcomeKind.FAILED, code=code, error=error)

    @classmethod
    def retry(cls, user_id: str, code: UserErrorCode, error: str) -> Outcome:
        return cls(user_id, OutcomeKind.RETRY, code=code, error=error)

    @property
    def is_adopted(self) -> bool:
        """True if the user's period was stamped and nothing granted."""
        return self.reason is SkipReason.ADOPTED

    @property
    def is_contended(self) -> bool:
        """True if the user's document changed before each write."""
        return self.kind is OutcomeKind.RETRY and self.code is UserErrorCode.CONTENTION

    def as_left_to_the_next_scan(self) -> Outcome:
        """The outcome of a contended user where there is no later attempt; `code` and `error` still name the user."""
        return replace(self, kind=OutcomeKind.SKIPPED, reason=SkipReason.CONTENDED)

    def as_final_failure(self) -> Outcome:
        """This outcome when there is no later attempt: a user to be tried again has failed."""
        return replace(self, kind=OutcomeKind.FAILED) if self.kind is OutcomeKind.RETRY else self

    def as_receipt(self) -> dict[str, Any]:
        receipt = {"userId": self.user_id, "outcome": self.kind.value, "before": self.before, "after": self.after}
        return receipt if self.reason is None else {**receipt, "reason": self.reason.value}

    def as_error(self) -> dict[str, Any]:
        error = None if self.error is None else self.error[:ERROR_CHARACTERS_MAX]
        return {"userId": self.user_id, "error": error, "code": self.code}


@dataclass(frozen=True, slots=True)
class Tally:
    """Settled users, counted by outcome."""

    refreshed: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def processed(self) -> int:
        return self.refreshed + self.skipped + self.failed

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.refreshed + other.refreshed, self.skipped + other.skipped, self.failed + other.failed)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Tally:
        kinds = [outcome.kind for outcome in outcomes]
        return cls(
            kinds.count(OutcomeKind.REFRESHED), kinds.count(OutcomeKind.SKIPPED), kinds.count(OutcomeKind.FAILED)
        )
