"""firestore.rules, tried with Firebase's client SDK: what users, admins and strangers may do, and what nobody may."""

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
    """A user with an account and a document."""
    user = auth.create_user()
    database.create("users", [(user.uid, DOCUMENT)])
    return user


@pytest.fixture
def people(auth, owner):
    """The owner and all other kinds of callers."""
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
    """Nobody else reads it. Admins look users up in the monitor, which logs that."""
    assert outcome == client.attempt(people[who], "get", f"users/{owner.uid}")


@pytest.mark.parametrize("who", ["owner", "stranger", "nobody", "admin"])
@pytest.mark.parametrize(("op", "data"), [("list", None), ("find", ["plan", "==", "free"])])
def test_nobody_lists_users(client, people, who, op, data):
    """Not even to find their own document, because its id is known."""
    assert client.attempt(people[who], op, "users", data) == DENIED


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
def test_a_user_changes_its_own_fields(client, owner, op, data):
    """A guarded field may be written with its present value."""
    assert client.attempt(owner, op, f"users/{owner.uid}", data) == ALLOWED


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
def test_a_user_can_not_change_what_decides_its_credits(client, owner, op, data):
    """Neither whole fields nor parts, by no transform, and not by replacing or recreating the document."""
    assert client.attempt(owner, op, f"users/{owner.uid}", data) == DENIED


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
    """For the rules' comparison 50 and 50.0 are equal. Writing the same value again is allowed."""
    stamp = {"plan": "free", "granted": 7, "override": {"plan": "free", "allowance": 70}}
    user = auth.create_user()
    database.create("users", [(user.uid, {"credits": 50, "purchased": 2.5, "plan": "free", "creditRefresh": stamp})])

    assert outcome == rest.patch(user, f"users/{user.uid}", fields)


def test_a_user_with_an_odd_stamp_changes_its_own_fields(auth, client, database):
    """The user can't correct a stamp that is no map."""
    user = auth.create_user()
    database.create("users", [(user.uid, {"credits": "x", "creditRefresh": "x"})])

    assert client.attempt(user, "update", f"users/{user.uid}", {"name": "Bea"}) == ALLOWED


@pytest.mark.parametrize("who", ["nobody", "stranger", "admin"])
@pytest.mark.parametrize("attempt", [("update", {"name": "Bea"}), ("merge", {"credits": 51}), ("delete", None)])
def test_nobody_writes_the_document_of_another_user(client, owner, people, who, attempt):
    """Not even admins, who have the monitor."""
    op, data = attempt

    assert client.attempt(people[who], op, f"users/{owner.uid}", data) == DENIED


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
    """The app's server sets the first balance, the plan and the time of the sign-up."""
    newcomer = auth.create_user()

    assert outcome == client.attempt(newcomer, "set", f"users/{newcomer.uid}", data)


@pytest.mark.parametrize("who", ["nobody", "stranger", "admin"])
def test_nobody_creates_the_document_of_another_user(client, auth, people, who):
    """Only the app's server may create it in advance."""
    newcomer = auth.create_user()

    assert client.attempt(people[who], "set", f"users/{newcomer.uid}", {"name": "Ann"}) == DENIED


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
def test_only_admins_read_jobs_runs_and_control(client, people, path, who, outcome):
    """Also everything below them. The claim must be exactly true."""
    assert outcome == client.attempt(people[who], "get", path)


@pytest.mark.parametrize("collection", OURS)
@pytest.mark.parametrize(("who", "outcome"), [("admin", ALLOWED), ("owner", DENIED), ("nobody", DENIED)])
def test_only_admins_list_jobs_runs_and_control(client, people, collection, who, outcome):
    """As a console does."""
    assert outcome == client.attempt(people[who], "list", collection)


WRITES = [
    ("set", "/made-up", {"status": "pending"}),
    ("update", "/state", {"paused": True}),
    ("delete", "/state", None),
    ("set", "/state/shards/0", {"refreshed": 1}),
    ("add", "", {"status": "pending"}),
]


@pytest.fixture
def state(database):
    """A document in each of our collections."""
    for collection in OURS:
        database.create(collection, [("state", {"paused": False})])


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("who", ["admin", "owner", "nobody"])
@pytest.mark.parametrize("attempt", [(op, f"{name}{below}", data) for name in OURS for op, below, data in WRITES])
def test_nobody_writes_jobs_runs_and_control(client, people, who, attempt):
    """Whoever could write a job could grant credits. Admins act through the monitor."""
    assert client.attempt(people[who], *attempt) == DENIED


def test_the_rules_open_no_other_collection(client, people):
    """They change nothing for the rest of the app's database."""
    assert {client.attempt(user, "get", "elsewhere/one") for user in people.values()} == {DENIED}
