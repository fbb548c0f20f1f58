"""Spans are sent to the configured collector."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.servers import server
from tests.support.world import World

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@contextmanager
def collector(received: list):
    """An OTLP/HTTP collector that keeps what it receives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def test_a_call_is_a_span_of_its_caller_s_trace(tmp_path):
    """The span has the function's name and is sent before the answer."""
    received = []
    project = World().settings.project
    with (
        collector(received) as url,
        server(
            "credit_refresh_worker",
            tmp_path / "log",
            GOOGLE_CLOUD_PROJECT=project,
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_EXPORTER_OTLP_COMPRESSION="none",
            K_SERVICE="credit-refresh-worker",
        ) as worker,
    ):
        received.clear()  # the request that checked whether the function is up
        reply = worker.request("POST", b"{}", traceparent=f"00-{TRACE}-{SPAN}-01")

    assert reply.status == 200
    ((path, sent),) = received
    assert path == "/v1/traces"
    (resource,) = sent.resource_spans
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("credit_refresh_worker", TRACE, SPAN)
    assert "credit-refresh-worker" in {each.value.string_value for each in resource.resource.attributes}


def test_a_collector_that_is_gone_fails_no_call(tmp_path):
    """Only the spans are lost."""
    with server(
        "credit_refresh_worker",
        tmp_path / "log",
        GOOGLE_CLOUD_PROJECT=World().settings.project,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    ) as worker:
        assert worker.request("POST", b"{}").status == 200
