"""Users: a wrong type fails that user with a stable code. Unusual but harmless values are accepted."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import UserError
from shared.core.users import ABSENT, LastGrant, RawUser, User, parse_date, read_user, waiting_since
from tests.unit.strategies import balances, days, instants

CREATED = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NO_STAMP = ABSENT

# Any value that Firestore may hold in a field, as the store decodes it.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | instants | st.just(ABSENT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def raw(balance=5, plan=ABSENT, created_at=ABSENT, stamp=NO_STAMP, create_time=CREATED) -> RawUser:
    return RawUser(balance, plan, created_at, stamp, create_time)


def read(user: RawUser, zone: str = "UTC") -> User:
    found = read_user(user, ZoneInfo(zone))
    assert found is not None
    return found


def error_of(user: RawUser) -> UserError:
    with pytest.raises(UserError) as raised:
        read_user(user, BERLIN)
    return raised.value


def test_a_user_without_a_balance_is_not_part_of_the_system():
    """Without a balance no other field is checked."""
    assert read_user(raw(ABSENT, plan=["odd"], stamp="odd"), BERLIN) is None


def test_a_new_user_has_a_balance_and_an_anchor():
    """A balance is enough. The anchor is the day of the document's create time."""
    assert User(5, None, {}, date(2026, 1, 31)) == read(raw())


def test_a_granted_user_is_read_whole():
    """Every field of the stamp that a decision needs is read."""
    stamp = {
        "plan": "pro",
        "periods": {"free": "2026-11-22", "pro": "2026-10-31"},
        "anchor": "2025-08-31",
        "dueOn": "2026-11-23",
        "refreshedAt": CREATED,
        "nextAt": CREATED,
        "granted": 40,
        "before": 10.5,
        "jobId": "2026-11-22-00001-007",
        "paused": True,
    }

    user = read(raw(50.5, "pro", CREATED, stamp))

    assert user == User(
        balance=50.5,
        plan="pro",
        periods={"free": date(2026, 11, 22), "pro": date(2026, 10, 31)},
        anchor=date(2025, 8, 31),
        paused=True,
        last_grant=LastGrant("2026-11-22-00001-007", 10.5, 40),
        due_on="2026-11-23",
    )


@pytest.mark.parametrize(
    ("user", "code", "told"),
    [
        (raw("5"), "bad_balance", "the balance is a text"),
        (raw(""), "bad_balance", "the balance is a text"),
        (raw(balance=True), "bad_balance", "the balance is true or false"),
        (raw(balance=False), "bad_balance", "the balance is true or false"),
        (raw(None), "bad_balance", "the balance is null"),
        (raw(math.nan), "bad_balance", "the balance is nan, not a finite number"),
        (raw(math.inf), "bad_balance", "the balance is inf, not a finite number"),
        (raw(-math.inf), "bad_balance", "the balance is -inf, not a finite number"),
        (raw({}), "bad_balance", "the balance is a map"),
        (raw({"amount": 5}), "bad_balance", "the balance is a map"),
        (raw([5]), "bad_balance", "the balance is a list"),
        (raw(CREATED), "bad_balance", "the balance is a time"),
        (raw(b"5"), "bad_balance", "the balance is a bytes"),
        (raw(plan=1), "bad_plan", "the plan is a whole number"),
        (raw(plan=True), "bad_plan", "the plan is true or false"),
        (raw(plan=["pro"]), "bad_plan", "the plan is a list"),
        (raw(plan={"name": "pro"}), "bad_plan", "the plan is a map"),
        (raw(stamp="2026-11-22"), "bad_stamp", "the stamp is a text"),
        (raw(stamp=[]), "bad_stamp", "the stamp is a list"),
        (raw(stamp=0), "bad_stamp", "the stamp is a whole number"),
        (raw(stamp=False), "bad_stamp", "the stamp is true or false"),
        (raw(stamp={"periods": "2026-11-22"}), "bad_stamp", "the stamp's periods is a text"),
        (raw(stamp={"periods": ["2026-11-22"]}), "bad_stamp", "the stamp's periods is a list"),
        (raw(stamp={"periods": {"free": None}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": CREATED}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": 20261122}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": ""}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": "2026-W47-1"}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": "20261122"}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": "2026-11-31"}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"free": "2026-11-22T00:00"}}), "bad_stamp", "the stamp's periods.free is not a date"),
        (raw(stamp={"periods": {"a": "2026-11-22", "b": "x"}}), "bad_stamp", "the stamp's periods.b is not a date"),
        (raw(stamp={"anchor": "31 January"}), "bad_stamp", "the stamp's anchor is not a date"),
        (raw(stamp={"anchor": CREATED}), "bad_stamp", "the stamp's anchor is not a date"),
        (raw(stamp={"paused": "yes"}), "bad_stamp", "the stamp's paused is a text"),
        (raw(stamp={"paused": 1}), "bad_stamp", "the stamp's paused is a whole number"),
    ],
)
def test_a_wrong_type_fails_the_user(user, code, told):
    """The code is stable. The message names the field and what is in it."""
    error = error_of(user)

    assert code == error.code
    assert told in str(error)


@pytest.mark.parametrize("balance", [0, -7, 2**63 - 1, -(2**63), 0.0, -0.5, 12.25, 1e300, 5e-324])
def test_any_finite_number_is_a_balance(balance):
    """It may be whole or not, of either sign and any size."""
    assert (balance, type(balance)) == (read(raw(balance)).balance, type(read(raw(balance)).balance))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (raw(plan=None), User(5, None, {}, date(2026, 1, 31))),
        (raw(plan=""), User(5, "", {}, date(2026, 1, 31))),
        (raw(stamp=None), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"periods": None, "anchor": None, "paused": None}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"periods": {}, "theirs": ["x"]}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"periods": {"": "2026-11-22"}}), User(5, None, {"": date(2026, 11, 22)}, date(2026, 1, 31))),
        (raw(stamp={"paused": False}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"dueOn": 7, "refreshedAt": "x"}), User(5, None, {}, date(2026, 1, 31), due_on=7)),
        (raw(stamp={"jobId": "j", "before": 1}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"jobId": 5, "before": 1, "granted": 4}), User(5, None, {}, date(2026, 1, 31))),
        (raw(created_at="2020-01-01"), User(5, None, {}, date(2026, 1, 31))),
        (raw(created_at=None), User(5, None, {}, date(2026, 1, 31))),
        (raw(created_at=1_600_000_000), User(5, None, {}, date(2026, 1, 31))),
    ],
)
def test_what_is_unusual_is_read(user, expected):
    """Nulls, empty maps, unknown fields and an incomplete last grant do no harm."""
    assert expected == read(user)


@pytest.mark.parametrize(
    ("user", "zone", "anchor"),
    [
        (raw(), "UTC", "2026-01-31"),
        (raw(), "Europe/Berlin", "2026-02-01"),
        (raw(created_at=CREATED - timedelta(days=365)), "UTC", "2025-01-31"),
        (raw(created_at=CREATED, create_time=CREATED + timedelta(days=9)), "Europe/Berlin", "2026-02-01"),
        (raw(created_at=CREATED, stamp={"anchor": "2024-02-29"}), "Europe/Berlin", "2024-02-29"),
        (raw(created_at=datetime(1, 1, 1, tzinfo=UTC)), "America/New_York", "0001-01-01"),
        (raw(created_at=datetime(9999, 12, 31, 23, tzinfo=UTC)), "Asia/Tokyo", "9999-12-31"),
    ],
)
def test_the_anchor_is_the_stamped_one_else_the_day_of_signup(user, zone, anchor):
    """The stamped anchor comes first, then the local day of createdAt, then that of the create time."""
    assert date.fromisoformat(anchor) == read(user, zone).anchor


@given(anything, anything, anything, anything)
def test_whatever_a_document_holds_is_read_or_fails_with_a_code(balance, plan, created_at, stamp):
    """Any document gives a user, None, or a UserError with a code. Nothing else is raised."""
    try:
        user = read_user(raw(balance, plan, created_at, stamp), BERLIN)
    except UserError as exc:
        assert exc.code in ("bad_balance", "bad_plan", "bad_stamp")  # noqa: PT017 (each outcome holds)
        assert str(exc)  # noqa: PT017
        return

    assert (user is None) == (balance is ABSENT)
    assert user is None or math.isfinite(user.balance)


stamps = st.fixed_dictionaries(
    {}, optional={"periods": anything, "anchor": anything, "paused": anything, "jobId": anything, "before": anything}
)


@given(stamps)
def test_whatever_a_stamp_holds_is_read_or_fails_with_a_code(stamp):
    """The same holds for every field of the stamp."""
    try:
        user = read_user(raw(stamp=stamp), BERLIN)
    except UserError as exc:
        assert exc.code == "bad_stamp"  # noqa: PT017 (either outcome holds)
        return

    assert isinstance(user, User)


@given(balances, st.none() | st.text(), st.dictionaries(st.text(), days), days)
def test_what_was_stamped_is_read_again(balance, plan, periods, anchor):
    """Dates are stored as text and come back the same."""
    stamp = {"periods": {name: day.isoformat() for name, day in periods.items()}, "anchor": anchor.isoformat()}

    assert User(balance, plan, periods, anchor) == read(raw(balance, plan, stamp=stamp))


@given(st.text() | st.from_regex(r"\d{4}-?(W?\d\d)-?\d{1,2}", fullmatch=True))
def test_a_date_has_one_way_of_being_written(text):
    """Only year, month and day with hyphens are accepted, because dates are compared as text."""
    day = parse_date(text)

    assert day is None or day.isoformat() == text


@given(st.dates())
def test_every_date_is_read(day):
    """Dates from the year 1 to 9999 are read."""
    assert day == parse_date(day.isoformat())


def test_an_absent_field_says_so():
    """A log shows ABSENT, so it is not mistaken for null."""
    assert repr(ABSENT) == "ABSENT"


UPDATED = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("plan", "stamp", "changed"),
    [
        (ABSENT, ABSENT, False),
        (None, None, False),
        ("free", {}, False),
        ("free", {"plan": "free"}, False),
        (ABSENT, {"plan": "free"}, False),
        ("pro", {"plan": "free"}, True),
        (ABSENT, {"plan": "pro"}, True),
    ],
)
def test_since_when_a_user_can_have_been_due(plan, stamp, changed):
    """The user waits since sign-up or, if the plan differs from the stamped one, since the last change."""
    found = raw(plan=plan, stamp=stamp)

    assert waiting_since(found, UPDATED, "free") == (UPDATED if changed else CREATED)
