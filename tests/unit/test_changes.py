"""What of a write to a user's document matters, and how a lost stamp is put back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.changes import Change, change_of, fields_to_restore
from shared.core.users import ABSENT, RawUser

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
STAMP: dict[str, Any] = {"plan": "free", "periods": {"free": "2026-11-22"}, "jobId": "j1", "dueOn": "2026-11-23"}
LOST = {**STAMP, "refreshRequested": True}


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
        (raw(stamp=LOST), raw(stamp=LOST), Change.NOTHING),
        (raw(stamp=LOST), raw(stamp=STAMP), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "refreshRequested": "yes"}), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "dueOn": "2026-11-22"}), Change.NOTHING),
        (raw(), raw(stamp={**STAMP, "paused": True}), Change.NOTHING),
        (raw(), raw(stamp=ABSENT), Change.STAMP_LOST),
        (raw(), raw(stamp=None), Change.STAMP_LOST),
        (raw(), raw(plan="pro", stamp=ABSENT), Change.STAMP_LOST),
        (raw(stamp={"dueOn": "2026-11-22"}), raw(stamp=ABSENT), Change.NOTHING),
        (raw(stamp={"paused": True}), raw(stamp=ABSENT), Change.STAMP_LOST),
        (raw(stamp={"override": {"plan": "free"}, "dueOn": "2026-11-22"}), raw(stamp=ABSENT), Change.STAMP_LOST),
        # The app's own write of the stamp as a whole, where a field path was meant.
        (raw(), raw(plan="pro", stamp={"refreshRequested": True}), Change.TERMS),
        (raw(), raw(stamp={"refreshRequested": True}), Change.TERMS),
        (raw(), raw(plan="pro", stamp={}), Change.TERMS),
        (raw(stamp="odd"), raw(stamp=ABSENT), Change.NOTHING),
        (raw(), raw(stamp="odd"), Change.NOTHING),
        # Writes of our own: a grant, with the anchor it stamps, and a stamp put back.
        (raw(stamp=ABSENT), raw(balance=50, stamp={**STAMP, "anchor": "2026-11-01"}), Change.NOTHING),
        (raw(), raw(balance=50, stamp={**STAMP, "jobId": "j2"}), Change.NOTHING),
        (raw(stamp=ABSENT), raw(), Change.NOTHING),
    ],
)
def test_what_a_write_changed(old, new, change):
    """Only what may owe the user something leads to a look, and no write of ours does."""
    assert change == change_of(old, new)


@pytest.mark.parametrize(
    ("before", "now", "fields"),
    [
        (STAMP, ABSENT, STAMP),
        (STAMP, None, STAMP),
        (LOST, ABSENT, STAMP),
        (STAMP, "odd", {}),
        (STAMP, STAMP, {}),
        (STAMP, {"periods": {"free": "2026-11-23"}}, {}),
        (STAMP, {"periods": {"free": "2026-11-21"}}, {"periods": {"free": "2026-11-22"}}),
        (STAMP, {"periods": {"pro": "2026-11-01"}}, {"periods": {"free": "2026-11-22", "pro": "2026-11-01"}}),
    ],
)
def test_how_a_lost_stamp_is_put_back(before, now, fields):
    """All of it but a request; beside a new one, per plan the later date."""
    assert fields == fields_to_restore(raw(stamp=before), raw(stamp=now))
