"""The Firestore trigger over HTTP, as Eventarc delivers it: a CloudEvent in binary mode with a protobuf payload."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from google.events.cloud.firestore import DocumentEventData

from shared.core.errors import ConflictError, SystemFailureError
from shared.services.limits import LIMITS
from shared.services.signup import take_event
from shared.store.users import UserDocument, UserStore
from tests.support.plans import PLANS
from tests.support.servers import server
from tests.support.world import DAY, MIDNIGHT, NOON, World

CREATED = "google.cloud.firestore.document.v1.created"
WRITTEN = "google.cloud.firestore.document.v1.written"
TODAY = MIDNIGHT.date()


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def trigger(world, tmp_path_factory):
    log = tmp_path_factory.mktemp("trigger") / "log"
    with server("credit_refresh_user_created", log, GOOGLE_CLOUD_PROJECT=world.settings.project) as started:
        yield started


def copy_of(world: World, path: str):
    """A document as it is now."""
    return world.admin.get(f"{world.admin.documents}/{path}")


def payload(world: World, path: str, old=None) -> bytes:
    """Firestore's event for a document as it is now. `old` is the document before the write; None: it is new."""
    event = DocumentEventData.pb()()
    document = copy_of(world, path)
    if document is not None:
        event.value.MergeFromString(document.SerializeToString())
    if old is not None:
        event.old_value.MergeFromString(old.SerializeToString())
    return event.SerializeToString()


def deliver(trigger, data: bytes, content_type: str = "application/protobuf", **attributes):
    headers = {
        "ce-specversion": "1.0",
        "ce-id": uuid.uuid4().hex,
        "ce-source": "//firestore.googleapis.com/projects/p/databases/(default)",
        "ce-type": CREATED,
        "ce-time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "ce-subject": "documents/users/ann",
        "ce-dataschema": "https://github.com/googleapis/google-cloudevents/blob/main/proto/data.proto",
        **{f"ce-{name}": value for name, value in attributes.items()},
    }
    return trigger.request("POST", data, **{"Content-Type": content_type}, **headers)


def outcome(trigger) -> str:
    """How the event ended, by the last log line: its outcome, or that it was dropped or failed."""
    line = trigger.lines()[-1]
    return line["outcome"] if line["action"] == "credit_refresh_user_created" else line["action"]


def today(world: World) -> str:
    return world.settings.schedule.day_of(datetime.now(UTC)).isoformat()


def stamp_of(world: World, user_id: str) -> dict:
    return world.user(user_id).get("creditRefresh", {})


def receipts_of(world: World, user_id: str) -> list[tuple[str | None, str]]:
    """Kind and outcome of every receipt of a user."""
    return [
        (job.get("kind"), receipt["outcome"])
        for job in world.jobs().values()
        for receipt in job.get("receipts", ())
        if receipt["userId"] == user_id
    ]


def test_a_new_user_is_granted_at_once(world, trigger):
    """The first period is granted and stamped, and the receipt is written with it."""
    world.users({"ann": {"credits": 3, "plan": "free", "name": "Ann"}})

    reply = deliver(trigger, payload(world, "users/ann"))

    user = world.user("ann")
    assert (reply.status, user["credits"], user["name"]) == (200, 50, "Ann")
    assert user["creditRefresh"]["periods"] == {"free": today(world)}
    assert receipts_of(world, "ann") == [("signup", "refreshed")]
    assert user["creditRefresh"]["jobId"] in world.jobs()
    assert user["creditRefresh"]["jobId"].startswith(f"{today(world)}-")
    done = trigger.lines()[-1]
    assert (done["outcome"], done["userId"], done["reads"], done["writes"]) == ("refreshed", "ann", 1, 2)
    assert done["eventId"]


def test_a_second_delivery_changes_nothing(world, trigger):
    """Eventarc delivers at least once. The second delivery finds what has landed."""
    world.users({"twice": {"credits": 3}})
    data = payload(world, "users/twice")

    deliver(trigger, data, id="one-event")
    before = copy_of(world, "users/twice")
    reply = deliver(trigger, data, id="one-event")

    assert (reply.status, outcome(trigger)) == (200, "refreshed")
    assert copy_of(world, "users/twice").update_time == before.update_time
    assert world.user("twice")["credits"] == 50
    assert receipts_of(world, "twice") == [("signup", "refreshed")]


def test_a_late_event_grants_on_the_present_balance(world, trigger):
    """The user has spent credits since the sign-up."""
    world.users({"spender": {"credits": 30}})
    data = payload(world, "users/spender")
    world.update("users/spender", credits=20)

    assert deliver(trigger, data).status == 200

    assert world.user("spender")["creditRefresh"]["before"] == 20
    assert world.user("spender")["credits"] == 50


def test_credits_spent_after_the_sign_up_are_not_given_again(world, trigger):
    """The sign-up has granted the period, so a refresh on the same day grants nothing."""
    world.users({"pro": {"credits": 2000, "plan": "pro"}})
    deliver(trigger, payload(world, "users/pro"))
    world.update("users/pro", credits=500)

    report = world.refresh("pro", now=datetime.now(UTC))

    assert (report.tally.skipped, world.user("pro")["credits"]) == (1, 500)


def test_a_user_granted_meanwhile_is_not_changed(world, trigger):
    """A period is granted once."""
    world.users({"granted": {"credits": 3}})
    data = payload(world, "users/granted")
    world.refresh("granted", now=datetime.now(UTC))
    before = world.user("granted")

    assert (deliver(trigger, data).status, outcome(trigger)) == (200, "already_granted")
    assert world.user("granted") == before


def test_a_balance_that_came_a_second_later_is_granted(world, trigger):
    """The event holds the document without credits, so the function reads the document again."""
    world.users({"late": {"plan": "free"}})
    data = payload(world, "users/late")
    world.update("users/late", credits=0)

    assert (deliver(trigger, data).status, outcome(trigger)) == (200, "refreshed")
    assert world.user("late")["credits"] == 50


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"name": "no balance"}, "no_balance"),
        ({"credits": 1, "creditRefresh": {"paused": True, "dueOn": "2020-01-01"}}, "paused"),
        ({"credits": 1, "creditRefresh": "odd"}, "failed"),
    ],
)
def test_users_without_balance_paused_or_with_an_odd_stamp_are_not_changed(world, trigger, user, expected):
    """A user without a balance is not part of the system. An odd stamp is never replaced."""
    user_id = f"alone-{expected}"
    world.users({user_id: user})

    assert (deliver(trigger, payload(world, f"users/{user_id}")).status, outcome(trigger)) == (200, expected)
    assert world.user(user_id) == user


def test_a_new_user_whose_data_is_bad_is_named_and_due_today(world, trigger):
    """The scan by date then names the user every day until the data is in order."""
    world.users({"bad": {"credits": "ten"}})

    assert deliver(trigger, payload(world, "users/bad")).status == 200

    line = trigger.lines()[-1]
    assert (line["outcome"], line["code"]) == ("failed", "bad_balance")
    assert world.user("bad") == {"credits": "ten", "creditRefresh": {"dueOn": today(world)}}
    assert receipts_of(world, "bad") == [("signup", "failed")]


def test_a_user_deleted_meanwhile_stays_deleted(world, trigger):
    """A write must not create the document again."""
    world.users({"gone": {"credits": 3}})
    data = payload(world, "users/gone")
    world.delete("users/gone")

    assert (deliver(trigger, data).status, outcome(trigger)) == (200, "deleted")
    assert world.get("users/gone") is None


def test_the_pause_holds_sign_ups(world, trigger):
    """The event is answered, and the scan finds the user after the resume."""
    world.pause()
    world.users({"held": {"credits": 3}})
    reply = deliver(trigger, payload(world, "users/held"))
    world.pause(paused=False)

    assert (reply.status, outcome(trigger)) == (200, "held")
    assert world.user("held") == {"credits": 3}


@pytest.mark.parametrize("path", ["teams/t1", "users/ann/things/t1", "teams/t1/users/ann"])
def test_a_document_of_another_collection_is_not_a_user(world, trigger, path):
    """Only documents directly in the users' collection are users."""
    world.put(path, {"credits": 3})

    assert (deliver(trigger, payload(world, path)).status, outcome(trigger)) == (200, "not_a_user")
    assert world.get(path) == {"credits": 3}


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"\xff\xff\xff", "application/protobuf"),
        (b"", "application/protobuf"),
        (b'{"value": {}}', "application/json"),
        (b"not json", "application/json"),
        (b"plain", "text/plain"),
    ],
)
def test_a_bad_event_is_logged_and_dropped(trigger, data, content_type):
    """If it were refused, it would be delivered again for a day."""
    reply = deliver(trigger, data, content_type)

    assert reply.status == 200
    line = trigger.lines()[-1]
    assert (line["action"], line["severity"]) == ("event_dropped", "ERROR")
    assert b"Traceback" not in trigger.log.read_bytes()


def test_a_created_event_with_an_old_document_is_dropped(world, trigger):
    """Its type is that of new documents, but it has a document before the write."""
    world.users({"updated": {"credits": 3}})

    assert deliver(trigger, payload(world, "users/updated", copy_of(world, "users/updated"))).status == 200
    assert outcome(trigger) == "event_dropped"
    assert world.user("updated") == {"credits": 3}


def test_on_the_emulator_an_event_may_name_its_time(world, trigger):
    """An app can then be tried on days that have not come yet."""
    world.users({"later": {"credits": 3}})
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    assert deliver(trigger, payload(world, "users/later"), asof=tomorrow.isoformat()).status == 200
    assert world.user("later")["creditRefresh"]["periods"] == {"free": tomorrow.date().isoformat()}


def test_an_event_with_an_unreadable_time_is_dropped(world, trigger):
    world.users({"odd": {"credits": 3}})

    reply = deliver(trigger, payload(world, "users/odd"), asof="soon")

    assert (reply.status, outcome(trigger)) == (200, "event_dropped")
    assert world.user("odd") == {"credits": 3}


def test_an_event_of_days_ago_is_dropped(world, trigger):
    """A scan has found the user since."""
    world.users({"old": {"credits": 3}})
    ago = (datetime.now(UTC) - timedelta(days=1, minutes=1)).isoformat()

    assert (deliver(trigger, payload(world, "users/old"), time=ago).status, outcome(trigger)) == (200, "event_dropped")
    assert world.user("old") == {"credits": 3}


def test_a_log_line_names_event_and_execution(world, trigger):
    """These ids lead from a line to its delivery."""
    world.users({"traced": {"credits": 3}})
    deliver(trigger, payload(world, "users/traced"), id="event-7")

    assert trigger.lines()[-1]["eventId"] == "event-7"
    assert trigger.lines()[-1]["executionId"]


def test_a_database_that_is_down_has_the_event_delivered_again(world, tmp_path):
    """The answer is 503 without a traceback, and the user is unchanged."""
    world.users({"unlucky": {"credits": 3}})
    data = payload(world, "users/unlucky")
    environ = {"GOOGLE_CLOUD_PROJECT": world.settings.project, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    with server("credit_refresh_user_created", tmp_path / "log", **environ) as unlucky:
        began = time.monotonic()
        reply = deliver(unlucky, data)
        lines = unlucky.lines()

    assert reply.status == 503
    assert lines[-1]["action"] == "event_failed"
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
    assert time.monotonic() - began < 40
    assert world.user("unlucky") == {"credits": 3}


def read(world: World, user_id: str) -> UserDocument:
    (found,) = world.context(NOON).users().read([user_id]).values()
    assert isinstance(found, UserDocument)
    return found


def take(world: World, user_id: str, old: UserDocument | None = None, now=NOON, event_id: str = "event-1"):
    """Call the service for the document as it is now."""
    return take_event(world.context(now), event_id, old, read(world, user_id))


def test_the_day_is_the_schedule_s_own():
    """At 20:00 UTC it is the next day in Tokyo."""
    world = World(timezone="Asia/Tokyo")
    world.users({"ann": {"credits": 3}})

    take(world, "ann", now=MIDNIGHT + timedelta(hours=20))

    assert stamp_of(world, "ann")["periods"] == {"free": (TODAY + DAY).isoformat()}


def test_a_stamp_may_lie_in_a_map_of_the_app():
    """The stamp's name is a setting and may be a dotted path."""
    world = World(stamp_field="billing.refresh")
    world.users({"ann": {"credits": 3, "billing": {"card": "x"}}})

    assert take(world, "ann")["outcome"] == "refreshed"

    assert world.user("ann")["billing"]["card"] == "x"
    assert world.user("ann")["billing"]["refresh"]["periods"] == {"free": TODAY.isoformat()}


def test_a_first_period_that_the_app_grants_is_only_stamped():
    """With SIGN_UP=stamp no credit moves, and there is no receipt."""
    world = World(sign_up="stamp")
    world.users({"ann": {"credits": 700, "plan": "free"}})
    now = datetime.now(UTC)

    answer = take(world, "ann", now=now)

    assert (answer["outcome"], world.user("ann")["credits"], world.jobs()) == ("adopted", 700, {})
    assert stamp_of(world, "ann")["periods"] == {"free": now.date().isoformat()}


def test_a_user_who_changes_all_the_time_is_left_to_the_next_delivery():
    """The number of rounds is limited. No receipt says that the user failed."""
    world = World()
    world.users({"ann": {"credits": 3}})

    with (
        patch.object(UserStore, "write_together", side_effect=ConflictError("changed")) as tried,
        patch.object(UserStore, "lock", side_effect=ConflictError("locked by another")),
        patch("shared.store.wire.WAIT_SECONDS_MAX", 0.01),
        pytest.raises(SystemFailureError, match="ann: changed"),
    ):
        take(world, "ann")

    assert tried.call_count == LIMITS.grant_rounds
    assert world.jobs() == {}


def test_a_user_who_is_locked_for_the_grant_has_a_receipt():
    """The document changed before each write, so the grant locks the user."""
    world = World()
    world.users({"ann": {"credits": 3}})
    with (
        patch.object(UserStore, "write_together", side_effect=ConflictError("changed")),
        patch("shared.store.wire.WAIT_SECONDS_MAX", 0.01),
    ):
        assert take(world, "ann")["outcome"] == "refreshed"

    assert world.user("ann")["credits"] == 50
    assert receipts_of(world, "ann") == [("signup", "refreshed")]


# Events of every write, which an app may choose


def test_a_changed_plan_is_refreshed_by_its_event(world, trigger):
    """No request is needed. The event of the grant itself changes nothing."""
    world.users({"changer": {"credits": 0, "plan": "free"}})
    deliver(trigger, payload(world, "users/changer"), type=WRITTEN)
    before = copy_of(world, "users/changer")
    world.update("users/changer", plan="pro")

    deliver(trigger, payload(world, "users/changer", before), type=WRITTEN)
    changed, first = copy_of(world, "users/changer"), outcome(trigger)
    deliver(trigger, payload(world, "users/changer", before), type=WRITTEN, id="own-write")

    assert (first, world.user("changer")["credits"]) == ("refreshed", 2000)
    assert outcome(trigger) == "nothing"
    assert copy_of(world, "users/changer").update_time == changed.update_time
    assert sorted(receipts_of(world, "changer")) == [("request", "refreshed"), ("signup", "refreshed")]


def test_a_stamp_that_the_app_wiped_is_put_back(world, trigger):
    """The event has the periods from before the app's set() without merge, so none is granted twice."""
    world.users({"wiped": {"credits": 3, "plan": "free"}})
    deliver(trigger, payload(world, "users/wiped"), type=WRITTEN)
    before, stamp = copy_of(world, "users/wiped"), stamp_of(world, "wiped")
    world.users({"wiped": {"credits": 0, "plan": "free"}})

    deliver(trigger, payload(world, "users/wiped", before), type=WRITTEN)

    assert (outcome(trigger), world.user("wiped")["credits"]) == ("already_granted", 0)
    assert stamp_of(world, "wiped") == stamp


def test_the_event_of_a_deletion_changes_nothing(world, trigger):
    world.users({"deleted": {"credits": 3}})
    before = copy_of(world, "users/deleted")
    world.delete("users/deleted")

    assert deliver(trigger, payload(world, "users/deleted", before), type=WRITTEN).status == 200
    assert outcome(trigger) == "deleted"


SPENT: dict[str, Any] = {
    "credits": 1,
    "plan": "adder",
    "creditRefresh": {"periods": {"adder": "2026-11-22"}, "dueOn": "2026-11-23"},
}


@pytest.mark.parametrize(
    ("before", "after", "outcome", "credits_held"),
    [
        ({}, {"credits": 0}, "nothing", 0),
        ({}, {"name": "Ann"}, "nothing", 1),
        ({}, {"plan": "weekly"}, "refreshed", 71),
        ({}, {"creditRefresh": {**SPENT["creditRefresh"], "refreshRequested": True}}, "already_granted", 1),
        ({}, {"creditRefresh": {**SPENT["creditRefresh"], "paused": True}}, "nothing", 1),
        ({}, {"creditRefresh": {}}, "nothing", 1),
        ({"credits": None}, {"credits": 5}, "nothing", 5),
    ],
)
def test_only_a_changed_plan_and_a_request_are_acted_on(before, after, outcome, credits_held):
    """Spending, a profile, a pause, an emptied stamp and a corrected balance are not."""
    world = World(plans=PLANS.replace('policy = "reset"', 'policy = "accumulate"'))
    world.users({"ann": {**SPENT, **before}})
    old = read(world, "ann")
    world.update("users/ann", **after)

    answer = take(world, "ann", old)

    assert (answer["outcome"], world.user("ann")["credits"]) == (outcome, credits_held)
    assert "refreshRequested" not in stamp_of(world, "ann")


def test_the_first_balance_is_a_sign_up():
    """The document existed before. With a balance its user becomes part of the system."""
    world = World()
    world.users({"ann": {"plan": "free"}})
    old = read(world, "ann")
    world.update("users/ann", credits=0)

    assert take(world, "ann", old)["outcome"] == "refreshed"
    assert receipts_of(world, "ann") == [("signup", "refreshed")]


def test_a_wiped_stamp_is_merged_with_one_of_a_later_grant():
    """The user is granted between the wipe and its event, so each stamp has the period of one plan."""
    world = World()
    world.users({"ann": {"credits": 5, "plan": "adder"}})
    world.refresh("ann", now=NOON)
    old = read(world, "ann")
    world.users({"ann": {"credits": 5, "plan": "weekly"}})
    wiped = read(world, "ann")
    world.refresh("ann", now=NOON)

    take_event(world.context(NOON), "event-1", old, wiped)

    assert stamp_of(world, "ann")["periods"] == {"adder": "2026-11-22", "weekly": "2026-11-16"}
    assert world.user("ann")["credits"] == 70
