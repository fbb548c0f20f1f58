"""The wire: the RPCs that the system makes. Each is billed, bounded in time, and retried in one place."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.cloud.firestore_v1.types import firestore
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from shared.core.errors import (
    ConflictError,
    MissingIndexError,
    OutOfTimeError,
    RejectedError,
    StoreError,
    SystemFailureError,
)
from shared.store.breaker import Breaker
from shared.store.budget import Budget
from shared.store.cost import Cost
from shared.store.values import nanoseconds, put_nanoseconds

T = TypeVar("T")

TRIES_MAX = 4  # one try, then three more after up to 1, 2 and 4 s
WAIT_SECONDS_MAX = 4
READ_SECONDS_MAX = 20.0  # deadline of each try
WRITE_SECONDS_MAX = 10.0
LOCK_SECONDS_MAX = 5.0  # of each of the two calls of a transaction

BatchWritePb = firestore.BatchWriteRequest.pb()
AggregationPb = firestore.RunAggregationQueryRequest.pb()
CommitPb = firestore.CommitRequest.pb()
RunQueryPb = firestore.RunQueryRequest.pb()
BatchGetPb = firestore.BatchGetDocumentsRequest.pb()

COUNTED_A_READ = 1000  # one read is billed for this many index entries of a count

# A connection whose packets are dropped on the way says nothing. Instances idle between calls, so that is an ordinary
# case. A ping without an answer ends such a connection, and the next try opens another. Pings go out only while a call
# waits, every 30 s at most, as in the official client: servers end connections that ping more often.
KEEPALIVE_MS = 30_000
PING_TIMEOUT_MS = 5_000

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Streams are read in the calling thread, which is two to three times faster.
    ("SingleThreadedUnaryStream", 1),
    # After an outage connect again within seconds. By default the wait grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),  # without this it is a minute, in spite of the line before
    ("grpc.keepalive_permit_without_calls", 0),
]


class TransientError(SystemFailureError):
    """The call failed for a passing reason."""


class FaultError(TransientError):
    """The database failed on this request. A part of the request may succeed."""


class OverloadError(TransientError):
    """The database refused most writes of a call one by one for passing reasons: it is overloaded."""


# google.rpc.Codes with which a write is refused for a passing reason: all but those that blame the write itself
# (INVALID_ARGUMENT 3, OUT_OF_RANGE 11) or its precondition (NOT_FOUND 5, FAILED_PRECONDITION 9). A missing role (7),
# bad credentials (16) and a method that is not there (12) pass when somebody mends the project.
PASSING_CODES = frozenset({1, 2, 4, 6, 7, 8, 10, 12, 13, 14, 15, 16})

# The message of NOT_FOUND if there is no database.
_NO_DATABASE = re.compile(r"\bdatabase\b.*\bdoes not exist\b", re.IGNORECASE)

# The answers to a Commit whose precondition does not hold, or whose document is gone.
_CONFLICTS = (exceptions.FailedPrecondition, exceptions.AlreadyExists, exceptions.NotFound)

# By the library's exception; the first that fits counts. All others are transient.
_TRANSLATIONS: list[tuple[tuple[type[Exception], ...], Callable[[str], StoreError]]] = [
    ((exceptions.ServiceUnavailable, exceptions.GatewayTimeout, exceptions.TooManyRequests), TransientError),
    ((exceptions.InvalidArgument, exceptions.OutOfRange), RejectedError),
    ((exceptions.InternalServerError, exceptions.Unknown, exceptions.DataLoss), FaultError),
    (
        (exceptions.Unauthorized, exceptions.Forbidden, exceptions.NotFound, exceptions.MethodNotImplemented),
        lambda message: SystemFailureError(f"{message}; check project, database and the service account's roles"),
    ),
    (
        (exceptions.FailedPrecondition,),  # a query's index is missing or still being built
        lambda message: MissingIndexError(f"{message}; deploy firestore.indexes.json, or wait until it is built"),
    ),
    ((GoogleAuthError,), lambda message: SystemFailureError(f"{message}; check the credentials")),
]


def translate(exc: Exception, rpc: str) -> StoreError:
    """Our error for an exception of the client library."""
    message = f"{rpc}: {getattr(exc, 'message', None) or exc.__class__.__name__}"[:300]
    if isinstance(exc, _CONFLICTS) and rpc == "Commit" and not _NO_DATABASE.search(message):
        return ConflictError(message)
    for kinds, error in _TRANSLATIONS:
        if isinstance(exc, kinds):
            return error(message)
    return TransientError(message)


def copy_message(message: Any, made: Any) -> None:
    message.CopyFrom(made)


def open_client(emulator_host: str | None) -> FirestoreClient:
    """The generated client: for the emulator, or with the credentials of the environment."""
    if emulator_host:
        channel = grpc.insecure_channel(emulator_host, options=CHANNEL_OPTIONS)
        return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))
    return FirestoreClient(transport=FirestoreGrpcTransport(channel=_secure_channel))


def _secure_channel(host: str, **kwargs: Any) -> grpc.Channel:
    options = [*kwargs.pop("options", ()), *CHANNEL_OPTIONS]
    return FirestoreGrpcTransport.create_channel(host, options=options, **kwargs)


@dataclass(frozen=True, slots=True)
class Written:
    """How one write of a BatchWrite ended: a google.rpc.Code. `retried`: an earlier try may have landed."""

    code: int
    message: str
    update_time_ns: int
    retried: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """What an instance makes once: the client, the database's name, the breaker."""

    client: FirestoreClient
    database: str  # projects/P/databases/D
    emulated: bool
    breaker: Breaker

    @property
    def documents(self) -> str:
        return f"{self.database}/documents"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        prefix = (("google-cloud-resource-prefix", self.database),)
        return (("authorization", "Bearer owner"), *prefix) if self.emulated else prefix


@dataclass(frozen=True, slots=True)
class Wire:
    """One call's use of the connection: its cost and its time budget.

    `bypasses_breaker`: it makes calls even while the circuit breaker is open.
    """

    connection: Connection
    budget: Budget
    cost: Cost
    bypasses_breaker: bool = False

    def within(self, budget: Budget) -> Wire:
        return replace(self, budget=budget)

    def charging(self, cost: Cost) -> Wire:
        return replace(self, cost=cost)

    def bypassing_breaker(self) -> Wire:
        """A wire that works while the breaker is open, to settle a job, or release a claim or a lease."""
        return replace(self, bypasses_breaker=True)

    @property
    def documents(self) -> str:
        return self.connection.documents

    def back_off(self, tries: int, seconds_first: float = 1.0) -> None:
        """Wait like between two tries of a call, before a part of a request is sent again.

        `seconds_first` is the longest wait after the first try; each try doubles it.
        """
        seconds = random.uniform(0, min(WAIT_SECONDS_MAX, seconds_first * 2 ** (tries - 1)))  # noqa: S311 (jitter)
        time.sleep(min(seconds, self.budget.remaining_seconds))

    def run_query(self, parent: str, query: Any, taken: Callable[[Any], T], read_time_ns: int | None = None) -> list[T]:
        """The result of `taken` for each document that a StructuredQuery finds. Billed: a read for each, at least one.

        It is computed as documents arrive, because their messages take several times the memory. `read_time_ns`: the
        moment, by the database's clock, at which documents are read; None: now.
        """
        pb = RunQueryPb(parent=parent, structured_query=query)
        if read_time_ns is not None:
            put_nanoseconds(pb.read_time, read_time_ns)
        request = firestore.RunQueryRequest.wrap(pb)

        def read(**kwargs: Any) -> list[T]:
            answers = map(firestore.RunQueryResponse.pb, self.connection.client.run_query(**kwargs))
            return [taken(pb.document) for pb in answers if pb.HasField("document")]

        found, _ = self._call("RunQuery", read, request, READ_SECONDS_MAX)
        self.cost.add(reads=max(1, len(found)))
        return found

    def count(self, parent: str, query: Any, up_to: int | None, read_time_ns: int | None = None) -> int:
        """How many documents a StructuredQuery finds; at most `up_to`, unless that is None.

        Billed: one read a thousand, at least one. `read_time_ns`: as of run_query.
        """
        pb = AggregationPb(parent=parent)
        pb.structured_aggregation_query.structured_query.CopyFrom(query)
        aggregation = pb.structured_aggregation_query.aggregations.add(alias="found")
        aggregation.count.SetInParent()
        if up_to is not None:
            aggregation.count.up_to.value = up_to
        if read_time_ns is not None:
            put_nanoseconds(pb.read_time, read_time_ns)
        request = firestore.RunAggregationQueryRequest.wrap(pb)
        responses = self._stream("RunAggregationQuery", self.connection.client.run_aggregation_query, request)
        answers = map(firestore.RunAggregationQueryResponse.pb, responses)
        found = sum(answer.result.aggregate_fields["found"].integer_value for answer in answers)
        self.cost.add(reads=max(1, -(-found // COUNTED_A_READ)))
        return int(found)

    def batch_get(
        self,
        names: Sequence[str],
        fields: Sequence[str],
        read_time_ns: int | None = None,
        *,
        faults_retried: bool = True,
    ) -> dict[str, Any]:
        """Documents by name. Only the given fields are read (all, if none is given). Missing documents are left out.

        Billed: a read for each name, found or not. `read_time_ns`: as of run_query. `faults_retried`: False where the
        caller makes smaller requests of one that the database breaks on.
        """
        return self.batch_get_timed(names, fields, read_time_ns, faults_retried=faults_retried)[0]

    def batch_get_timed(
        self,
        names: Sequence[str],
        fields: Sequence[str],
        read_time_ns: int | None = None,
        *,
        faults_retried: bool = True,
    ) -> tuple[dict[str, Any], int]:
        """Like batch_get, with the moment (ns, by the database's clock) at which the documents were read."""
        pb = BatchGetPb(database=self.connection.database, documents=names)
        if fields:
            pb.mask.field_paths.extend(fields)
        if read_time_ns is not None:
            put_nanoseconds(pb.read_time, read_time_ns)
        request = firestore.BatchGetDocumentsRequest.wrap(pb)
        method = self.connection.client.batch_get_documents
        responses = self._stream("BatchGetDocuments", method, request, faults_retried=faults_retried)
        self.cost.add(reads=len(names))
        answers = list(map(firestore.BatchGetDocumentsResponse.pb, responses))
        found = {pb.found.name: pb.found for pb in answers if pb.HasField("found")}
        moment = nanoseconds(answers[-1].read_time)
        return found, moment - moment % 1000  # Firestore reads at whole microseconds only

    def get(self, name: str) -> Any | None:
        """One whole document, or None. Billed: one read."""
        return self.batch_get([name], ()).get(name)

    def batch_write(
        self,
        writes: Sequence[T],
        encode: Callable[[Any, T], None] = copy_message,
        *,
        part_of: int | None = None,
        faults_retried: bool = True,
    ) -> list[Written]:
        """Writes that succeed or fail one by one. Billed: those that succeed.

        `encode` fills the Write message of each. A message that was made before costs a copy of it. `part_of`: how many
        writes there were at first, if these are only the rest of them. When more than half of so many are refused for a
        passing reason, the whole call counts as failed. `faults_retried`: see batch_get.
        """
        pb = BatchWritePb(database=self.connection.database)
        for write in writes:
            encode(pb.writes.add(), write)
        request = firestore.BatchWriteRequest.wrap(pb)

        def send(**kwargs: Any) -> Any:
            response = firestore.BatchWriteResponse.pb(self.connection.client.batch_write(**kwargs))
            self.cost.add(writes=sum(status.code == 0 for status in response.status))
            _check_load(response.status, part_of or len(writes))
            return response

        response, tries = self._call("BatchWrite", send, request, WRITE_SECONDS_MAX, faults_retried=faults_retried)
        return [
            Written(status.code, status.message, nanoseconds(result.update_time), retried=tries > 1)
            for status, result in zip(response.status, response.write_results, strict=True)
        ]

    def lock(self, name: str, fields: Sequence[str]) -> tuple[Any | None, bytes]:
        """Lock one document. Returns it (or None) and the transaction. Other writes wait for `commit_locked`.

        Billed: one read. Raises ConflictError if somebody else holds it for too long.
        """
        pb = BatchGetPb(database=self.connection.database, documents=[name])
        pb.mask.field_paths.extend(fields)
        pb.new_transaction.read_write.SetInParent()
        request = firestore.BatchGetDocumentsRequest.wrap(pb)
        method = _raising_conflicts(lambda **kwargs: list(self.connection.client.batch_get_documents(**kwargs)))
        responses, _ = self._call("BatchGetDocuments", method, request, LOCK_SECONDS_MAX)
        self.cost.add(reads=1)
        answers = list(map(firestore.BatchGetDocumentsResponse.pb, responses))
        found = next((pb.found for pb in answers if pb.HasField("found")), None)
        return found, next(pb.transaction for pb in answers if pb.transaction)

    def commit_locked(self, writes: Sequence[Any], transaction: bytes) -> None:
        """Commit the writes of a transaction, or only release its locks. Raises ConflictError if it was aborted."""
        pb = CommitPb(database=self.connection.database, writes=writes, transaction=transaction)
        method = _raising_conflicts(self.connection.client.commit)
        self._call("Commit", method, firestore.CommitRequest.wrap(pb), LOCK_SECONDS_MAX)
        self.cost.add(writes=len(writes))

    def commit(self, writes: Sequence[Any]) -> list[int]:
        """Make all writes or none. Returns the update times (ns). Raises ConflictError if a precondition fails."""
        request = firestore.CommitRequest.wrap(CommitPb(database=self.connection.database, writes=writes))
        try:
            answer, _ = self._call("Commit", self.connection.client.commit, request, WRITE_SECONDS_MAX)
        except ConflictError as exc:
            if any(write.HasField("current_document") for write in writes):
                raise
            raise SystemFailureError(
                f"{exc}; nothing was required of any document: check project and database"
            ) from exc
        self.cost.add(writes=len(writes))
        return [nanoseconds(result.update_time) for result in firestore.CommitResponse.pb(answer).write_results]

    def _stream(
        self, rpc: str, method: Callable[..., Iterable[Any]], request: Any, *, faults_retried: bool = True
    ) -> list[Any]:
        responses, _ = self._call(
            rpc, lambda **kwargs: list(method(**kwargs)), request, READ_SECONDS_MAX, faults_retried=faults_retried
        )
        return responses

    def _call(
        self, rpc: str, method: Callable[..., T], request: Any, seconds_max: float, *, faults_retried: bool = True
    ) -> tuple[T, int]:
        """Make one call with its retries, and record the result. Returns the answer and the number of tries."""
        breaker, retrying = self.connection.breaker, self._retrying(faults_retried=faults_retried)
        if not self.bypasses_breaker:
            breaker.before_call()
        try:
            answer = retrying(self._try_once, rpc, method, request, seconds_max)
        except (OutOfTimeError, FaultError):
            breaker.record_inconclusive()  # inconclusive, or about this request alone
            raise
        except SystemFailureError as exc:
            if self.budget.remaining_seconds == 0 and retrying.statistics["attempt_number"] == 1:
                breaker.record_inconclusive()
                raise OutOfTimeError(f"{rpc}: no time left for an answer") from exc
            breaker.record_failure()
            raise
        except ConflictError as exc:
            breaker.record_success()
            # If an earlier reply was lost, the conflict may be with our own first try.
            exc.may_be_our_own = retrying.statistics["attempt_number"] > 1
            raise
        except StoreError:
            breaker.record_success()
            raise
        except BaseException:
            breaker.record_inconclusive()
            raise
        breaker.record_success()
        return answer, retrying.statistics["attempt_number"]

    def _try_once(self, rpc: str, method: Callable[..., T], request: Any, seconds_max: float) -> T:
        seconds = min(seconds_max, self.budget.remaining_seconds)
        if seconds <= 0:
            raise OutOfTimeError(f"{rpc}: no time left")
        try:
            return method(request=request, retry=None, timeout=seconds, metadata=self.connection.metadata)
        except (exceptions.GoogleAPICallError, GoogleAuthError) as exc:
            raise translate(exc, rpc) from exc

    def _retrying(self, *, faults_retried: bool) -> Retrying:
        final = () if faults_retried else (FaultError,)
        return Retrying(
            stop=stop_after_attempt(TRIES_MAX) | stop_before_delay(self.budget.remaining_seconds),
            wait=wait_random_exponential(multiplier=1, max=WAIT_SECONDS_MAX),
            retry=retry_if_exception(lambda exc: isinstance(exc, TransientError) and not isinstance(exc, final)),
            reraise=True,
        )


def _raising_conflicts(method: Callable[..., T]) -> Callable[..., T]:
    """The method, with ABORTED as a conflict. In a transaction it means that somebody else holds the document."""

    def call(**kwargs: Any) -> T:
        try:
            return method(**kwargs)
        except exceptions.Aborted as exc:
            raise ConflictError(f"transaction aborted: {exc.message}"[:300]) from exc

    return call


def _check_load(statuses: Sequence[Any], writes: int) -> None:
    """Raise OverloadError if more than half of the writes were refused for a passing reason."""
    refused = [status for status in statuses if status.code in PASSING_CODES]
    if 2 * len(refused) > writes:
        message = f"{len(refused)} of {writes} writes were refused for a passing reason"
        raise OverloadError(f"BatchWrite: {message}; the first: {refused[0].message[:200]}")
