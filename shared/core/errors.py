"""All errors that are raised on purpose. Each message names the culprit and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class CreditRefreshError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(CreditRefreshError):
    """Settings or plans can't be used. `problems` names each thing that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class UserErrorCode(StrEnum):
    """Why one user failed. Every `code` beside a `userId` is one of these. docs/reliability.md says what to do."""

    #: The balance is not a finite number.
    BAD_BALANCE = "bad_balance"
    #: The plan field is not a text.
    BAD_PLAN = "bad_plan"
    #: A field of the stamp has the wrong type.
    BAD_STAMP = "bad_stamp"
    #: The stamp's `override` has an unknown key, a wrong type, or no plan.
    BAD_OVERRIDE = "bad_override"
    #: The number of bought credits is not finite, or no number.
    BAD_PURCHASED = "bad_purchased"
    #: The plan counts from `createdAt`, and that is neither a date nor an unambiguous time; or a parent is no map.
    BAD_CREATED_AT = "bad_created_at"
    #: The user's time zone is not an IANA name. The user does not fail: the schedule's zone is used instead.
    BAD_ZONE = "bad_zone"
    #: The plan is a text, but plans.toml has no plan of that name.
    UNKNOWN_PLAN = "unknown_plan"
    #: The new balance, or the amount granted, does not fit in 64 bits.
    OUT_OF_RANGE = "out_of_range"
    #: Firestore refused to write this document; another try can't help.
    WRITE_REJECTED = "write_rejected"
    #: Firestore refused to read this document; another try can't help.
    READ_REJECTED = "read_rejected"
    #: The document changed before each of our writes.
    CONTENTION = "contention"
    #: Each try at the write failed for a passing reason.
    WRITE_FAILED = "write_failed"
    #: Each try at the read failed for a passing reason.
    READ_FAILED = "read_failed"
    #: Every worker that tried the job ended before it could settle it.
    ATTEMPTS_USED_UP = "attempts_used_up"
    #: The job's document can't be parsed.
    UNREADABLE_JOB = "unreadable_job"
    #: An unexpected exception; the log has the traceback.
    INTERNAL = "internal"


class UserError(CreditRefreshError):
    """One user can't be refreshed. Other users are not concerned. `code` is stable; the message is for people."""

    def __init__(self, code: UserErrorCode, message: str) -> None:
        self.code = code
        super().__init__(message)


class UnreadableJobError(CreditRefreshError):
    """A job document can't be parsed. The job fails alone; other jobs go on."""


class OperatorError(CreditRefreshError):
    """An operator's request can't be done. `code` is stable; `field` is the field of the request that is to blame."""

    def __init__(self, code: str, message: str, field: str) -> None:
        self.code = code
        self.field = field
        super().__init__(message)


class NotFoundError(OperatorError):
    """The job, run or user that an operator named does not exist."""


class NotPossibleError(OperatorError):
    """What an operator wants is not possible at the moment."""


class StoreError(CreditRefreshError):
    """Base of the errors that the store raises."""


class ConflictError(StoreError):
    """A precondition did not hold, because somebody wrote the document first."""

    may_be_our_own = False  # True: that was perhaps our own first try, whose reply was lost


class RejectedError(StoreError):
    """The database refused the request itself (malformed, too large). Another try can't help."""


class UnreadableRunError(RejectedError):
    """A run document can't be parsed."""


class SystemFailureError(StoreError):
    """The database can't be reached, or refuses us. Another try may succeed after `retry_after_seconds`."""

    code = "unavailable"

    def __init__(self, message: str, retry_after_seconds: int = 60) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class MissingIndexError(SystemFailureError):
    """A query has no index. Either the index is still being built, or the field is exempt from indexes."""

    code = "index_missing"


class BreakerOpenError(SystemFailureError):
    """The circuit breaker is open: no call is made until its reset time has passed."""

    code = "breaker_open"


class OutOfTimeError(SystemFailureError):
    """The time budget of the call ended before the request could be answered."""

    code = "out_of_time"
