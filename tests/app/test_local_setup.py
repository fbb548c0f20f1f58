"""`make dev` with users that existed before, and how a program starts, finds and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.app.local_credit_refresh import CHECKOUT, post, running_credit_refresh
from tests.app.test_python_app import wait_for
from tests.support.world import World

USER = {"credits": 3, "plan": "free"}


def state_of(found) -> dict:
    with urllib.request.urlopen(f"{found.dev}/state", timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def world():
    """Users that nobody has refreshed yet, in a project of their own."""
    world = World()
    world.users({"ann": USER, "ben": USER})
    return world


def test_users_that_existed_before_are_left_alone_until_adopted(world):
    """Days pass and nothing is granted. After an adoption, the next period is granted and the present one is not."""
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=world.settings.project, TICK="1") as found:
        held = state_of(found)["holding"]
        found.move_clock(days=2)
        untouched = world.user("ann")

        adopted = post(f"{found.dev}/adopt", {})
        stamped = world.user("ann")
        found.move_clock(days=2)

    assert (held, untouched) == (True, USER)
    assert not adopted["holding"]
    assert (stamped["credits"], list(stamped["creditRefresh"]["periods"])) == (3, ["free"])
    assert world.user("ann")["credits"] == 50


def test_the_option_adopt_adopts_at_the_start(world):
    """The second start finds a run, so it needs no adoption."""
    project = world.settings.project
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=project, ADOPT="1", TICK="0") as found:
        first, adopted = state_of(found)["holding"], world.user("ben")
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=project, TICK="0") as found:
        second = state_of(found)["holding"]

    assert (first, second) == (False, False)
    assert (adopted["credits"], list(adopted["creditRefresh"]["periods"])) == (3, ["free"])


def test_the_option_changes_sends_changes_to_the_trigger():
    """A new plan is granted at once, though the app does not request it."""
    world = World()
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=str(world.settings.project), CHANGES="1", TICK="0"):
        world.users({"ann": {"credits": 0, "plan": "free"}})
        first = wait_for(lambda: world.user("ann")["credits"] == 50)
        world.update("users/ann", plan="pro")
        second = wait_for(lambda: world.user("ann")["credits"] == 2000)

    assert (first, second) == (True, True)


def test_only_an_empty_project_gets_sample_users(world):
    """As many as the option says. At TICK=0 no function is called."""
    empty = World()
    for each in (empty, world):
        with running_credit_refresh(GOOGLE_CLOUD_PROJECT=str(each.settings.project), SAMPLES="4", TICK="0"):
            pass

    assert (len(empty.all("users")), len(world.all("users"))) == (4, 2)
    assert empty.all("credit_refresh_runs") == {}


@pytest.mark.parametrize(
    "body",
    [{}, {"days": 0}, {"days": 101}, {"days": "1"}, {"days": True}, {"asOf": "2020-01-01T00:00:00Z"}, {"asOf": "x"}],
)
def test_an_impossible_move_of_the_clock_is_refused(credit_refresh, body):
    """The answer says what is possible. The clock does not move."""
    before = state_of(credit_refresh)["aheadSeconds"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{credit_refresh.dev}/clock", body)
    with refused.value as answer:
        message = json.load(answer)["error"]["message"]

    assert refused.value.code == 400
    assert message.startswith('the body is {"days": 1}')
    assert state_of(credit_refresh)["aheadSeconds"] == before


def test_the_clock_can_be_moved_to_a_time(credit_refresh):
    """A time is possible instead of a number of days."""
    as_of = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 86_400))

    moved = post(f"{credit_refresh.dev}/clock", {"asOf": as_of})

    assert moved["now"][:16] == as_of[:16]


def test_the_page_of_another_site_can_not_move_the_clock(credit_refresh):
    """The browser sends the origin of the request."""
    request = urllib.request.Request(f"{credit_refresh.dev}/clock", b'{"days": 1}', {"Origin": "https://example.com"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()

    assert refused.value.code == 403


def test_the_page_is_served(credit_refresh):
    """At the address that the introduction prints."""
    with urllib.request.urlopen(credit_refresh.dev, timeout=10) as answer:
        page = answer.read().decode()

    assert "Move the clock forward" in page


def serve(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dev.serve", *arguments]
    settings = {**os.environ, "PORT": "0", "SAMPLES": "0", **environ}
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_ready_file_exists_while_the_functions_are_served(tmp_path):
    """The file of an earlier run that was killed is removed first."""
    ready = tmp_path / "ready.json"
    ready.write_text("left over")
    with serve("--ready-file", str(ready), GOOGLE_CLOUD_PROJECT=str(World().settings.project)) as process:
        while not ready.exists() or not ready.read_text().startswith("{"):
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"]
        with urllib.request.urlopen(f"{url}/dev/state", timeout=10) as answer:
            answered = answer.status
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]

    assert (answered, process.returncode, output.rpartition("\n\n")[2].strip()) == (200, 0, "stopped")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--ready-file", "/nowhere/ready.json"], {}, "/nowhere/ready.json"),
        ([], {"TICK": "often"}, "TICK='often' is not a whole number from 0 to 3600"),
        ([], {"CREDIT_REFRESH_JOB_SIZE": "0"}, "CREDIT_REFRESH_JOB_SIZE"),
        ([], {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}, "FIRESTORE_EMULATOR_HOST names it"),
    ],
)
def test_a_bad_option_is_named(arguments, environ, message):
    """The exit code is 1, and there is no traceback."""
    with serve(*arguments, **environ) as process:
        output = process.communicate(timeout=60)[0]

    assert process.returncode == 1
    assert message in output
    assert "Traceback" not in output


def test_the_example_finds_this_checkout():
    """It knows its own place. For an app's copy REFRESH_CHECKOUT names the folder."""
    assert Path(__file__).resolve().is_relative_to(CHECKOUT)
