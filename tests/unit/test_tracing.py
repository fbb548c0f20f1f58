"""Trace ids on log lines. Nothing of OpenTelemetry is imported where tracing is not configured."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from werkzeug.datastructures import Headers

from shared.edge.tracing import trace_fields
from shared.settings import BUNDLE

TRACE = "0af7651916cd43dd8448eb211c80319c"
NAME = f"projects/p/traces/{TRACE}"


def fields(trace: str, *, sampled: bool, span: str | None = None) -> dict:
    expected = {"logging.googleapis.com/trace": trace, "logging.googleapis.com/trace_sampled": sampled}
    return expected if span is None else {**expected, "logging.googleapis.com/spanId": span}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, fields(NAME, sampled=True, span="b7ad6b7169203331")),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}, fields(NAME, sampled=False, span="b7ad6b7169203331")),
        ({"traceparent": f"00-{TRACE}-0000000000000000-00"}, fields(NAME, sampled=False)),
        ({"traceparent": f"00-{TRACE}"}, {}),
        ({"traceparent": "nonsense"}, {}),
        ({"X-Cloud-Trace-Context": f"{TRACE}/10;o=1"}, fields(NAME, sampled=True, span="000000000000000a")),
        ({"X-Cloud-Trace-Context": f"{TRACE}/10"}, fields(NAME, sampled=False, span="000000000000000a")),
        ({"X-Cloud-Trace-Context": TRACE}, fields(NAME, sampled=False)),
        ({"X-Cloud-Trace-Context": f"{TRACE}/99999999999999999999;o=1"}, None),
        ({"Function-Execution-Id": "abc"}, {"executionId": "abc"}),
        ({"Function-Execution-Id": "x" * 1000}, {"executionId": "x" * 64}),
    ],
)
def test_a_log_line_carries_the_ids_of_its_request(headers, expected):
    """Both headers of the platform are read. A malformed one is ignored."""
    found = trace_fields(Headers(headers), "p")

    if expected is None:
        assert len(found["logging.googleapis.com/spanId"]) == 16
    else:
        assert found == expected


def test_the_w3c_header_comes_first():
    """It is used where a request has both headers."""
    found = trace_fields(
        Headers({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Cloud-Trace-Context": f"{'1' * 32}/1;o=0"}), "p"
    )

    assert found == fields(NAME, sampled=True, span="b7ad6b7169203331")


def test_without_a_project_a_line_names_no_trace():
    """A trace's name begins with the project."""
    assert trace_fields(Headers({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}), None) == {}


def test_nothing_of_opentelemetry_s_sdk_is_imported_unless_it_is_configured():
    """A cold start pays only for what is used. The API package is imported by google-cloud-firestore itself."""
    code = (
        "import sys, main, functions_framework\n"
        "client = functions_framework.create_app('credit_refresh_worker', 'main.py').test_client()\n"
        "assert client.get('/').status_code == 405\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])\n"
        "print([name for name in sys.modules if name.startswith(('google.events', 'google.cloud.scheduler'))])\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=BUNDLE, env=environ, capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout.splitlines()[-2:] == ["[]", "[]"]
