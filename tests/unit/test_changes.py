"""Writes to a user's document: what they changed, and how a lost stamp is restored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.changes import Change, change_of, fields_to_restore
from shared.core.users import ABSENT, RawUser

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
STAMP: dict[str, Any] = {"plan": "free", "periods": {"free": "2026-11-22"}, "jobId": "j1", "dueOn": "2026-11-23"}
STAMP_WITH_REQUEST = {**STAMP, "refreshRequested": True}


def raw(balance: Any = 5, plan: Any = "free", stamp: Any = STAMP, zone: Any = ABSENT) -> RawUser:
    return RawUser(balance=balance, plan=plan, created_at=ABSENT, stamp=stamp, create_time=CREATED, zone=zone)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (None, raw(), Change.CREATED),
        (None, raw(balance=ABSENT), Change.CREATED),
        (raw(), raw(), Change.NOTHING),
        (raw(), raw(balance=4), Change.NOTHING),
        (raw(balance=ABSENT, stamp=ABSENT), raw(stamp=ABSENT), Change.FIRST_BALANCE),
        (raw(), raw(balance=ABSENT), Change.NOTHING),
        (raw(), raw(plan="pro"), Change.TERMS),
        (raw(), raw(plan=ABSENT), Change.TERMS),
        (raw(), raw(zone="Asia/Tokyo"), Change.TERMS),
        (raw(zone="Asia/Tokyo"), raw(zone="US/Samoa"), Change.TERMS),
        (raw(zone="Asia/Tokyo"), raw(balance=4, zone="Asia/Tokyo"), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "anchor": "2026-11-01"}), Change.TERMS),
        (raw(), raw(stamp={**STAMP, "override": {"plan": "free"}}), Change.TERMS),
        (raw(), raw(stamp={**STAMP, "refreshRequested": True}), Change.TERMS),
        (raw(stamp=STAMP_WITH_REQUEST), raw(stamp=STAMP_WITH_REQUEST), Change.NOTHING),
        (raw(stamp=STAMP_WITH_REQUEST), raw(stamp=STAMP), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "refreshRequested": "yes"}), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "dueOn": "2026-11-22"}), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "paused": True}), Change.NOTHING),
        (raw(), raw(stamp=ABSENT), Change.STAMP_LOST),
        (raw(), raw(stamp=None), Change.STAMP_LOST),
        (raw(), raw(plan="pro", stamp=ABSENT), Change.STAMP_LOST),
        (raw(stamp={"dueOn": "2026-11-22"}), raw(stamp=ABSENT), Change.NOTHING),
        (raw(stamp={"paused": True}), raw(stamp=ABSENT), Change.STAMP_LOST),
        (raw(stamp={"override": {"plan": "free"}, "dueOn": "2026-11-22"}), raw(stamp=ABSENT), Change.STAMP_LOST),
        # The app writes the whole stamp where it meant to write one field of it.
        (raw(), raw(plan="pro", stamp={"refreshRequested": True}), Change.TERMS),
        (raw(), raw(stamp={"refreshRequested": True}), Change.TERMS),
        (raw(), raw(plan="pro", stamp={}), Change.TERMS),
        (raw(stamp="odd"), raw(stamp=ABSENT), Change.NOTHING),
        (raw(), raw(stamp="odd"), Change.NOTHING),
        # Our own writes: a first grant with the anchor that it stamps, a later grant, and a restored stamp.
        (raw(stamp=ABSENT), raw(balance=50, stamp={**STAMP, "anchor": "2026-11-01"}), Change.NOTHING),
        (raw(), raw(balance=50, stamp={**STAMP, "jobId": "j2"}), Change.NOTHING),
        (raw(stamp=ABSENT), raw(), Change.NOTHING),
    ],
)
def test_a_write_is_judged_by_what_it_changed(old, new, change):
    """We act where a grant may be due or a stamp is lost, and never on our own writes."""
    assert change == change_of(old, new)


@pytest.mark.parametrize(
    ("before", "now", "fields"),
    [
        (STAMP, ABSENT, STAMP),
        (STAMP, None, STAMP),
        (STAMP_WITH_REQUEST, ABSENT, STAMP),
        (STAMP, "odd", {}),
        (STAMP, STAMP, {}),
        (STAMP, {"periods": {"free": "2026-11-23"}}, {}),
        (STAMP, {"periods": {"free": "2026-11-21"}}, {"periods": {"free": "2026-11-22"}}),
        (STAMP, {"periods": {"pro": "2026-11-01"}}, {"periods": {"free": "2026-11-22", "pro": "2026-11-01"}}),
    ],
)
def test_a_lost_stamp_is_restored(before, now, fields):
    """A request in it is not restored. If there is a new stamp, each plan keeps the later date."""
    assert fields == fields_to_restore(raw(stamp=before), raw(stamp=now))
