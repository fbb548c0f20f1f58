"""A proxy between functions and emulator. It counts the billed operations of every call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore

from dev.emulator import free_port

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
STREAMS = ("RunQuery", "BatchGetDocuments", "RunAggregationQuery")
COUNTED_A_READ = 1000  # index entries that a count may read at the price of one read
FREE = ("BeginTransaction", "Rollback")


@dataclass
class Bill:
    """Documents read and written, as Firestore would bill them."""

    reads: int = 0
    writes: int = 0
    calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, reads: int = 0, writes: int = 0) -> None:
        with self._lock:
            self.reads += reads
            self.writes += writes
            self.calls += 1

    def add_stream(self, method: str, answers: list[bytes]) -> None:
        """Add a streamed call. A query costs one read a document, and at least one. A look-up costs one read a name,
        found or not. A count costs one read for each thousand, and at least one."""
        if method == "RunQuery":
            found = sum(firestore.RunQueryResponse.pb().FromString(answer).HasField("document") for answer in answers)
            self.add(reads=max(1, found))
        elif method == "RunAggregationQuery":
            self.add(reads=max(1, -(-sum(map(_count_of, answers)) // COUNTED_A_READ)))
        else:
            read = [firestore.BatchGetDocumentsResponse.pb().FromString(answer) for answer in answers]
            self.add(reads=sum(answer.HasField("found") or answer.missing != "" for answer in read))

    def add_call(self, method: str, answer: bytes) -> None:
        """Add a call. A write is billed if it took effect. Raises ValueError for a method without a known price."""
        if method == "BatchWrite":
            self.add(writes=sum(s.code == 0 for s in firestore.BatchWriteResponse.pb().FromString(answer).status))
        elif method == "Commit":
            self.add(writes=len(firestore.CommitResponse.pb().FromString(answer).write_results))
        elif method in FREE:
            self.add()
        else:
            raise ValueError(f"{method} is not billed here")


def _count_of(answer: bytes) -> int:
    result = firestore.RunAggregationQueryResponse.pb().FromString(answer).result
    return sum(int(value.integer_value) for value in result.aggregate_fields.values())


class _Proxy(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc comes without types
    def __init__(self, channel: grpc.Channel, bill: Bill) -> None:
        self._channel, self._bill = channel, bill

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        metadata = [(key, value) for key, value in details.invocation_metadata if not key.startswith(":")]
        metadata = [(key, value) for key, value in metadata if key != "user-agent"]
        if method in STREAMS:
            call = self._channel.unary_stream(details.method)
            return grpc.unary_stream_rpc_method_handler(
                lambda request, _context: self._stream(call, request, metadata, method)
            )
        unary = self._channel.unary_unary(details.method)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(unary, request, metadata, method, context)
        )

    def _stream(self, call: Any, request: bytes, metadata: Any, method: str) -> Iterator[bytes]:
        answers = list(call(request, metadata=metadata, timeout=60))
        self._bill.add_stream(method, answers)
        yield from answers

    def _unary(self, call: Any, request: bytes, metadata: Any, method: str, context: Any) -> bytes:
        try:
            answer: bytes = call(request, metadata=metadata, timeout=60)
        except grpc.RpcError as exc:
            context.abort(exc.code(), exc.details())
        self._bill.add_call(method, answer)
        return answer


@contextmanager
def billing(host: str) -> Iterator[tuple[str, Bill]]:
    """The address of a proxy in front of the emulator, and its bill."""
    bill, address = Bill(), f"127.0.0.1:{free_port()}"
    with grpc.insecure_channel(host, options=OPTIONS) as channel, ThreadPoolExecutor(16) as threads:
        proxy = grpc.server(threads, handlers=[_Proxy(channel, bill)], options=OPTIONS)
        if proxy.add_insecure_port(address) == 0:
            raise OSError(f"{address} can't be listened on")
        proxy.start()
        try:
            yield address, bill
        finally:
            proxy.stop(grace=5).wait()
