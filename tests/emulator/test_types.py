"""docs/types.d.ts says what the code writes. Stamps, jobs and receipts of two days are compared with it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.settings import BUNDLE
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World

FILE = BUNDLE / "docs" / "types.d.ts"
PLAIN: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "IsoDate": str,
    "number": (int, float),
    "Timestamp": datetime,
    "null": type(None),
}


def interfaces() -> dict[str, dict[str, tuple[str, bool]]]:
    """The fields of each interface, by name: the type, and whether the field may be missing."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", FILE.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"export interface (\w+) \{(.*?)\n\}", text, re.DOTALL)
    fields = re.compile(r"^\s*(?:readonly )?(\w+)(\?)?: ([^;]+);", re.MULTILINE)
    return {
        name: {field: (kind, bool(optional)) for field, optional, kind in fields.findall(body)} for name, body in found
    }


TYPES = interfaces()


def problems(value: Any, kind: str, where: str, *, closed: bool = True) -> list[str]:
    """How a value differs from a type. If it is closed, a field that the type does not name is a difference."""
    if kind in TYPES and kind != "Timestamp":
        return problems_of_map(value, kind, where, closed=closed)
    if kind.endswith("[]"):
        listed = value if isinstance(value, list | tuple) else None
        return [f"{where}: no list"] if listed is None else problems_of_items(listed, kind, where)
    choices = [choice.strip() for choice in kind.split("|")]
    return [] if any(fits(value, choice) for choice in choices) else [f"{where}: {value!r} is no {kind}"]


def problems_of_items(values: list[Any] | tuple[Any, ...], kind: str, where: str) -> list[str]:
    return [
        each for n, value in enumerate(values) for each in problems(value, kind.removesuffix("[]"), f"{where}[{n}]")
    ]


def problems_of_map(value: Any, kind: str, where: str, *, closed: bool) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: no map"]
    fields = TYPES[kind]
    missing = [f"{where}.{name} is missing" for name, (_, optional) in fields.items() if not optional | (name in value)]
    unknown = [f"{where}.{name} is not in {kind}" for name in value if closed and name not in fields]
    wrong = [
        each for name in fields if name in value for each in problems(value[name], fields[name][0], f"{where}.{name}")
    ]
    return missing + unknown + wrong


def fits(value: Any, kind: str) -> bool:
    if kind in ("unknown", f'"{value}"'):
        return True
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind.startswith("Record<"):
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return kind in PLAIN and isinstance(value, PLAIN[kind])


@pytest.fixture(scope="module")
def world():
    """Two days with users who are granted, full, failed, paused, anchored or refreshed directly."""
    world = World(job_size=2, max_attempts=1, stagger="quiet")
    world.users(
        {
            "ann": {"credits": 5, "plan": "free"},
            "bob": {"credits": "x"},
            "cid": {"credits": 1.5, "plan": "pro", "createdAt": MIDNIGHT - 40 * DAY},
            "dee": {"credits": 1, "plan": "nope"},
            "eve": {"credits": 1, "creditRefresh": {"paused": True}},
            "fay": {"credits": 100, "plan": "weekly"},
            "gus": {"credits": 1, "plan": "free"},
        }
    )
    world.build()
    world.update("users/gus", credits="x")
    world.work(EVENING)
    world.refresh("ann", "bob", now=NOON + DAY)
    world.build(MIDNIGHT + DAY)
    return world


def test_stamps_are_as_declared(world):
    """Every field is declared and has its type."""
    stamps = {name: user["creditRefresh"] for name, user in world.all("users").items() if "creditRefresh" in user}

    found = [each for name, stamp in stamps.items() for each in problems(stamp, "CreditRefreshStamp", name)]

    assert found == []
    assert {field for stamp in stamps.values() for field in stamp} >= {
        "periods",
        "anchor",
        "paused",
        "nextAt",
        "jobId",
        "activity",
    }


def test_jobs_and_receipts_are_as_declared(world):
    """Of jobs only the fields that an app may read are declared, of receipts and errors all fields."""
    jobs = world.jobs()

    found = [each for name, job in jobs.items() for each in problems(job, "CreditRefreshJob", name, closed=False)]

    assert found == []
    receipts = [receipt for job in jobs.values() for receipt in job.get("receipts", ())]
    assert {receipt["outcome"] for receipt in receipts} >= {"refreshed", "failed"}
    assert {job["status"] for job in jobs.values()} >= {"completed", "failed", "pending"}


@pytest.mark.parametrize(
    ("stamp", "problem"),
    [
        ({"plan": 5}, "x.plan: 5 is no string"),
        ({"periods": {"free": 5}}, "x.periods: {'free': 5} is no Record<string, IsoDate>"),
        ({"paused": "yes"}, "x.paused: 'yes' is no boolean"),
        ({"granted": True}, "x.granted: True is no number"),
        ({"colour": "red"}, "x.colour is not in CreditRefreshStamp"),
        ({"override": {"allowance": 5}}, "x.override.plan is missing"),
    ],
)
def test_the_check_finds_what_is_not_declared(stamp, problem):
    assert problems(stamp, "CreditRefreshStamp", "x") == [problem]


def test_a_time_is_a_timestamp_and_no_text():
    now = MIDNIGHT + timedelta(hours=1)

    assert problems({"nextAt": now}, "CreditRefreshStamp", "x") == []
    assert problems({"nextAt": now.isoformat()}, "CreditRefreshStamp", "x") != []
