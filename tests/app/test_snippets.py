"""The Python code of docs/app.md works, with the real client beside the real functions."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from tests.app import snippets
from tests.app.local_credit_refresh import CreditRefresh, running_credit_refresh
from tests.support.metadata import metadata_server

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "app.md"
SECONDS_MAX = 20


@pytest.fixture(scope="module")
def refresh() -> Iterator[CreditRefresh]:
    """Credit Refresh with a field for bought credits, and a plan that leaves full users alone."""
    settings = {
        "GOOGLE_CLOUD_PROJECT": f"demo-snippets-{uuid.uuid4().hex[:8]}",
        "CREDIT_REFRESH_PLANS_FILE": str(HERE / "plans.toml"),
        "CREDIT_REFRESH_PURCHASED_FIELD": "purchased",
    }
    with running_credit_refresh(**settings) as found:
        yield found


@pytest.fixture(scope="module")
def db(refresh) -> Iterator[firestore.Client]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("FIRESTORE_EMULATOR_HOST", refresh.emulator_host)
        client = firestore.Client(project=refresh.project, credentials=AnonymousCredentials())
    yield client
    client.close()


@pytest.fixture
def user(db) -> firestore.DocumentReference:
    """A new user who has the first credits."""
    uid = f"user-{uuid.uuid4().hex[:12]}"
    snippets.create_user(db, uid, "Ann")
    found = db.collection("users").document(uid)
    wait_for(found, lambda fields: fields["credits"] == 50)
    return found


def wait_for(user: firestore.DocumentReference, holds) -> dict:
    """Wait until that holds for the user, and return the fields."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds(found := user.get().to_dict() or {}):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def is_served(fields: dict) -> bool:
    """True if the request is done. The worker removes the flag."""
    return "refreshRequested" not in fields["creditRefresh"]


def test_a_new_user_gets_the_first_credits_and_knows_the_next_refresh(user):
    """Without a direct call, because the new document calls the function."""
    assert snippets.next_refresh(user.get()) is not None


def test_both_ways_of_spending_are_guarded(db, user):
    """Several spenders at once lose no write, and nobody spends more than the balance."""

    def spend_some() -> None:
        for _ in range(3):
            assert snippets.spend_cheaply(db, user, 2)

    threads = [threading.Thread(target=spend_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert snippets.spend(db.transaction(), user, 6)
    for thread in threads:
        thread.join()

    assert user.get().get("credits") == 50 - 24 - 6
    assert not snippets.spend(db.transaction(), user, 21)
    assert not snippets.spend_cheaply(db, user, 21)


def test_bought_credits_survive_the_next_refresh(db, refresh, user):
    """An order is booked once, even if it comes twice. Bought credits are spent last and refunded once."""
    order = uuid.uuid4().hex
    sold = [snippets.sell(db.transaction(), db, user.id, order, 500) for _ in range(2)]
    assert (sold, user.get().get("credits"), user.get().get("purchased")) == ([True, False], 550, 500)
    snippets.spend(db.transaction(), user, 30)

    refresh.move_clock(days=2)

    assert (user.get().get("credits"), user.get().get("purchased")) == (550, 500)
    refunded = [snippets.refund(db.transaction(), db, order) for _ in range(2)]
    assert (refunded, user.get().get("credits"), user.get().get("purchased")) == ([True, False], 50, 0)
    assert wait_for(user, is_served)["creditRefresh"]["dueOn"] == "when-low"


def test_an_upgrade_is_granted_and_a_cancellation_keeps_what_was_bought(db, user):
    """The app lowers the balance in the write that changes the plan."""
    snippets.change_plan(user, "pro")
    assert wait_for(user, is_served)["credits"] == 2000
    snippets.sell(db.transaction(), db, user.id, uuid.uuid4().hex, 100)

    snippets.cancel(db.transaction(), user, 50)

    assert wait_for(user, is_served)["credits"] == 150
    assert user.get().get("plan") == "free"


def test_a_users_own_allowance_holds_from_the_next_period_on(refresh, user):
    """It replaces the plan's allowance until its last day."""
    today = date.fromisoformat(refresh.move_clock(days=1)["now"][:10])
    snippets.give_own_allowance(user, "free", 700, today + timedelta(days=3))
    wait_for(user, is_served)

    refresh.move_clock(days=2)

    assert user.get().get("credits") == 700


def test_a_billing_date_begins_a_new_period(refresh, user):
    """A monthly plan counts its periods from this date."""
    snippets.change_plan(user, "pro")
    wait_for(user, is_served)
    today = date.fromisoformat(refresh.move_clock(days=3)["now"][:10])

    snippets.bill_from(user, today - timedelta(days=1))

    stamp = wait_for(user, is_served)["creditRefresh"]
    assert (stamp["anchor"], stamp["periods"]["pro"]) == ((today - timedelta(days=1)).isoformat(),) * 2


def test_a_user_who_comes_back_is_not_granted_again(db, refresh, user):
    """The tombstone keeps the stamp, and what was bought."""
    snippets.spend(db.transaction(), user, 40)
    snippets.sell(db.transaction(), db, user.id, uuid.uuid4().hex, 100)
    snippets.delete_user(db.transaction(), db, user.id)

    snippets.create_again(db.transaction(), db, user.id, {"name": "Ann", "plan": "free"})
    refresh.refresh(user.id)

    assert (user.get().get("credits"), user.get().get("purchased")) == (110, 100)
    refresh.move_clock(days=2)
    assert user.get().get("credits") == 150


def test_a_direct_call_sends_an_identity_token(refresh, user, monkeypatch):
    """The token comes from the metadata server, as on Google Cloud. Here the server is a fake."""
    with metadata_server() as (address, asked):
        monkeypatch.setenv("GCE_METADATA_HOST", address)
        monkeypatch.setenv("GCE_METADATA_IP", address)

        answer = snippets.refill_now(refresh.functions["credit_refresh"], user.id)

    assert (answer["totalUsers"], answer["failedUsers"]) == (1, 0)
    assert any("audience=" in path for path in asked)


@pytest.mark.parametrize("file", ["snippets.cjs", "snippets.py"])
def test_each_snippet_that_changes_what_a_user_gets_asks_for_a_refresh(file):
    """This is the one rule for apps. A new user needs no request."""
    changing = {"sell", "refund", "change-plan", "cancel", "own-allowance", "bill-from", "create-again"}

    assert {name for name, text in regions(HERE / file).items() if "refreshRequested" in text} == changing


def regions(path: Path) -> dict[str, str]:
    """The snippets of a file by name."""
    found = re.findall(r"(?ms)^(?://|#) #region (\S+)\n(.*?)^(?://|#) #endregion", path.read_text("utf-8"))
    return {name: text.strip() for name, text in found}


@pytest.mark.parametrize(("file", "language"), [("snippets.cjs", "js"), ("snippets.py", "python")])
def test_the_document_shows_exactly_the_tested_code(file, language):
    """It shows every snippet, and Node and Python have the same snippets."""
    other = r"(?:```js\n.*?^```\n\n)?" if language == "python" else ""
    pattern = rf"(?ms)^<!-- snippet: (\S+) -->\n{other}```{language}\n(.*?)^```"
    marked = re.findall(pattern, DOCUMENT.read_text("utf-8"))

    assert {name: text.strip() for name, text in marked} == regions(HERE / file)
    assert regions(HERE / file).keys() == regions(HERE / "snippets.py").keys()
