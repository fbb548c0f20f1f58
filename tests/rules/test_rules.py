"""firestore.rules, tried by Firebase's client SDK: what a user, an admin and a stranger may do, and what nobody may."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

ALLOWED = "allowed"
DENIED = "permission-denied"

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOCUMENT = {
    "credits": 50,
    "plan": "free",
    "createdAt": NOON,
    "creditRefresh": {"plan": "free", "periods": {"free": "2026-11-22"}, "dueOn": "2026-11-23"},
    "name": "Ann",
    "settings": {"theme": "dark"},
}
OURS = ["credit_refresh_jobs", "credit_refresh_runs", "credit_refresh_control"]


@pytest.fixture
def owner(auth, database):
    """Somebody with an account and a document."""
    user = auth.create_user()
    database.create("users", [(user.uid, DOCUMENT)])
    return user


@pytest.fixture
def people(auth, owner):
    """Whoever else there is."""
    return {
        "nobody": None,
        "owner": owner,
        "stranger": auth.create_user(),
        "admin": auth.create_admin(),
        "unverified admin": auth.create_user(claims={"admin": True}, verified=False),
        "so-called admin": auth.create_user(claims={"admin": "true"}),
        "former admin": auth.create_user(claims={"admin": False}),
    }


@pytest.mark.parametrize(
    ("who", "outcome"),
    [("owner", ALLOWED), ("stranger", DENIED), ("nobody", DENIED), ("admin", DENIED)],
)
def test_a_user_reads_its_own_document(client, owner, people, who, outcome):
    """And nobody else's; admins look users up in the monitor, which keeps a log."""
    assert outcome == client.tries(people[who], "get", f"users/{owner.uid}")


@pytest.mark.parametrize("who", ["owner", "stranger", "nobody", "admin"])
@pytest.mark.parametrize(("op", "data"), [("list", None), ("find", ["plan", "==", "free"])])
def test_nobody_lists_users(client, people, who, op, data):
    """Not even for one's own: there is one document, and its id is known."""
    assert client.tries(people[who], op, "users", data) == DENIED


@pytest.mark.parametrize(
    ("op", "data"),
    [
        ("update", {"name": "Bea"}),
        ("update", {"settings.theme": "light"}),
        ("update", {"name": "$deleteField"}),
        ("update", {"seenAt": "$serverTimestamp"}),
        ("merge", {"name": "Bea", "settings": {"size": 3}}),
        ("update", {"credits": 50, "name": "Bea"}),
    ],
)
def test_a_user_changes_what_is_its_own(client, owner, op, data):
    """A guarded field that stays as it is does no harm."""
    assert client.tries(owner, op, f"users/{owner.uid}", data) == ALLOWED


GUARDED = [
    ("update", {"credits": 51}),
    ("update", {"credits": 0}),
    ("update", {"credits": "$increment"}),
    ("update", {"credits": "$deleteField"}),
    ("update", {"credits": "50"}),
    ("update", {"credits": 51, "name": "Bea"}),
    ("merge", {"credits": 51}),
    ("set", {"name": "Bea"}),
    ("set", {"credits": 51, "plan": "free"}),
    ("update", {"purchased": 500}),
    ("merge", {"purchased": 500, "name": "Bea"}),
    ("update", {"plan": "pro"}),
    ("update", {"plan": "$deleteField"}),
    ("update", {"plan": {"name": "pro"}}),
    ("update", {"createdAt": "$serverTimestamp"}),
    ("update", {"createdAt": "$deleteField"}),
    ("update", {"creditRefresh": "$deleteField"}),
    ("update", {"creditRefresh": {}}),
    ("update", {"creditRefresh.paused": True}),
    ("update", {"creditRefresh.periods.free": "2020-01-01"}),
    ("update", {"creditRefresh.periods": "$deleteField"}),
    ("update", {"creditRefresh.anchor": "$serverTimestamp"}),
    ("update", {"creditRefresh.override": {"plan": "free", "allowance": 1000}}),
    ("merge", {"creditRefresh": {"periods": {"free": "$deleteField"}}}),
    ("delete", None),
    ("recreate", {"name": "Ann"}),
    ("recreate", {**DOCUMENT, "createdAt": None, "credits": 1000}),
]


@pytest.mark.parametrize(("op", "data"), GUARDED)
def test_a_user_does_not_touch_what_its_credits_hang_on(client, owner, op, data):
    """Not whole, not inside, not by a transform, not by replacing the document, not by coming back as new."""
    assert client.tries(owner, op, f"users/{owner.uid}", data) == DENIED


NAME = {"stringValue": "Bea"}
STAMP = {
    "plan": {"stringValue": "free"},
    "granted": {"integerValue": "7"},
    "override": {"mapValue": {"fields": {"plan": {"stringValue": "free"}, "allowance": {"integerValue": "70"}}}},
}
FLOAT_OVERRIDE = {"mapValue": {"fields": {"plan": {"stringValue": "free"}, "allowance": {"doubleValue": 70}}}}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"name": NAME}, ALLOWED),
        ({"credits": {"integerValue": "50"}, "name": NAME}, ALLOWED),
        ({"credits": {"doubleValue": 50}}, DENIED),
        ({"credits": {"doubleValue": 50}, "name": NAME}, DENIED),
        ({"purchased": {"integerValue": "3"}}, DENIED),
        ({"purchased": {"doubleValue": 2.5}}, ALLOWED),
        ({"creditRefresh": {"mapValue": {"fields": STAMP}}}, ALLOWED),
        ({"creditRefresh": {"mapValue": {"fields": {**STAMP, "granted": {"doubleValue": 7}}}}}, DENIED),
        ({"creditRefresh": {"mapValue": {"fields": {**STAMP, "override": FLOAT_OVERRIDE}}}}, DENIED),
    ],
)
def test_a_number_stays_whole(auth, database, rest, fields, outcome):
    """The rules' own comparison takes 50 and 50.0 for the same; what is written as it was does no harm."""
    stamp = {"plan": "free", "granted": 7, "override": {"plan": "free", "allowance": 70}}
    user = auth.create_user()
    database.create("users", [(user.uid, {"credits": 50, "purchased": 2.5, "plan": "free", "creditRefresh": stamp})])

    assert outcome == rest.patches(user, f"users/{user.uid}", fields)


def test_whoever_has_an_odd_stamp_still_writes_what_is_their_own(auth, client, database):
    """A stamp that is no map is not theirs to mend."""
    user = auth.create_user()
    database.create("users", [(user.uid, {"credits": "x", "creditRefresh": "x"})])

    assert client.tries(user, "update", f"users/{user.uid}", {"name": "Bea"}) == ALLOWED


@pytest.mark.parametrize("who", ["nobody", "stranger", "admin"])
@pytest.mark.parametrize("attempt", [("update", {"name": "Bea"}), ("merge", {"credits": 51}), ("delete", None)])
def test_nobody_writes_the_document_of_another(client, owner, people, who, attempt):
    """Admins neither: they have the monitor."""
    op, data = attempt

    assert client.tries(people[who], op, f"users/{owner.uid}", data) == DENIED


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        ({"name": "Ann"}, ALLOWED),
        ({}, ALLOWED),
        ({"name": "Ann", "credits": 0}, DENIED),
        ({"credits": "$increment"}, DENIED),
        ({"plan": "free"}, DENIED),
        ({"createdAt": "$serverTimestamp"}, DENIED),
        ({"creditRefresh": {}}, DENIED),
        ({"creditRefresh": {"periods": {"free": "2000-01-01"}}}, DENIED),
    ],
)
def test_a_user_creates_its_document_without_a_balance(client, auth, data, outcome):
    """The first balance, the plan and the day it counts from are given by the app's server."""
    newcomer = auth.create_user()

    assert outcome == client.tries(newcomer, "set", f"users/{newcomer.uid}", data)


@pytest.mark.parametrize("who", ["nobody", "stranger", "admin"])
def test_nobody_creates_the_document_of_another(client, auth, people, who):
    """A document that waits for its user is the server's business."""
    newcomer = auth.create_user()

    assert client.tries(people[who], "set", f"users/{newcomer.uid}", {"name": "Ann"}) == DENIED


@pytest.mark.parametrize("path", [f"{name}/one{below}" for name in OURS for below in ("", "/shards/0", "/a/b/c/d")])
@pytest.mark.parametrize(
    ("who", "outcome"),
    [
        ("admin", ALLOWED),
        ("unverified admin", DENIED),
        ("so-called admin", DENIED),
        ("former admin", DENIED),
        ("owner", DENIED),
        ("nobody", DENIED),
    ],
)
def test_admins_alone_read_jobs_runs_and_control(client, people, path, who, outcome):
    """And everything below them; the claim is exactly true."""
    assert outcome == client.tries(people[who], "get", path)


@pytest.mark.parametrize("collection", OURS)
@pytest.mark.parametrize(("who", "outcome"), [("admin", ALLOWED), ("owner", DENIED), ("nobody", DENIED)])
def test_admins_alone_list_them(client, people, collection, who, outcome):
    """As a console would."""
    assert outcome == client.tries(people[who], "list", collection)


WRITES = [
    ("set", "/made-up", {"status": "pending"}),
    ("update", "/state", {"paused": True}),
    ("delete", "/state", None),
    ("set", "/state/shards/0", {"refreshed": 1}),
    ("add", "", {"status": "pending"}),
]


@pytest.fixture
def state(database):
    """Something in each of them."""
    for collection in OURS:
        database.create(collection, [("state", {"paused": False})])


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("who", ["admin", "owner", "nobody"])
@pytest.mark.parametrize("attempt", [(op, f"{name}{below}", data) for name in OURS for op, below, data in WRITES])
def test_nobody_writes_them(client, people, who, attempt):
    """A job that anybody could write would grant whatever it says; admins act through the monitor."""
    assert client.tries(people[who], *attempt) == DENIED


def test_what_the_example_does_not_name_stays_closed(client, people):
    """It adds nothing to the rest of the app's database."""
    assert {client.tries(user, "get", "elsewhere/one") for user in people.values()} == {DENIED}
