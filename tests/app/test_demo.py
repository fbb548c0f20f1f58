"""`make demo` with few users: it plays days, checks each, and prints what to do next."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from dev.demo import add_skipping_plan
from shared.settings import BUNDLE


def demo(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dev.demo"],
        cwd=BUNDLE,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_two_days_are_played_and_checked():
    """The second day begins with the users of the first. Three users sign up on each."""
    ended = demo(USERS="40", DAYS="2")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "43 balances checked" in ended.stdout
    assert "OK: 46 balances and stamps checked, all as they should be" in ended.stdout
    assert "make dev" in ended.stdout.rpartition("What to do next")[2]


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [("USERS", "0", "1 to 1000000"), ("USERS", "many", "1 to 1000000"), ("DAYS", "400", "1 to 366")],
)
def test_an_odd_number_is_named_with_its_range(name, value, range_):
    """Nothing is started."""
    ended = demo(**{name: value})

    assert ended.returncode == 1
    assert ended.stderr.strip() == f"{name}='{value}' is not a whole number from {range_}"


def test_one_plan_of_the_demo_leaves_full_users_alone():
    """One of the plans file, if there is one; otherwise a plan `lite` is added."""
    own = '[plans.a]\nwhen_full = "skip"\n'

    assert tomllib.loads(add_skipping_plan("[plans.a]\nallowance = 1\n"))["plans"]["lite"]["when_full"] == "skip"
    assert add_skipping_plan(own) == own
    assert add_skipping_plan("[plans.lite]\n") == "[plans.lite]\n"
