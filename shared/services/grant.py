"""Granting: one optimistic loop for the worker, the direct refresh and the adoption.

Read phase, validation at commit: the first round writes on what the caller has read already, each write under the
precondition of what was read. Whoever changed since is read and decided afresh in the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from shared import logs
from shared.core.decision import Decision, Grant, Landed, Skip, SkipReason, decide
from shared.core.errors import StoreError, SystemFailureError, UserError
from shared.core.outcomes import Outcome
from shared.core.users import User, read_user
from shared.services.context import Context
from shared.store.users import StampWrite, UserDocument, UserStore, WriteStatus
from shared.store.wire import Wire

T = TypeVar("T")
Instead = Callable[[str], Outcome]  # what to make of a user who would be granted

ROUNDS_MAX = 5  # a document that changes faster than this is left to a retry


@dataclass(frozen=True, slots=True)
class Target:
    """A user to refresh, with what is known of its document; `user` None with an update time: it has no balance."""

    user_id: str
    update_time_ns: int | None = None
    user: User | None = None

    @property
    def must_be_read(self) -> bool:
        return self.update_time_ns is None


@dataclass(frozen=True, slots=True)
class Purpose:
    """On whose behalf users are granted: the root job's id and the day.

    `adopting`: stamp the period, grant nothing. `instead`: what to make of those who would be granted; then nothing
    is written, and only what landed before is found.
    """

    job_id: str
    day: date
    adopting: bool = False
    instead: Instead | None = None


class Granter:
    """Refreshes targets to the end, whatever happens to their documents meanwhile."""

    def __init__(self, context: Context, wire: Wire, purpose: Purpose) -> None:
        self._context = context
        self._wire = wire
        self._users: UserStore = context.users(wire)
        self._purpose = purpose
        self._outcomes: dict[str, Outcome] = {}
        self._reasons: dict[str, tuple[str, str]] = {}  # why a user has to be tried again: code and message
        self._must_wait = False
        self.conflicts = 0

    def refresh(self, targets: Sequence[Target]) -> list[Outcome]:
        """One outcome a target. Raises SystemFailureError when the database can't be reached."""
        pending = list(targets)
        for number in range(1, ROUNDS_MAX + 1):
            known, now = self._read(pending), self._context.clock()
            pending = self._write([write for target in known if (write := self._decided(target, now)) is not None])
            if not pending:
                break
            if self._must_wait:
                self._wire.back_off(number)
        for target in self._read(pending):  # the last write may have landed, its reply lost
            self._decided(target, now, self._left_to_a_retry)
        return [self._outcomes[target.user_id] for target in targets]

    def _read(self, targets: Sequence[Target]) -> list[Target]:
        """The targets with what their documents say now; those that are gone or can't be read are settled."""
        unread = [target.user_id for target in targets if target.must_be_read]
        if not unread:
            return list(targets)
        documents = self._users.read(unread)
        known = [target for target in targets if not target.must_be_read]
        for user_id in unread:
            document = documents.get(user_id)
            if document is None:
                self._settle(Outcome.skipped(user_id, SkipReason.DELETED))
            elif isinstance(document, SystemFailureError):
                self._settle(Outcome.retry(user_id, "read_failed", str(document)))
            elif isinstance(document, StoreError):
                self._settle(Outcome.failed(user_id, "read_rejected", str(document)))
            else:
                known += self._checked(document)
        return known

    def _checked(self, document: UserDocument) -> list[Target]:
        target = target_of(self._context, document)
        if isinstance(target, Target):
            return [target]
        self._settle(target)
        return []

    def _decided(self, target: Target, now: datetime, instead: Instead | None = None) -> StampWrite | None:
        """The write a target needs; None once it is settled without one."""
        instead = instead or self._purpose.instead
        match guarded(target.user_id, lambda: self._decide(target)):
            case Grant() if instead is not None:
                self._settle(instead(target.user_id))
            case Grant() as grant:
                return self._stamp_write(target, grant, now)
            case Skip(reason):
                self._settle(Outcome.skipped(target.user_id, reason))
            case Landed(before, after):
                self._settle(Outcome.refreshed(target.user_id, before, after))
            case Outcome() as failed:
                self._settle(failed)
        return None

    def _decide(self, target: Target) -> Decision:
        return decide(target.user, self._context.plans, self._purpose.day, self._purpose.job_id)

    def _stamp_write(self, target: Target, grant: Grant, now: datetime) -> StampWrite:
        return StampWrite(
            user_id=target.user_id,
            update_time_ns=target.update_time_ns or 0,
            grant=grant,
            job_id=self._purpose.job_id,
            refreshed_at=now,
            next_at=self._context.schedule.slot_start(grant.period.end, target.user_id),
            adopting=self._purpose.adopting,
        )

    def _write(self, writes: Sequence[StampWrite]) -> list[Target]:
        """Make the writes; whoever's is not made is returned, to be read and decided again."""
        again = []
        self._must_wait = False
        for write, result in zip(writes, self._users.write(writes), strict=True):
            match result.status:
                case WriteStatus.WRITTEN:
                    self._settle(self._written(write))
                case WriteStatus.REJECTED:
                    self._settle(Outcome.failed(write.user_id, "write_rejected", result.message))
                case WriteStatus.CHANGED:
                    self.conflicts += 1
                    self._reasons[write.user_id] = ("contention", "the document keeps changing under the refresh")
                    again.append(Target(write.user_id))
                case WriteStatus.TRANSIENT:
                    self._must_wait = True
                    self._reasons[write.user_id] = ("write_failed", result.message)
                    again.append(Target(write.user_id))
        return again

    def _left_to_a_retry(self, user_id: str) -> Outcome:
        return Outcome.retry(user_id, *self._reasons[user_id])

    def _written(self, write: StampWrite) -> Outcome:
        if write.adopting:
            return Outcome.skipped(write.user_id, SkipReason.ADOPTED)
        return Outcome.refreshed(write.user_id, write.grant.before, write.grant.after)

    def _settle(self, outcome: Outcome) -> None:
        self._outcomes[outcome.user_id] = outcome


def target_of(context: Context, document: UserDocument) -> Target | Outcome:
    """A document as a target, or the outcome of one that can't be: a bad value fails this user alone."""
    user = guarded(document.user_id, lambda: read_user(document.raw, context.schedule.zone))
    return user if isinstance(user, Outcome) else Target(document.user_id, document.update_time_ns, user)


def guarded(user_id: str, step: Callable[[], T]) -> T | Outcome:
    """Whatever a step raises for one user is that user's failure; only the database's own state is everybody's."""
    try:
        return step()
    except UserError as exc:
        return Outcome.failed(user_id, exc.code, str(exc))
    except SystemFailureError:
        raise
    except Exception as exc:  # noqa: BLE001 (one user's data must not stop the others)
        logs.error("user_step_failed", f"unexpected {type(exc).__name__}", exc_info=True, userId=user_id)
        return Outcome.failed(user_id, "internal", f"unexpected {type(exc).__name__}; see the log")
