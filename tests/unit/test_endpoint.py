"""The error boundary: which answer each failure becomes, and what the answer leaves out."""

from __future__ import annotations

import pytest
from flask import Flask, request

from shared.core.errors import (
    BreakerOpenError,
    ConfigurationError,
    ConflictError,
    OutOfTimeError,
    RejectedError,
    SystemFailureError,
    UnreadableRunError,
)
from shared.edge.endpoint import error_boundary

SECRET = "projects/acme/databases/(default)/documents/users/ann: no document to update"


def answer_to(exc):
    def fail(_request):
        raise exc

    app = Flask("any")
    app.add_url_rule("/", view_func=lambda: error_boundary(fail)(request), methods=["POST"])
    return app.test_client().post("/")


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (SystemFailureError(SECRET), 503, "unavailable"),
        (OutOfTimeError(SECRET), 503, "out_of_time"),
        (BreakerOpenError("the circuit breaker is open"), 503, "breaker_open"),
        (ConflictError(SECRET), 503, "contention"),
        (RejectedError(SECRET), 500, "store_rejected"),
        (KeyError(SECRET), 500, "internal"),
        (RecursionError(SECRET), 500, "internal"),
    ],
)
def test_the_answer_to_a_failure_does_not_quote_the_database(exc, status, code):
    """All errors have the same form. An answer with 503 says when to try again."""
    answer = answer_to(exc)

    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert SECRET not in answer.get_data(as_text=True)
    assert ("Retry-After" in answer.headers) is (status == 503)
    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("exc", [UnreadableRunError("cursor: not one of ours"), ConfigurationError(["TIMEZONE: none"])])
def test_messages_of_our_own_reach_the_caller(exc):
    """They name what is wrong."""
    assert answer_to(exc).json["error"]["message"] == str(exc)
