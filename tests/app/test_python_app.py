"""An app in Python beside Credit Refresh. Users sign up, spend, and get their credits on later days."""

from __future__ import annotations

import time
import uuid

from google.cloud.firestore import Increment

SECONDS_MAX = 10


def sign_up(database, **fields) -> str:
    user_id = f"user-{uuid.uuid4().hex[:12]}"
    database.collection("users").document(user_id).set({"credits": 0, **fields})
    return user_id


def user(database, user_id: str) -> dict:
    return database.collection("users").document(user_id).get().to_dict()


def wait_for(found, seconds_max: float = SECONDS_MAX):
    """Wait for a true answer and return it. After that time return the last answer."""
    deadline = time.monotonic() + seconds_max
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def test_a_new_user_gets_the_first_credits_at_once(database):
    """From the function that is called for new users."""
    user_id = sign_up(database, plan="free")

    assert wait_for(lambda: user(database, user_id)["credits"] == 50)


def test_an_upgrade_is_granted_when_the_app_requests_it(database):
    """The request is part of the write that changes the plan."""
    user_id = sign_up(database, plan="free")
    wait_for(lambda: user(database, user_id)["credits"] == 50)

    database.collection("users").document(user_id).update({"plan": "pro", "creditRefresh.refreshRequested": True})

    assert wait_for(lambda: user(database, user_id)["credits"] == 2000)
    assert "refreshRequested" not in user(database, user_id)["creditRefresh"]


def test_credits_come_back_the_next_day(credit_refresh, database):
    """A user who spent some gets the day's allowance."""
    user_id = sign_up(database, credits=50, plan="free")
    database.collection("users").document(user_id).update({"credits": Increment(-20)})

    moved = credit_refresh.move_clock(days=2)

    assert user(database, user_id)["credits"] == 50
    assert moved["figures"]["refreshedUsers"] >= 1


def test_a_month_can_be_tested_in_seconds(credit_refresh, database):
    """A monthly plan grants again a month after the sign-up, and not before."""
    user_id = sign_up(database, credits=0, plan="pro")
    credit_refresh.refresh(user_id)
    first = user(database, user_id)
    database.collection("users").document(user_id).update({"credits": Increment(-1500)})

    credit_refresh.move_clock(days=20)
    before = user(database, user_id)
    credit_refresh.move_clock(days=13)

    assert (first["credits"], before["credits"], user(database, user_id)["credits"]) == (2000, 500, 2000)


def test_a_direct_call_uses_the_time_of_the_clock(credit_refresh, database):
    """The app does not have to know the clock."""
    user_id = sign_up(database, credits=1, plan="free")
    moved = credit_refresh.move_clock(days=1)

    answer = credit_refresh.refresh(user_id)

    assert answer["startTime"][:13] == moved["now"][:13]
