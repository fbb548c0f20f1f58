"""The fingerprint of a context: a change of what decisions depend on is followed by a scan of everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.plans import parse_plans
from shared.services.context import Context
from shared.settings import Settings

# Another value for each setting that decides who is due, when, or what is read of a user.
FOLLOWED_BY_A_FULL_SCAN: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "window_seconds": 3600,
    "window_start_seconds": 7200,
    "slot_seconds": 60,
    "stagger": "quiet",
    "users_collection": "accounts",
    "balance_field": "balance",
    "plan_field": "tier",
    "stamp_field": "refresh",
    "created_at_field": "joinedAt",
    "purchased_field": "bought",
    "zone_field": "zone",
    "sign_up": "stamp",
}
# Those that change nothing about any user. The fingerprint holds the content of the plans file, not its path.
NOT_FOLLOWED: dict[str, Any] = {
    "project": "acme-prod",
    "emulator_host": "localhost:8085",
    "database": "credits",
    "plans_file": "other.toml",
    "job_size": 1,
    "lease_seconds": 60,
    "max_attempts": 5,
    "retention_days": 30,
    "breaker_failures": 2,
    "breaker_reset_seconds": 5,
    "collection_prefix": "images",
    "full_scan_days": 3,
    "full_scan_below": 0,
    "proof_tolerance": 5,
    "merge_minutes": 60,
    "environment": "staging",
    "standing_failures_max": 0,
    "price_read": 0.0,
    "price_write": 0.18,
    "auth": "on",
    "auth_emulator_host": "localhost:9099",
    "firebase_api_key": "AIzaSy-A_1",
    "firebase_auth_domain": "login.acme.example",
}
PLANS = 'default_plan = "free"\n[plans.free]\nallowance = 50\nperiod = "day"\npolicy = "top_up"\n'


def fingerprint(plans: str = PLANS, **values: Any) -> str:
    if "auth_emulator_host" in values:
        values["emulator_host"] = "localhost:8085"
    wire: Any = None  # nothing is read
    return Context(Settings(**values), parse_plans(plans), wire, lambda: datetime.now(UTC)).fingerprint


@pytest.mark.parametrize(("name", "value"), FOLLOWED_BY_A_FULL_SCAN.items())
def test_it_changes_with_each_setting_that_decisions_depend_on(name, value):
    """Otherwise users who were scanned under the old value would keep the dates that it led to."""
    assert fingerprint(**{name: value}) != fingerprint()


@pytest.mark.parametrize(("name", "value"), NOT_FOLLOWED.items())
def test_it_does_not_change_with_other_settings(name, value):
    """A scan of everybody costs a read of each user, so other settings cause none."""
    assert fingerprint(**{name: value}) == fingerprint()


def test_it_changes_with_the_plans():
    """A user may be due under the new plans and not under the old ones."""
    assert fingerprint(PLANS.replace("50", "60")) != fingerprint()


def test_each_setting_is_in_one_of_the_two_lists():
    """Whoever adds a setting has to decide which list it belongs to."""
    assert FOLLOWED_BY_A_FULL_SCAN.keys() ^ NOT_FOLLOWED.keys() == Settings.model_fields.keys()
