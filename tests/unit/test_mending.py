"""Mending the stamp: what is written for a user who gets nothing, and what stays unchanged."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shared.core.decision import AlreadyApplied, Grant, Skip, SkipReason
from shared.core.errors import UserError, UserErrorCode
from shared.core.mending import corrections_of, must_be_named
from shared.core.periods import Period
from shared.core.users import ABSENT, BadParent, RawUser

SUNDAY = date(2026, 11, 22)
GRANT = Grant("free", Period(SUNDAY, date(2026, 11, 23)), 5, 50, None)
FAILED = UserError(UserErrorCode.BAD_BALANCE, "the balance is a text")
GRANTED = Skip(SkipReason.ALREADY_GRANTED)
ADOPTED = Skip(SkipReason.ADOPTED, "2026-11-23", GRANT)
WRONG = Skip(SkipReason.ALREADY_GRANTED, "2026-11-23")


def user(stamp=ABSENT, balance=5) -> RawUser:
    return RawUser(balance, ABSENT, ABSENT, stamp, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("stamp", "found", "corrections"),
    [
        ({"dueOn": "2026-11-23"}, GRANTED, {}),
        ({"dueOn": "2026-11-21"}, WRONG, {"dueOn": "2026-11-23"}),
        (ABSENT, WRONG, {"dueOn": "2026-11-23"}),
        (None, WRONG, {"dueOn": "2026-11-23"}),
        (ABSENT, FAILED, {"dueOn": "2026-11-22"}),
        ({"dueOn": "2026-11-23"}, FAILED, {"dueOn": "2026-11-22"}),
        ({"dueOn": "2026-11-20"}, FAILED, {}),
        ({"dueOn": 5}, FAILED, {"dueOn": "2026-11-22"}),
        ("a text", FAILED, {}),
        (["a list"], WRONG, {}),
        (ABSENT, GRANT, {"dueOn": "2026-11-22"}),
        ({"dueOn": "2026-11-22"}, GRANT, {}),
        (ABSENT, None, {}),
        ({"periods": {}}, None, {}),
        ({"dueOn": "2026-11-22"}, None, {"dueOn": None}),
        ({"dueOn": 5}, None, {"dueOn": None}),
        ({"adopt": True, "dueOn": "2026-11-23"}, GRANTED, {"adopt": None}),
        ({"adopt": True}, WRONG, {"dueOn": "2026-11-23", "adopt": None}),
        ({"adopt": True, "dueOn": "2026-11-23"}, Skip(SkipReason.BEFORE_ANCHOR), {"adopt": None}),
        ({"adopt": True, "dueOn": "2026-11-20"}, Skip(SkipReason.PAUSED), {}),
        ({"adopt": True, "dueOn": "2026-11-20"}, FAILED, {}),
        ({"dueOn": "2026-11-20"}, AlreadyApplied(5, 50), {}),
        ({"adopt": True, "dueOn": "2026-11-20"}, ADOPTED, {}),
        ({"adopt": True, "dueOn": "2026-11-23"}, ADOPTED, {"dueOn": "2026-11-22"}),
    ],
)
def test_only_wrong_fields_of_a_stamp_are_corrected(stamp, found, corrections):
    """The app's fields stay unchanged, and so does a stamp that is no map."""
    assert corrections_of(user(stamp), found, SUNDAY) == corrections


@pytest.mark.parametrize(
    ("stamp", "corrections"),
    [(ABSENT, {}), ({"dueOn": "2026-11-22"}, {"dueOn": None}), ({"dueOn": "2026-11-30"}, {"dueOn": None}), ("x", {})],
)
def test_a_user_whose_balance_can_not_be_there_gets_no_due_on(stamp, corrections):
    """The user is in no index of balances, so the proof would count one `dueOn` too many. The user is kept by name."""
    broken = user(stamp, BadParent("wallet", "none"))

    assert corrections_of(broken, FAILED, SUNDAY) == corrections
    assert must_be_named(broken)


@pytest.mark.parametrize(
    ("stamp", "named"), [(ABSENT, False), (None, False), ({}, False), ("x", True), ([], True), (5, True)]
)
def test_a_user_whose_stamp_is_no_map_is_kept_by_name(stamp, named):
    """A `dueOn` in it would destroy what the field holds."""
    assert must_be_named(user(stamp)) is named
