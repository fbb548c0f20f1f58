"""The sentence that explains one user's balance."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.core.decision import AlreadyApplied, Grant, Skip, SkipReason
from shared.core.periods import Period
from shared.monitor.explanation import OwnTime, Past, explain, foretell, tell_own_time

AT = datetime(2026, 11, 22, 10, 5, tzinfo=UTC)
GRANTED = Past(plan="free", before=12, granted=38, refreshed_at=AT)
TOKYO = ZoneInfo("Asia/Tokyo")
GRANT = Grant("free", Period(date(2026, 11, 22), date(2026, 11, 23)), 12, 50, None)


@pytest.mark.parametrize(
    ("balance", "past", "expected"),
    [
        (None, GRANTED, "no usable balance"),
        (50, Past(plan=None, before=None, granted=None, refreshed_at=None), "no refresh has changed it yet"),
        (50, Past(plan="free", before=None, granted=None, refreshed_at=None), "no refresh has changed it yet"),
        (
            50,
            GRANTED,
            "On 2026-11-22 at 10:05 UTC the plan free granted 38: the balance went from 12 to 50. It has not",
        ),
        (42, GRANTED, "Since then 8 were spent, so it is 42."),
        (60, GRANTED, "Since then 10 were added by the app, so it is 60."),
        (
            50,
            Past(plan="free", before=50, granted=0, refreshed_at=AT),
            "granted nothing, as the balance of 50 was full",
        ),
    ],
)
def test_the_sentence_says_why_the_balance_is_what_it_is(balance, past, expected):
    """The sentence is made from the stamp alone."""
    assert expected in explain(balance, past)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (GRANT, "would grant 38, to 50"),
        (AlreadyApplied(12, 50), "would do nothing"),
        *((Skip(reason), "would do nothing: ") for reason in SkipReason),
    ],
)
def test_the_sentence_says_what_a_refresh_would_do(decision, expected):
    """There is a sentence for every decision."""
    assert expected in foretell(decision)


def test_the_time_of_a_grant_is_also_given_in_the_users_zone():
    """The date there may be another one."""
    text = explain(50, GRANTED, TOKYO)

    assert text.startswith("On 2026-11-22 at 10:05 UTC (2026-11-22 at 19:05 in Asia/Tokyo) the plan free granted 38")


@pytest.mark.parametrize(
    ("next_at", "ending"),
    [
        (None, "."),
        (
            datetime(2026, 11, 23, 18, 30, tzinfo=UTC),
            "; the next refresh is due there on 2026-11-24 at 03:30.",
        ),
    ],
)
def test_the_sentence_has_the_users_date_and_next_refresh(next_at, ending):
    """The next refresh is left out if it is not known."""
    own = OwnTime(zone=TOKYO, local_date=date(2026, 11, 23), next_at=next_at)

    assert tell_own_time(own) == f"In the user's own time zone, Asia/Tokyo, it is 2026-11-23{ending}"
