"""The Firestore trigger over HTTP, as Eventarc delivers it: a CloudEvent in binary mode with a protobuf payload."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from google.events.cloud.firestore import DocumentEventData

from shared.core.errors import ConflictError, SystemFailureError
from shared.services.signup import SignUp, sign_up
from shared.store.users import UserStore
from tests.support.servers import server
from tests.support.world import DAY, MIDNIGHT, NOON, World

CREATED = "google.cloud.firestore.document.v1.created"
TODAY = MIDNIGHT.date()


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def trigger(world, tmp_path_factory):
    log = tmp_path_factory.mktemp("trigger") / "log"
    with server("credit_refresh_user_created", log, GOOGLE_CLOUD_PROJECT=world.settings.project) as started:
        yield started


def payload(world: World, path: str, *, updated: bool = False) -> bytes:
    """What Firestore tells of a document as it is now."""
    document = world.admin.get(f"{world.admin.documents}/{path}")
    event = DocumentEventData.pb()()
    event.value.MergeFromString(document.SerializeToString())
    if updated:
        event.old_value.CopyFrom(event.value)
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
    """The last thing it logged: how the event ended, or that it was dropped or failed."""
    line = trigger.lines()[-1]
    return line["outcome"] if line["action"] == "credit_refresh_user_created" else line["action"]


def today(world: World) -> str:
    return world.settings.schedule.day_of(datetime.now(UTC)).isoformat()


def test_a_new_user_is_due_today(world, trigger):
    """One field of our own is written, and nothing else."""
    world.users({"ann": {"credits": 3, "plan": "free", "name": "Ann"}})

    reply = deliver(trigger, payload(world, "users/ann"))

    assert reply.status == 200
    assert world.user("ann") == {
        "credits": 3,
        "plan": "free",
        "name": "Ann",
        "creditRefresh": {"dueOn": today(world)},
    }
    done = trigger.lines()[-1]
    assert (done["outcome"], done["userId"], done["reads"], done["writes"]) == ("stamped", "ann", 0, 1)
    assert done["eventId"]


def test_a_second_delivery_changes_nothing(world, trigger):
    """Eventarc delivers at least once."""
    world.users({"twice": {"credits": 3}})
    data = payload(world, "users/twice")

    deliver(trigger, data)
    before = world.admin.get(f"{world.admin.documents}/users/twice")
    reply = deliver(trigger, data)

    assert (reply.status, outcome(trigger)) == (200, "has_stamp")
    assert world.admin.get(f"{world.admin.documents}/users/twice").update_time == before.update_time


def test_what_was_written_since_stands(world, trigger):
    """A late event meets a user who has spent credits, and keeps that."""
    world.users({"spender": {"credits": 30}})
    data = payload(world, "users/spender")
    world.update("users/spender", credits=20)

    assert deliver(trigger, data).status == 200

    assert world.user("spender") == {"credits": 20, "creditRefresh": {"dueOn": today(world)}}


def test_a_user_granted_meanwhile_is_left_as_is(world, trigger):
    """The stamp of a grant says when the next one is due; the event must not move that to today."""
    world.users({"granted": {"credits": 3}})
    data = payload(world, "users/granted")
    world.refresh("granted")
    before = world.user("granted")

    assert (deliver(trigger, data).status, outcome(trigger)) == (200, "has_stamp")
    assert world.user("granted") == before


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"name": "no balance"}, "no_balance"),
        ({"credits": 1, "creditRefresh": {"dueOn": "2020-01-01"}}, "has_stamp"),
        ({"credits": 1, "creditRefresh": "odd"}, "odd_stamp"),
    ],
)
def test_who_is_left_alone(world, trigger, user, expected):
    """No balance: not part of the system. A stamp: somebody was first. An odd one: the scan names it."""
    user_id = f"alone-{expected}"
    world.users({user_id: user})

    assert (deliver(trigger, payload(world, f"users/{user_id}")).status, outcome(trigger)) == (200, expected)
    assert world.user(user_id) == user


@pytest.mark.parametrize("stamp", [{"paused": True}, {}, None])
def test_a_stamp_without_a_date_gets_one(world, trigger, stamp):
    """What the app put there before stays."""
    user_id = f"stamp-{len(str(stamp))}"
    world.users({user_id: {"credits": 1, "creditRefresh": stamp}})

    deliver(trigger, payload(world, f"users/{user_id}"))

    assert world.user(user_id)["creditRefresh"] == {**(stamp or {}), "dueOn": today(world)}


def test_a_user_deleted_meanwhile_stays_deleted(world, trigger):
    """A write must not bring back a document."""
    world.users({"gone": {"credits": 3}})
    data = payload(world, "users/gone")
    world.delete("users/gone")

    assert (deliver(trigger, data).status, outcome(trigger)) == (200, "gone")
    assert world.get("users/gone") is None


@pytest.mark.parametrize("path", ["teams/t1", "users/ann/things/t1", "teams/t1/users/ann"])
def test_a_document_elsewhere_is_none_of_our_business(world, trigger, path):
    """Only those directly in the users' collection are users."""
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
    """To refuse it would have it delivered again for a day."""
    reply = deliver(trigger, data, content_type)

    assert reply.status == 200
    line = trigger.lines()[-1]
    assert (line["action"], line["severity"]) == ("event_dropped", "ERROR")
    assert b"Traceback" not in trigger.log.read_bytes()


def test_an_event_of_an_update_is_dropped(world, trigger):
    """A trigger wired to every write would stamp on every write."""
    world.users({"updated": {"credits": 3}})

    assert deliver(trigger, payload(world, "users/updated", updated=True)).status == 200
    assert outcome(trigger) == "event_dropped"
    assert world.user("updated") == {"credits": 3}


def test_on_the_emulator_an_event_may_name_its_time(world, trigger):
    """So that an app can be tried through days that have not come yet."""
    world.users({"later": {"credits": 3}})
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    assert deliver(trigger, payload(world, "users/later"), asof=tomorrow.isoformat()).status == 200
    assert world.user("later")["creditRefresh"]["dueOn"] == tomorrow.date().isoformat()


def test_a_time_that_is_none_has_the_event_dropped(world, trigger):
    """As every event that can't be read."""
    world.users({"odd": {"credits": 3}})

    reply = deliver(trigger, payload(world, "users/odd"), asof="soon")

    assert (reply.status, outcome(trigger)) == (200, "event_dropped")
    assert world.user("odd") == {"credits": 3}


def test_an_event_of_days_ago_is_dropped(world, trigger):
    """The day it is about is over, and a scan has been there."""
    world.users({"old": {"credits": 3}})
    ago = (datetime.now(UTC) - timedelta(days=1, minutes=1)).isoformat()

    assert (deliver(trigger, payload(world, "users/old"), time=ago).status, outcome(trigger)) == (200, "event_dropped")
    assert world.user("old") == {"credits": 3}


def test_the_trace_and_the_event_are_on_every_line(world, trigger):
    """So that a line leads to its delivery."""
    world.users({"traced": {"credits": 3}})
    deliver(trigger, payload(world, "users/traced"), id="event-7")

    assert trigger.lines()[-1]["eventId"] == "event-7"
    assert trigger.lines()[-1]["executionId"]


def test_a_database_that_is_down_has_the_event_delivered_again(world, tmp_path):
    """503, no traceback; a later delivery finds the user still unstamped."""
    world.users({"later": {"credits": 3}})
    data = payload(world, "users/later")
    environ = {"GOOGLE_CLOUD_PROJECT": world.settings.project, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    with server("credit_refresh_user_created", tmp_path / "log", **environ) as unlucky:
        began = time.monotonic()
        reply = deliver(unlucky, data)
        lines = unlucky.lines()

    assert reply.status == 503
    assert lines[-1]["action"] == "event_failed"
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
    assert time.monotonic() - began < 40
    assert world.user("later") == {"credits": 3}


def test_a_retry_after_a_failure_stamps(world, trigger):
    """The same event, once the database is back."""
    world.users({"retried": {"credits": 3}})
    data = payload(world, "users/retried")

    deliver(trigger, data, id="again")
    deliver(trigger, data, id="again")

    assert world.user("retried")["creditRefresh"] == {"dueOn": today(world)}


def created(world: World, user_id: str):
    (found,) = world.context(NOON).users().read([user_id]).values()
    return found


def test_the_due_scan_finds_a_new_user_and_no_other_does():
    """Without the stamp a cheap scan passes a new user by."""
    world = World()
    world.users({"old": {"credits": 3}})
    world.day()
    world.users({"stamped": {"credits": 3}, "unstamped": {"credits": 3}})
    sign_up(world.context(NOON + DAY), created(world, "stamped"))

    world.build(MIDNIGHT + DAY, scan="due")
    world.work(MIDNIGHT + 2 * DAY - timedelta(minutes=1))

    assert (world.user("stamped")["credits"], world.user("unstamped")["credits"]) == (50, 3)


def test_the_day_is_the_schedule_s_own():
    """In the evening of UTC it is the next day in Tokyo."""
    world = World(timezone="Asia/Tokyo")
    world.users({"ann": {"credits": 3}})

    sign_up(world.context(MIDNIGHT + timedelta(hours=20)), created(world, "ann"))

    assert world.user("ann")["creditRefresh"]["dueOn"] == (TODAY + DAY).isoformat()


def test_a_dotted_stamp_field_is_stamped_where_it_is():
    """The fields' names are settings."""
    world = World(stamp_field="billing.refresh")
    world.users({"ann": {"credits": 3, "billing": {"card": "x"}}})

    assert sign_up(world.context(NOON), created(world, "ann")) is SignUp.STAMPED

    assert world.user("ann")["billing"] == {"card": "x", "refresh": {"dueOn": TODAY.isoformat()}}


def test_a_user_that_never_stands_still_is_left_to_the_next_delivery():
    """Bounded: five rounds, then the trigger's own retry."""
    world = World()
    world.users({"ann": {"credits": 3}})
    document = created(world, "ann")

    with (
        patch.object(UserStore, "stamp_due", side_effect=ConflictError("changed")) as tried,
        patch("shared.store.wire.WAIT_SECONDS_MAX", 0.01),
        pytest.raises(SystemFailureError, match="ann keeps changing"),
    ):
        sign_up(world.context(NOON), document)

    assert tried.call_count == 5
