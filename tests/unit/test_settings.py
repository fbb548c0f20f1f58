"""Settings: defaults and ranges. Every bad value is named at once, and an empty value counts as not set."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.files import read_environment
from shared.core.errors import ConfigurationError
from shared.core.schedule import Schedule
from shared.settings import BUNDLE, PREFIX, UNPREFIXED, Settings, read_plans, read_settings

EMULATOR = {"FIRESTORE_EMULATOR_HOST": "localhost:8085"}

DEFAULTS = {
    "project": None,
    "emulator_host": None,
    "database": "(default)",
    "plans_file": BUNDLE / "plans.toml",
    "timezone": "UTC",
    "window_seconds": 86_400,
    "window_start_seconds": 0,
    "slot_seconds": 300,
    "stagger": "hash",
    "job_size": 300,
    "lease_seconds": 120,
    "max_attempts": 3,
    "retention_days": 90,
    "breaker_failures": 5,
    "breaker_reset_seconds": 60,
    "users_collection": "users",
    "balance_field": "credits",
    "plan_field": "plan",
    "stamp_field": "creditRefresh",
    "created_at_field": "createdAt",
    "purchased_field": None,
    "zone_field": None,
    "sign_up": "grant",
    "collection_prefix": "credit_refresh",
    "full_scan_days": 7,
    "full_scan_below": 20_000,
    "proof_tolerance": 0,
    "merge_minutes": 0,
    "environment": None,
    "standing_failures_max": 100,
    "price_read": 0.03,
    "price_write": 0.09,
    "auth": None,
    "auth_emulator_host": None,
    "firebase_api_key": None,
    "firebase_auth_domain": None,
}


FIELDS = ["BALANCE_FIELD", "PLAN_FIELD", "STAMP_FIELD", "CREATED_AT_FIELD", "PURCHASED_FIELD", "ZONE_FIELD"]


def prefixed(values: dict[str, str]) -> dict[str, str]:
    return {name if name in UNPREFIXED.values() else PREFIX + name: value for name, value in values.items()}


def problems_of(values: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(prefixed(values))
    return raised.value.problems


def test_an_empty_environment_gives_the_defaults():
    assert read_settings({}).model_dump() == DEFAULTS


def test_every_variable_is_read():
    """Each is read by its name and converted to its type."""
    environ = prefixed(
        {
            "GOOGLE_CLOUD_PROJECT": "acme-prod",
            "FIRESTORE_EMULATOR_HOST": "localhost:8085",
            "DATABASE": "credits",
            "PLANS_FILE": "/etc/plans.toml",
            "TIMEZONE": "Europe/Berlin",
            "WINDOW_SECONDS": "3600",
            "WINDOW_START_SECONDS": "7200",
            "SLOT_SECONDS": "60",
            "STAGGER": "quiet",
            "JOB_SIZE": "1",
            "FULL_SCAN_DAYS": "3",
            "FULL_SCAN_BELOW": "0",
            "PROOF_TOLERANCE": "5",
            "MERGE_MINUTES": "60",
            "LEASE_SECONDS": "10",
            "MAX_ATTEMPTS": "7",
            "RETENTION_DAYS": "30",
            "BREAKER_FAILURES": "2",
            "BREAKER_RESET_SECONDS": "5",
            "USERS_COLLECTION": "tenants/acme/users",
            "BALANCE_FIELD": "wallet.credits",
            "PLAN_FIELD": "billing.plan",
            "STAMP_FIELD": "wallet.refresh",
            "CREATED_AT_FIELD": "meta.created",
            "PURCHASED_FIELD": "wallet.bought",
            "ZONE_FIELD": "profile.zone",
            "SIGN_UP": "stamp",
            "COLLECTION_PREFIX": "images",
            "ENVIRONMENT": "staging",
            "STANDING_FAILURES_MAX": "0",
            "PRICE_READ": "0",
            "PRICE_WRITE": "0.18",
            "AUTH": "off",
            "FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099",
            "FIREBASE_API_KEY": "AIzaSy-A_1",
            "FIREBASE_AUTH_DOMAIN": "login.acme.example",
        }
    )

    assert read_settings(environ).model_dump() == {
        "project": "acme-prod",
        "emulator_host": "localhost:8085",
        "database": "credits",
        "plans_file": Path("/etc/plans.toml"),
        "timezone": "Europe/Berlin",
        "window_seconds": 3600,
        "window_start_seconds": 7200,
        "slot_seconds": 60,
        "stagger": "quiet",
        "job_size": 1,
        "lease_seconds": 10,
        "max_attempts": 7,
        "retention_days": 30,
        "breaker_failures": 2,
        "breaker_reset_seconds": 5,
        "users_collection": "tenants/acme/users",
        "balance_field": "wallet.credits",
        "plan_field": "billing.plan",
        "stamp_field": "wallet.refresh",
        "created_at_field": "meta.created",
        "purchased_field": "wallet.bought",
        "zone_field": "profile.zone",
        "sign_up": "stamp",
        "collection_prefix": "images",
        "full_scan_days": 3,
        "full_scan_below": 0,
        "proof_tolerance": 5,
        "merge_minutes": 60,
        "environment": "staging",
        "standing_failures_max": 0,
        "price_read": 0.0,
        "price_write": 0.18,
        "auth": "off",
        "auth_emulator_host": "localhost:9099",
        "firebase_api_key": "AIzaSy-A_1",
        "firebase_auth_domain": "login.acme.example",
    }


def test_an_empty_variable_is_unset():
    """Deployments leave a value empty where they don't want to set it."""
    names = [UNPREFIXED.get(field, PREFIX + field.upper()) for field in Settings.model_fields]

    assert read_settings({}) == read_settings(dict.fromkeys(names, ""))


def test_other_variables_are_ignored():
    """The environment holds much that is not ours."""
    assert read_settings({}) == read_settings({"PATH": "/bin", "JOB_SIZE": "x", "CREDIT_REFRESH": "red"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("COLOUR", "there is no such setting; remove it"),
        ("TIMEZON", "there is no such setting; did you mean CREDIT_REFRESH_TIMEZONE?"),
        ("EMULATOR_HOST", "there is no such setting; FIRESTORE_EMULATOR_HOST is the name"),
        ("AUTH_EMULATOR_HOST", "there is no such setting; FIREBASE_AUTH_EMULATOR_HOST is the name"),
        ("PROJECT", "there is no such setting; GOOGLE_CLOUD_PROJECT is the name"),
        ("job_size", "there is no such setting; did you mean CREDIT_REFRESH_JOB_SIZE?"),
        ("", "there is no such setting; remove it"),
    ],
)
def test_an_unknown_setting_is_an_error(name, message):
    """A name with our prefix that does nothing would not be noticed."""
    problems = problems_of({name: "x", "SLOT_SECONDS": "0"})

    assert problems[0] == f"{PREFIX}{name}: {message}"
    assert len(problems) == 2
    assert problems_of({name: "x"}) == problems[:1]
    assert read_settings({PREFIX + name: ""}) == read_settings({})


@pytest.mark.parametrize(
    "line", ["CREDIT_REFRESH_USERS_COLLECTION=users,database=evil", "CREDIT_REFRESH_EMULATOR_HOST=127.0.0.1:1"]
)
def test_a_deployment_refuses_wrong_settings_too(tmp_path, line):
    """It reads them before anything is changed."""
    path = tmp_path / "settings.env"
    path.write_text(f"{line}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=line.partition("=")[0]):
        read_environment(path, "acme-prod")


@pytest.mark.parametrize(
    "name",
    [
        "users,database=evil",
        "users=x",
        "users/{userId}/credits",
        "use*rs",
        "users\n",
        " users",
        "users ",
        "--users",
        "users;reboot",
        "$(reboot)",
        "`users`",
        "tenants/acme,x/users",
    ],
)
def test_the_name_of_a_collection_has_no_special_characters(name):
    """It becomes a part of commands and of a trigger's pattern."""
    (problem,) = problems_of({"USERS_COLLECTION": name})

    assert "is not the path of a collection" in problem


@pytest.mark.parametrize("name", ["users", "Users", "user_profiles", "app-users", "App Users", "kunden_ü", "u.v2"])
def test_usual_names_of_the_users_collection_are_accepted(name):
    """A name may have letters of any language, digits, and blanks inside."""
    assert read_settings({"CREDIT_REFRESH_USERS_COLLECTION": name}).users_collection == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("\ufeff{}", "it holds U+FEFF, which nobody sees; type the name anew"),
        ("{}\u200b", "it holds U+200B, which nobody sees; type the name anew"),
        ("a\u2060{}", "it holds U+2060, which nobody sees; type the name anew"),
        ("\u202e{}", "it holds U+202E, which nobody sees; type the name anew"),
        ("{}\u200d", "it holds U+200D, which nobody sees; type the name anew"),
        ("{}\udcff", "it holds U+DCFF, which nobody sees; type the name anew"),
    ],
)
@pytest.mark.parametrize("name", [*FIELDS, "USERS_COLLECTION"])
def test_a_name_with_a_character_that_nobody_sees_is_refused(name, value, message):
    """No document has such a field, so no user would be refreshed, and nobody would see why."""
    value = value.format("some")

    assert problems_of({name: value}) == (f"{PREFIX}{name}={value!r}: {message}",)


@pytest.mark.parametrize("value", [" some", "some ", "some\u00a0", "\u2003some", "a. some", "a .some"])
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_begins_or_ends_with_white_space_is_refused(name, value):
    """Each name of a path is looked at. Blanks inside a name are fine."""
    (problem,) = problems_of({name: value})

    message = "a name begins or ends with white space; leave it out"
    assert problem == f"{PREFIX}{name}={value!r}: {message}"


@pytest.mark.parametrize("value", ['"some"', "'some'", '"a.b"'])
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_in_quotes_is_refused(name, value):
    """Shells and some tools take quotes away, and others leave them."""
    (problem,) = problems_of({name: value})

    assert problem == f"{PREFIX}{name}={value!r}: the quotes around it would be part of the name; leave them out"


@pytest.mark.parametrize(
    "value",
    [
        "`tick`",
        "credits left",
        "👛.💳",
        "👩\u200d👧",
        "क्\u200dष",
        "it's",
        'the "best"',
        "a-b",
        "a\\b",
        "[a]",
        "über",
        "1",
    ],
)
@pytest.mark.parametrize("name", FIELDS)
def test_a_field_may_have_any_name_that_is_seen(name, value):
    """Emoji and some scripts join their characters by others that nobody sees."""
    field = name.lower()
    assert getattr(read_settings({PREFIX + name: value}), field) == value


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\r", "{}\n"])
@pytest.mark.parametrize(("name", "value"), [("JOB_SIZE", "300"), ("PRICE_READ", "0.03")])
def test_a_number_may_have_white_space_around_it(name, value, around):
    """It means the same number."""
    assert read_settings({PREFIX + name: around.format(value)}) == read_settings({})


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\r", "\ufeff{}", '"{}"', "{}\u200b"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE_CLOUD_PROJECT", "acme"),
        ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1"),
        ("DATABASE", "credits"),
        ("PLANS_FILE", "plans.toml"),
        ("TIMEZONE", "UTC"),
        ("STAGGER", "hash"),
        ("USERS_COLLECTION", "users"),
        ("SIGN_UP", "grant"),
        ("COLLECTION_PREFIX", "credits"),
        ("AUTH", "on"),
        ("FIREBASE_API_KEY", "AIza"),
        ("FIREBASE_AUTH_DOMAIN", "acme.example"),
    ],
)
def test_any_other_value_with_something_around_it_is_refused(name, value, around):
    """The name of the environment is the only free text, because it is only shown."""
    with pytest.raises(ConfigurationError, match=name):
        read_plans(read_settings(prefixed({name: around.format(value)})))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (name, value)
            for name, bad in {
                "WINDOW_SECONDS": ["0", "86401"],
                "SLOT_SECONDS": ["0", "86401"],
                "JOB_SIZE": ["0", "501"],
                "LEASE_SECONDS": ["9", "3601"],
                "MAX_ATTEMPTS": ["0", "101"],
                "RETENTION_DAYS": ["0", "3651"],
                "BREAKER_FAILURES": ["0", "1001"],
                "BREAKER_RESET_SECONDS": ["0", "3601"],
            }.items()
            for value in [*bad, "-1", "x", "1.5", "1e2", "true", "NaN", " ", "99999999999999999999"]
        ],
        *[("TIMEZONE", value) for value in ("utc", "CEST", "Europe/Bonn", "+01:00", "../UTC")],
        *[("DATABASE", value) for value in ("Credits", "ab", "1abc", "a" * 64, "abcd-", "abcd\n")],
        *[("PRICE_READ", value) for value in ("-0.01", "nan", "inf", "free", "1001")],
        ("PRICE_WRITE", "-1"),
        *[("STANDING_FAILURES_MAX", value) for value in ("-1", "some", "1000001")],
        ("ENVIRONMENT", "x" * 41),
        *[("USERS_COLLECTION", value) for value in ("a/b", "/users", "users/", "a//b", "../users/x", "__users__", ".")],
        *[("BALANCE_FIELD", value) for value in (".", "a.", ".a", "a..b", "__credits__", "a.__b__")],
        ("PLAN_FIELD", "a..b"),
        ("STAMP_FIELD", "__name__"),
        ("CREATED_AT_FIELD", "a."),
        ("PURCHASED_FIELD", "a..b"),
        *[("SIGN_UP", value) for value in ("STAMP", "none", "true")],
        *[("COLLECTION_PREFIX", value) for value in ("a/b", "_a", "9a", "a b", "ä", "a" * 65, "__a__", "a\n")],
        *[("AUTH", value) for value in ("ON", "no", "false", "0")],
        *[("FIREBASE_API_KEY", value) for value in ("a b", "AIza'", "ä", "a" * 201, "a\n")],
        *[
            ("FIREBASE_AUTH_DOMAIN", value)
            for value in ("https://acme.com", "acme", "acme.com/", "acme.com; script-src *", "Acme.com", "a..b", "a.1")
        ],
    ],
)
def test_a_bad_value_is_named(name, value):
    """The message has the variable, its value, and what is wrong with it."""
    (problem,) = problems_of({name: value})

    assert problem.startswith(f"{PREFIX}{name}={value!r}: ")
    assert not problem.endswith(": ")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"JOB_SIZE": "501"}, "CREDIT_REFRESH_JOB_SIZE='501': Input should be less than or equal to 500"),
        (
            {"TIMEZONE": "CEST"},
            "CREDIT_REFRESH_TIMEZONE='CEST': 'CEST' is not an IANA time zone such as UTC or Europe/Berlin",
        ),
        ({"PLAN_FIELD": "credits"}, "CREDIT_REFRESH_PLAN_FIELD='credits': the plan must be apart from the balance"),
        (
            {"AUTH": "off"},
            "CREDIT_REFRESH_AUTH='off': for the emulator only; set FIRESTORE_EMULATOR_HOST or leave it on",
        ),
        (
            {"AUTH": "off", "FIRESTORE_EMULATOR_HOST": ""},
            "CREDIT_REFRESH_AUTH='off': for the emulator only; set FIRESTORE_EMULATOR_HOST or leave it on",
        ),
        (
            {"FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099"},
            (
                "FIREBASE_AUTH_EMULATOR_HOST='localhost:9099': for the emulator only, as its tokens are unsigned; "
                "unset it or set FIRESTORE_EMULATOR_HOST"
            ),
        ),
        (
            {"FIREBASE_AUTH_EMULATOR_HOST": "http://x:1", **EMULATOR},
            (
                "FIREBASE_AUTH_EMULATOR_HOST='http://x:1': 'http://x:1' is not an address such as 127.0.0.1:9099, "
                "without http://"
            ),
        ),
        (
            {"FIRESTORE_EMULATOR_HOST": "localhost"},
            "FIRESTORE_EMULATOR_HOST='localhost': 'localhost' is not an address such as 127.0.0.1:9099, without http://",
        ),
        (
            {"GOOGLE_CLOUD_PROJECT": "a/b c"},
            "GOOGLE_CLOUD_PROJECT='a/b c': 'a/b c' is not the id of a project such as acme-prod",
        ),
        *[
            (
                {"USERS_COLLECTION": f"credits_{ours}", "COLLECTION_PREFIX": "credits"},
                f"CREDIT_REFRESH_COLLECTION_PREFIX='credits': the users must be apart from our own credits_{ours}",
            )
            for ours in ("jobs", "runs", "control")
        ],
        *[
            (
                fields,
                f"CREDIT_REFRESH_STAMP_FIELD={stamp!r}: the stamp must be apart from the balance and the plan",
            )
            for stamp, fields in (
                ("credits", {"STAMP_FIELD": "credits"}),
                ("plan", {"STAMP_FIELD": "plan"}),
                ("credits.stamp", {"STAMP_FIELD": "credits.stamp"}),
                ("wallet", {"STAMP_FIELD": "wallet", "BALANCE_FIELD": "wallet.credits"}),
                ("creditRefresh", {"PLAN_FIELD": "creditRefresh.plan"}),
            )
        ],
        *[
            (
                {name: value},
                f"CREDIT_REFRESH_{name}={value!r}: it must be apart from CREDIT_REFRESH_{other}",
            )
            for name, value, other in (
                ("PURCHASED_FIELD", "credits", "BALANCE_FIELD=credits"),
                ("PURCHASED_FIELD", "credits.bought", "BALANCE_FIELD=credits"),
                ("PURCHASED_FIELD", "plan", "PLAN_FIELD=plan"),
                ("PURCHASED_FIELD", "creditRefresh.bought", "STAMP_FIELD=creditRefresh"),
                ("PURCHASED_FIELD", "createdAt", "CREATED_AT_FIELD=createdAt"),
                ("ZONE_FIELD", "credits", "BALANCE_FIELD=credits"),
                ("ZONE_FIELD", "creditRefresh.zone", "STAMP_FIELD=creditRefresh"),
                ("CREATED_AT_FIELD", "creditRefresh.created", "STAMP_FIELD=creditRefresh"),
            )
        ],
    ],
)
def test_the_message_says_what_is_wrong(values, problem):
    """This includes values that don't fit together."""
    assert (problem,) == problems_of(values)


@pytest.mark.parametrize(
    "values",
    [
        {"AUTH": "on"},
        {"AUTH": "off", **EMULATOR},
        {"WINDOW_SECONDS": "1", "SLOT_SECONDS": "1"},
        {"WINDOW_SECONDS": "86400", "SLOT_SECONDS": "86400"},
        {"STAMP_FIELD": "wallet.stamp", "BALANCE_FIELD": "wallet.credits", "PLAN_FIELD": "wallet.plan"},
        {"STAMP_FIELD": "creditsRefresh"},
        {"PURCHASED_FIELD": "wallet.bought", "BALANCE_FIELD": "wallet.credits"},
        {"PURCHASED_FIELD": "creditsBought", "CREATED_AT_FIELD": "meta.created at"},
        {"BALANCE_FIELD": "credits left.über"},
        {"DATABASE": "(default)"},
        {"TIMEZONE": "America/Argentina/Buenos_Aires"},
        {"FIREBASE_AUTH_EMULATOR_HOST": "[::1]:9099", **EMULATOR},
        {"FIREBASE_AUTH_DOMAIN": "a-1.b.co.uk"},
    ],
)
def test_unusual_values_are_accepted(values):
    """Among them are values at the ends of ranges."""
    assert isinstance(read_settings(prefixed(values)), Settings)


def test_every_problem_is_named_at_once():
    """Problems of single values and of values that don't fit together come in the order of the table."""
    problems = problems_of(
        {
            "TIMEZONE": "Mars/Olympus",
            "WINDOW_SECONDS": "100",
            "SLOT_SECONDS": "0",
            "JOB_SIZE": "0",
            "USERS_COLLECTION": "a/b",
            "STAMP_FIELD": "credits.stamp",
            "PRICE_WRITE": "dear",
            "AUTH": "off",
        }
    )

    assert [problem.partition("=")[0].removeprefix(PREFIX) for problem in problems] == [
        "TIMEZONE",
        "SLOT_SECONDS",
        "JOB_SIZE",
        "USERS_COLLECTION",
        "STAMP_FIELD",
        "PRICE_WRITE",
        "AUTH",
    ]


def test_a_slot_wider_than_the_window_is_one_slot():
    """Then every user's slot is the beginning of the day."""
    schedule = read_settings({"CREDIT_REFRESH_WINDOW_SECONDS": "60"}).schedule
    day = date(2026, 11, 22)

    assert {schedule.day_start(day)} == {schedule.slot_start(day, f"user{n}") for n in range(50)}


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def test_the_plans_file_is_checked_even_if_settings_are_wrong(tmp_path):
    """Problems of the plans file are named together with those of the environment."""
    path = tmp_path / "plans.toml"
    path.write_text('default_plan = "gold"')

    problems = problems_of({"TIMEZONE": "Mars", "PLANS_FILE": str(path)})

    assert problems[0].startswith("CREDIT_REFRESH_TIMEZONE='Mars': ")
    assert problems[1:] == ("plans.toml: plans: at least one [plans.NAME] table is needed",)


@given(st.dictionaries(st.sampled_from([*Settings.model_fields]), texts))
def test_any_environment_is_settings_or_problems_that_name_their_variable(drawn):
    """No environment causes any other exception."""
    names = {UNPREFIXED.get(field, PREFIX + field.upper()): value for field, value in drawn.items()}
    try:
        read_settings(names)
    except ConfigurationError as exc:
        assert exc.problems  # noqa: PT017 (either outcome holds)
        assert {re.split("[=:]", problem)[0] for problem in exc.problems} <= set(names)  # noqa: PT017


def test_settings_are_immutable():
    """They are made once and shared by threads."""
    with pytest.raises(ValidationError, match="frozen"):
        read_settings({}).job_size = 5


def test_the_schedule_is_made_of_zone_window_and_slot():
    """The schedule has the values from the environment."""
    values = {"TIMEZONE": "Asia/Kathmandu", "WINDOW_SECONDS": "3600", "SLOT_SECONDS": "60"}

    assert Schedule(ZoneInfo("Asia/Kathmandu"), 3600, 60) == read_settings(prefixed(values)).schedule


@pytest.mark.parametrize(
    ("environ", "project_id"),
    [
        ({}, None),
        ({"GOOGLE_CLOUD_PROJECT": "acme"}, "acme"),
        (EMULATOR, "demo-credit-refresh"),
        ({"GOOGLE_CLOUD_PROJECT": "acme", **EMULATOR}, "acme"),
    ],
)
def test_the_emulator_needs_no_project(environ, project_id):
    """On the emulator there is a default project. Elsewhere it is the one that is set, or the credentials'."""
    assert project_id == read_settings(environ).project_id


@pytest.mark.parametrize(
    ("environ", "auth_on"),
    [
        ({}, True),
        ({"CREDIT_REFRESH_AUTH": "on"}, True),
        (EMULATOR, False),
        ({"CREDIT_REFRESH_AUTH": "off", **EMULATOR}, False),
        ({"CREDIT_REFRESH_AUTH": "on", **EMULATOR}, True),
    ],
)
def test_the_monitor_is_open_on_the_emulator_alone(environ, auth_on):
    """`AUTH` decides where it is set."""
    assert auth_on == read_settings(environ).auth_on


def test_the_plans_are_read_from_the_file_that_is_set(tmp_path):
    """Problems name that file."""
    path = tmp_path / "team.toml"
    path.write_text('default_plan = "x"\n[plans.x]\nallowance = 1\nperiod = "day"\npolicy = "reset"', encoding="utf-8")

    assert read_plans(Settings(plans_file=path)).default == "x"

    path.write_text("plans = 5", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^team\.toml: plans: at least one"):
        read_plans(Settings(plans_file=path))


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "FileNotFoundError"), (b"\xff\xfe", "UnicodeDecodeError")], ids=["missing", "binary"]
)
def test_a_plans_file_that_cannot_be_read_is_named(tmp_path, content, reason):
    """The message names the variable that points to it."""
    path = tmp_path / "team.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError) as raised:
        read_plans(Settings(plans_file=path))

    assert (f"CREDIT_REFRESH_PLANS_FILE: team.toml can't be read: {reason}",) == raised.value.problems


def test_a_directory_is_refused_as_plans_file(tmp_path):
    with pytest.raises(ConfigurationError, match="can't be read: IsADirectoryError"):
        read_plans(Settings(plans_file=tmp_path))


def test_a_plans_file_may_begin_with_a_byte_order_mark(tmp_path):
    """Some editors write one and do not show it."""
    path = tmp_path / "plans.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (BUNDLE / "plans.toml").read_bytes())

    assert read_plans(Settings(plans_file=path)) == read_plans(Settings())
