"""Logs: each line is one JSON object in Cloud Logging's fields, with an action."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from contextvars import copy_context
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import logs


@pytest.fixture
def lines(monkeypatch):
    """What has been logged, parsed line by line."""
    logger, output = logging.getLogger("credit_refresh"), StringIO()
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(sys, "stdout", output)
    logs.configure()
    return lambda: [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.mark.parametrize(("log", "severity"), [(logs.info, "INFO"), (logs.warning, "WARNING"), (logs.error, "ERROR")])
def test_a_line_has_severity_message_action_and_fields(lines, log, severity):
    """The fields have the names that Cloud Logging knows. The time is in UTC."""
    log("job_settled", "all is well", users=300, runId="2026-11-22")

    (line,) = lines()
    time = datetime.fromisoformat(line.pop("time"))
    assert line == {
        "severity": severity,
        "message": "all is well",
        "action": "job_settled",
        "users": 300,
        "runId": "2026-11-22",
    }
    assert time.utcoffset() == UTC.utcoffset(None)


def test_a_line_has_the_fields_of_its_context(lines):
    """Lines inside a context have its fields, lines outside don't. An inner context wins over an outer one."""
    with logs.context(function="worker", jobId="outer"):
        with logs.context(jobId="inner"):
            logs.info("a", "inside")
        logs.info("b", "between")
    logs.info("c", "outside")

    logged = [(line["action"], line.get("function"), line.get("jobId")) for line in lines()]
    assert logged == [("a", "worker", "inner"), ("b", "worker", "outer"), ("c", None, None)]


def test_a_context_ends_with_an_exception(lines):
    """After an exception the next line has no fields of the context."""
    with pytest.raises(KeyError), logs.context(jobId="j"):
        raise KeyError

    logs.info("a", "after")
    assert "jobId" not in lines()[0]


def test_a_context_belongs_to_its_thread(lines):
    """Another thread has the context only if it was passed on."""
    with logs.context(jobId="j"):
        for target in (logs.info, copy_context().run):
            arguments = ("a", "told") if target is logs.info else (logs.info, "b", "told")
            thread = threading.Thread(target=target, args=arguments)
            thread.start()
            thread.join()

    assert [(line["action"], line.get("jobId")) for line in lines()] == [("a", None), ("b", "j")]


def test_an_exception_is_one_line_too(lines):
    """The traceback is a field of the line."""
    try:
        int("broken\nin two")
    except ValueError:
        logs.error("call_failed", "unexpected", exc_info=True, code="internal")

    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert "ValueError: invalid literal" in line["exception"]
    assert (line["action"], line["code"]) == ("call_failed", "internal")


def test_configuring_twice_logs_once(lines):
    """A process may start an instance more than once; lines must not be doubled."""
    logs.configure()

    logs.info("a", "once")
    handlers = logging.getLogger("credit_refresh").handlers
    assert len(lines()) == 1
    assert sum(isinstance(handler.formatter, logs.JsonFormatter) for handler in handlers) == 1


def test_a_value_of_an_unknown_type_is_logged_as_text(lines):
    """Its line is not lost."""
    logs.info("a", "told", at=datetime(2026, 11, 22, tzinfo=UTC), who={"ann"})

    (line,) = lines()
    assert (line["at"], line["who"]) == ("2026-11-22 00:00:00+00:00", "{'ann'}")


texts = st.text().filter(lambda text: not logs._SECRETS.search(text))  # with nothing to be removed
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(texts, st.dictionaries(st.from_regex(r"[a-z]{3,8}", fullmatch=True), json_values, max_size=4))
def test_every_line_is_one_json_object(message, fields):
    """Line breaks, quotes and lone surrogates stay within the line and come back unchanged."""
    reserved = {"action", "message", "severity", "time"}
    fields = {name: value for name, value in fields.items() if name not in reserved}
    record = logging.LogRecord("credit_refresh", logging.INFO, "", 0, message, (), None)
    record.fields = {"action": "a", **fields}

    line = logs.JsonFormatter().format(record)

    parsed = json.loads(line)
    parsed.pop("time")
    assert len(line.splitlines()) == 1
    assert parsed == {"severity": "INFO", "message": message, "action": "a", **fields}


@given(texts)
def test_a_percent_sign_in_a_message_is_kept(message):
    """A message is logged unchanged and never formatted a second time."""
    record = logging.LogRecord("credit_refresh", logging.INFO, "", 0, "%d " + message, (), None)

    assert json.loads(logs.JsonFormatter().format(record))["message"] == "%d " + message


@pytest.mark.parametrize(
    "secret",
    [
        "ann@example.com",
        "ann.b+c@mail.example.co.uk",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ya29.a0AfH6SMBx-y_z",
        "Bearer 0123456789abcdef",
        "ann%40example.com",
        "bob%40x",
        "bob@localhost",
        "ann@[192.168.1.5]",
        '"ann b"@example.com',
        "ünï@exämple.de",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "1//0gYcXhT9Q7wBkCgYIARAAGBASNwF-L9Ir_abc",
        "AMf-vBxsqFe0Wn3xyzabcdefghij0123456789",
        "GOCSPX-abcdefghijklmnopqrstuvwxyz12",
        "sk_live_51HabcdefghijklmnopQRST",
        "Basic dXNlcjpwYXNzd29yZA==",
        "refresh_token=abc123",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADAN\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQ\\nIBADAN\\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_e_mail_addresses_and_tokens_are_removed(lines, secret):
    """They are removed from messages, fields and exceptions. The line stays JSON, and the rest is unchanged."""
    try:
        {}[secret]
    except KeyError:
        logs.error("a", f"cannot read {secret} now", exc_info=True, cursor=secret)

    (line,) = lines()
    assert secret not in json.dumps(line)
    assert (line["message"], line["cursor"]) == ("cannot read [removed] now", "[removed]")


@pytest.mark.parametrize(
    "text",
    [
        "at 12:00 @ noon",
        "300 users of run 2026-11-22, 40% done",
        "plan 'basic' of users/ann",
        "projects/acme/databases/(default)/documents/users/u1",
        "the secret of a good log",
        "token: not one of this project",
    ],
)
def test_text_without_a_secret_is_unchanged(lines, text):
    """A log that removes too much is of no use."""
    logs.info("a", text)

    assert lines()[0]["message"] == text


@given(
    st.text(), st.sampled_from(["ann@example.com", "eyJhbGciOiJSUzI1NiJ9", "ya29.a0AfH6SMBx", "bearer 0123"]), st.text()
)
@example("\x0e", "yJhbGciOiJSUzI1NiJ9", "")
@example("\b", "earer 0123", "")
@example("\n", "Bearer 0123", "")
def test_removing_a_secret_never_breaks_the_line(before, secret, after):
    """The removal cuts no escape in half, so the line is still one JSON object."""
    record = logging.LogRecord("credit_refresh", logging.INFO, "", 0, before + secret + after, (), None)

    line = json.loads(logs.JsonFormatter().format(record))

    assert line["severity"] == "INFO"
    assert " 0123" not in line["message"] or "bearer" not in line["message"].lower()


@pytest.mark.parametrize(
    "part",
    ["W", "@", "a@", "%40", '"', '"a', "password", "-----BEGIN PRIVATE KEY-----", "secret =", "basic ", " ", "1//"],
)
def test_a_long_text_is_logged_quickly(part):
    """The search for secrets takes time in proportion to the text, also where nothing is found."""
    record = logging.LogRecord("credit_refresh", logging.INFO, "", 0, part * (100_000 // len(part)), (), None)
    started = time.process_time()

    logs.JsonFormatter().format(record)

    assert time.process_time() - started < 5
