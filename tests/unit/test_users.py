"""Users: a wrong type fails that user with a stable code. Unusual but harmless values are accepted."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import UserError
from shared.core.plans import PeriodKind, Plan, PlanTable, Policy
from shared.core.users import (
    ABSENT,
    BadParent,
    LastGrant,
    Override,
    RawUser,
    User,
    parse_date,
    read_user,
    waiting_since,
)
from tests.unit.strategies import balances, days, instants

CREATED = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NO_STAMP = ABSENT
STAMPED = {"periods": {"free": "2026-02-01"}}
FREE = Plan("free", 50, PeriodKind.DAY, Policy.TOP_UP, was=("basic",))
PLANS = PlanTable({"free": FREE}, "free", "f")

# Any value that Firestore may hold in a field, as the store decodes it.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | instants | st.just(ABSENT),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.builds(BadParent, st.text(), inner)
    ),
    max_leaves=5,
)


def raw(balance=5, plan=ABSENT, created_at=ABSENT, stamp=NO_STAMP, **more) -> RawUser:
    return RawUser(balance, plan, created_at, stamp, **{"create_time": CREATED, **more})


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


def test_every_field_of_a_stamp_is_read():
    """These are the fields that a decision needs."""
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
        "adopt": True,
        "override": {"plan": "pro", "allowance": 5000, "cap": 0, "until": "2026-12-31"},
    }

    user = read(raw(50.5, "pro", CREATED, stamp, purchased=20.5))

    assert user == User(
        balance=50.5,
        plan="pro",
        periods={"free": date(2026, 11, 22), "pro": date(2026, 10, 31)},
        anchor=date(2025, 8, 31),
        paused=True,
        last_grant=LastGrant("2026-11-22-00001-007", 10.5, 40),
        due_on="2026-11-23",
        purchased=20.5,
        override=Override("pro", 5000, 0, date(2026, 12, 31)),
        adopt=True,
    )


@pytest.mark.parametrize(
    ("user", "code", "message"),
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
        (raw(purchased="500"), "bad_purchased", "what was bought is a text"),
        (raw(purchased=True), "bad_purchased", "what was bought is true or false"),
        (raw(purchased=math.nan), "bad_purchased", "what was bought is nan, not a finite number"),
        (raw(purchased=-math.inf), "bad_purchased", "what was bought is -inf, not a finite number"),
        (raw(purchased={"credits": 5}), "bad_purchased", "what was bought is a map"),
        (raw(BadParent("wallet", "none")), "bad_balance", "the balance can't be there: wallet is a text, not a map"),
        (raw(plan=BadParent("billing", 7)), "bad_plan", "can't be there: billing is a whole number, not a map"),
        (raw(stamp=BadParent("a.b", [])), "bad_stamp", "the stamp can't be there: a.b is a list, not a map"),
        (raw(purchased=BadParent("shop", CREATED)), "bad_purchased", "can't be there: shop is a time, not a map"),
        (raw(created_at=BadParent("dates", "x")), "bad_created_at", "createdAt can't be there: dates is a text"),
    ],
)
def test_a_wrong_type_fails_the_user(user, code, message):
    """The code is stable. The message names the field and what is in it."""
    error = error_of(user)

    assert code == error.code
    assert message in str(error)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pro", "it is a text, not a map"),
        ([], "it is a list, not a map"),
        ({}, "plan has to be the name of a plan"),
        ({"allowance": 1000}, "plan has to be the name of a plan"),
        ({"plan": None}, "plan has to be the name of a plan"),
        ({"plan": 7}, "plan has to be the name of a plan"),
        ({"plan": "pro", "allowence": 1000}, "'allowence' is an unknown key; expected allowance, cap, plan, until"),
        ({"plan": "pro", "allowance": "1000"}, "allowance is a text, not a whole number from 0 on"),
        ({"plan": "pro", "allowance": -1}, "allowance is -1, not a whole number from 0 on"),
        ({"plan": "pro", "allowance": 1.5}, "allowance is 1.5, not a whole number from 0 on"),
        ({"plan": "pro", "allowance": True}, "allowance is true or false, not a whole number from 0 on"),
        ({"plan": "pro", "allowance": None}, "allowance is null, not a whole number from 0 on"),
        ({"plan": "pro", "cap": math.nan}, "cap is nan, not a whole number from 0 on"),
        ({"plan": "pro", "cap": -5}, "cap is -5, not a whole number from 0 on"),
        ({"plan": "pro", "until": "31 December"}, "until is not a date like 2026-11-30, as a text"),
        ({"plan": "pro", "until": CREATED}, "until is not a date like 2026-11-30, as a text"),
        ({"plan": "pro", "until": None}, "until is not a date like 2026-11-30, as a text"),
    ],
)
def test_a_bad_override_fails_the_user(override, message):
    """A mistake in an override costs money, so it fails the user, also when it names another plan."""
    error = error_of(raw(stamp={"override": override}))

    assert error.code == "bad_override"
    assert message in str(error)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"plan": "pro"}, Override("pro")),
        ({"plan": "pro", "allowance": 0}, Override("pro", 0)),
        ({"plan": "gone", "cap": 2**63 - 1}, Override("gone", None, 2**63 - 1)),
        ({"plan": "pro", "until": "2026-11-30"}, Override("pro", until=date(2026, 11, 30))),
    ],
)
def test_an_override_is_read(override, expected):
    """All fields but the plan may be left out."""
    assert expected == read(raw(stamp={"override": override})).override


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
        (raw(stamp={"override": None}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"adopt": False}), User(5, None, {}, date(2026, 1, 31))),
        (raw(stamp={"adopt": "yes"}), User(5, None, {}, date(2026, 1, 31))),
        (raw(purchased=None), User(5, None, {}, date(2026, 1, 31))),
        (raw(created_at=None), User(5, None, {}, date(2026, 1, 31))),
    ],
)
def test_unusual_values_are_read(user, expected):
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
def test_the_anchor_is_the_stamped_one_or_the_day_of_signup(user, zone, anchor):
    """The day of sign-up is the local day of `createdAt`. Without `createdAt` it is that of the document's creation."""
    assert date.fromisoformat(anchor) == read(user, zone).anchor


@pytest.mark.parametrize(
    ("created_at", "zone", "anchor"),
    [
        ("2020-01-31T23:30:00Z", "UTC", "2020-01-31"),
        ("2020-01-31T23:30:00Z", "Europe/Berlin", "2020-02-01"),
        ("2020-01-31T23:30:00.123+02:00", "UTC", "2020-01-31"),
        ("2020-02-01T00:30:00+02:00", "UTC", "2020-01-31"),
        ("2020-01-31", "America/New_York", "2020-01-31"),
        (1_580_513_400, "UTC", "2020-01-31"),
        (1_580_513_400, "Europe/Berlin", "2020-02-01"),
        (1_580_513_400_123, "UTC", "2020-01-31"),
        (1_580_513_400.5, "UTC", "2020-01-31"),
        ({"seconds": 1_580_513_400, "nanoseconds": 0}, "Europe/Berlin", "2020-02-01"),
        ({"_seconds": 1_580_513_400, "_nanoseconds": 999_999_999}, "UTC", "2020-01-31"),
        ({"seconds": 0, "nanoseconds": 0}, "UTC", "1970-01-01"),
    ],
)
def test_the_day_of_signup_is_read_from_what_apps_write(created_at, zone, anchor):
    """A value is read if it can mean only one moment or one day."""
    assert date.fromisoformat(anchor) == read(raw(created_at=created_at), zone).anchor


@pytest.mark.parametrize(
    "created_at",
    [
        "",
        "yesterday",
        "2020-01-31T23:30:00",  # without a zone it is many moments
        "31.01.2020",
        "1580513400",
        0,
        -1,
        20_200_131,
        86_400,
        1e300,
        math.nan,
        math.inf,
        True,
        [],
        [1_580_513_400],
        b"2020",
        {},
        {"seconds": 1_580_513_400},
        {"seconds": "1580513400", "nanoseconds": 0},
        {"seconds": 1_580_513_400, "nanoseconds": 1_000_000_000},
        {"seconds": 1_580_513_400, "nanoseconds": 0, "zone": "UTC"},
        {"seconds": 1_580_513_400, "_nanoseconds": 0},
        {"seconds": 2**62, "nanoseconds": 0},
    ],
    ids=str,
)
def test_a_created_at_that_could_be_any_day_gives_no_anchor(created_at):
    """`anchor_problem` says why. Only plans that count from sign-up need it. A stamped anchor is still read."""
    user = read(raw(created_at=created_at))
    stamped = read(raw(created_at=created_at, stamp={"anchor": "2024-02-29"}))

    assert user.anchor is None
    assert "names no one moment" in user.anchor_problem
    assert (stamped.anchor, stamped.anchor_problem) == (date(2024, 2, 29), "")


@pytest.mark.parametrize(
    ("stamp", "given_on"),
    [(ABSENT, date(2026, 2, 1)), ({"periods": {}, "dueOn": "2026-02-01"}, date(2026, 2, 1)), (STAMPED, None)],
)
def test_the_app_may_give_the_first_period_itself(stamp, given_on):
    """It was given on the day on which the document was created, in the schedule's zone.

    This holds until the first stamp.
    """
    found = read_user(raw(stamp=stamp, created_at="2020-01-01"), BERLIN, given_at_sign_up=True)

    assert found.given_on == given_on
    assert read_user(raw(stamp=stamp), BERLIN).given_on is None


CODES = {"bad_balance", "bad_plan", "bad_stamp", "bad_purchased", "bad_created_at", "bad_override"}


@given(anything, anything, anything, anything, anything)
def test_any_document_is_read_or_fails_with_a_code(balance, plan, created_at, stamp, purchased):
    """The result is a user, None, or a UserError with a code."""
    try:
        user = read_user(raw(balance, plan, created_at, stamp, purchased=purchased), BERLIN)
    except UserError as exc:
        assert exc.code in CODES  # noqa: PT017 (each outcome holds)
        assert str(exc)  # noqa: PT017
        return

    assert (user is None) == (balance is ABSENT)
    assert user is None or math.isfinite(user.balance)


stamps = st.fixed_dictionaries(
    {},
    optional={
        "periods": anything,
        "anchor": anything,
        "paused": anything,
        "jobId": anything,
        "before": anything,
        "override": anything | st.dictionaries(st.sampled_from(["plan", "allowance", "cap", "until"]), anything),
    },
)


@given(stamps)
def test_any_stamp_is_read_or_fails_with_a_code(stamp):
    try:
        user = read_user(raw(stamp=stamp), BERLIN)
    except UserError as exc:
        assert exc.code in ("bad_stamp", "bad_override")  # noqa: PT017 (each outcome holds)
        return

    assert isinstance(user, User)


@given(balances, st.none() | st.text(), st.dictionaries(st.text(), days), days)
def test_the_dates_of_a_stamp_are_read_as_they_were_written(balance, plan, periods, anchor):
    """They are stored as text."""
    stamp = {"periods": {name: day.isoformat() for name, day in periods.items()}, "anchor": anchor.isoformat()}

    assert User(balance, plan, periods, anchor) == read(raw(balance, plan, stamp=stamp))


@given(st.text() | st.from_regex(r"\d{4}-?(W?\d\d)-?\d{1,2}", fullmatch=True))
def test_a_date_has_only_one_form(text):
    """Only year, month and day with hyphens are accepted, because dates are compared as text."""
    day = parse_date(text)

    assert day is None or day.isoformat() == text


@given(st.dates())
def test_every_date_is_read(day):
    """Dates from the year 1 to 9999 are read."""
    assert day == parse_date(day.isoformat())


def test_an_absent_field_is_shown_as_absent():
    """So a log does not show it as null."""
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
        ("basic", {"plan": "free"}, False),
        (ABSENT, {"plan": "basic"}, False),
        ("pro", {"plan": ["free"]}, True),
        ("pro", {"plan": "free"}, True),
        (ABSENT, {"plan": "pro"}, True),
    ],
)
def test_a_user_can_be_due_since_sign_up_or_a_plan_change(plan, stamp, changed):
    """If the plan differs from the stamped one, the user waits since the last change of the document."""
    found = raw(plan=plan, stamp=stamp)

    assert waiting_since(found, UPDATED, PLANS) == (UPDATED if changed else CREATED)
