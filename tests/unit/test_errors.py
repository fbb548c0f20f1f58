"""Errors: one base, a code for machines, a message for people."""

from __future__ import annotations

import inspect
from enum import StrEnum

import pytest

from shared.core import errors
from shared.core.errors import (
    BreakerOpenError,
    ConfigurationError,
    CreditRefreshError,
    OutOfTimeError,
    SystemFailureError,
    UserError,
    UserErrorCode,
)

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
EVERY_ERROR = [kind for kind in CLASSES if not issubclass(kind, StrEnum)]


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_error_has_the_same_base_class(kind):
    """Catching the base class catches every error that is raised on purpose. Each class says what it means."""
    assert issubclass(kind, CreditRefreshError)
    assert kind.__doc__


def test_a_configuration_error_names_every_problem():
    """It holds them one by one, and its text has all of them."""
    error = ConfigurationError(["a: bad", "b: worse"])

    assert (error.problems, str(error)) == (("a: bad", "b: worse"), "a: bad; b: worse")


def test_a_user_error_has_a_code_and_a_message():
    """The code is for machines, the message for people."""
    error = UserError(UserErrorCode.BAD_PLAN, "the plan is a list")

    assert (error.code, str(error)) == ("bad_plan", "the plan is a list")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(SystemFailureError, "unavailable"), (BreakerOpenError, "breaker_open"), (OutOfTimeError, "out_of_time")],
)
def test_a_system_failure_says_when_to_try_again(kind, code):
    """The default is a minute."""
    assert (code, 60, 7) == (kind("x").code, kind("x").retry_after_seconds, kind("x", 7).retry_after_seconds)


@pytest.mark.parametrize("code", UserErrorCode)
def test_a_code_is_written_and_read_as_plain_text(code):
    """Documents, answers and logs hold the text, not the member's name."""
    assert (f"{code}", code.value) == (code.name.lower(), code.name.lower())
