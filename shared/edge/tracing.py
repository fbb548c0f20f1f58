"""Traces: the caller's ids on every log line, and a span for each call where OpenTelemetry is configured.

Spans are off unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) is set. While they are off, no package of
OpenTelemetry is imported. When it is set, the bundle needs the packages of `deploy/requirements-tracing.txt`. Without
them the instance logs one error and goes on without spans.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.datastructures import Headers

from shared import logs
from shared.edge.instance import once

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE_NAME = "credit-refresh"
EXPORT_SECONDS_MAX = 3  # the longest delay of an answer by a collector that hangs

# W3C: version, trace, span and flags, all in hexadecimal. Google's own: the span is decimal.
_W3C = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f](?P<flags>[0-9a-f])")
_GOOGLE = re.compile(r"(?P<trace>[0-9a-f]{32})(?:/(?P<span>[0-9]{1,20}))?(?:;o=(?P<flags>[0-9]))?")


def trace_fields(headers: Headers, project: str | None) -> dict[str, Any]:
    """The fields by which Cloud Logging finds a line's request: trace, span, sampled, execution id."""
    fields: dict[str, Any] = {}
    found = _W3C.match(headers.get("traceparent", ""))
    span = found["span"] if found else ""
    if not found and (found := _GOOGLE.match(headers.get("X-Cloud-Trace-Context", ""))):
        span = f"{int(found['span'] or 0) % 2**64:016x}"
    if found and project:
        fields["logging.googleapis.com/trace"] = f"projects/{project}/traces/{found['trace']}"
        fields["logging.googleapis.com/trace_sampled"] = bool(int(found["flags"] or "0", 16) & 1)
        if span.strip("0"):
            fields["logging.googleapis.com/spanId"] = span
    if execution_id := headers.get("Function-Execution-Id", ""):
        fields["executionId"] = execution_id[:64]
    return fields


@contextmanager
def span(name: str, headers: Headers) -> Iterator[None]:
    """A span around a call, as a child of the caller's span. Does nothing unless OpenTelemetry is configured."""
    tracer = _tracer() if any(os.environ.get(variable) for variable in ENDPOINTS) else None
    if tracer is None:
        yield
        return
    from opentelemetry.propagate import extract  # noqa: PLC0415 (not imported unless configured)
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    carrier = {key.lower(): value for key, value in headers.items()}
    with tracer.start_as_current_span(name, context=extract(carrier), kind=SpanKind.SERVER):
        yield


@once
def _tracer() -> Any | None:
    """The instance's tracer. It sends each span as it ends, because an instance has no CPU between requests."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    except ImportError as exc:
        logs.error(
            "tracing_unavailable",
            f"{exc}; put deploy/requirements-tracing.txt in place of requirements.txt, or unset {ENDPOINTS[0]}",
        )
        return None
    resource = Resource.create({"service.name": os.environ.get("K_SERVICE", SERVICE_NAME)})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(timeout=EXPORT_SECONDS_MAX)))
    return provider.get_tracer(SERVICE_NAME)
