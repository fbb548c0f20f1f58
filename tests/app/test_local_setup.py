"""`make dev` beside data that was there before: it asks first. And how a program starts it, finds it and ends it."""

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


def test_data_that_was_there_before_is_left_alone_until_somebody_adopts_it(world):
    """Days pass and nothing is granted. Once adopted, today counts as granted, and tomorrow is."""
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


def test_adopt_asks_at_the_start(world):
    """ADOPT=1; the second start finds that the refresh has been at work here, and goes on."""
    project = world.settings.project
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=project, ADOPT="1", TICK="0") as found:
        first, adopted = state_of(found)["holding"], world.user("ben")
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=project, TICK="0") as found:
        second = state_of(found)["holding"]

    assert (first, second) == (False, False)
    assert (adopted["credits"], list(adopted["creditRefresh"]["periods"])) == (3, ["free"])


def test_changes_reach_the_trigger_if_asked_for():
    """A plan that changes is granted at once, though the app does not ask for it."""
    world = World()
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=str(world.settings.project), CHANGES="1", TICK="0"):
        world.users({"ann": {"credits": 0, "plan": "free"}})
        first = wait_for(lambda: world.user("ann")["credits"] == 50)
        world.update("users/ann", plan="pro")
        second = wait_for(lambda: world.user("ann")["credits"] == 2000)

    assert (first, second) == (True, True)


def test_sample_users_come_to_an_empty_project_only(world):
    """As many as are asked for; and at TICK=0 nobody calls anything."""
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
def test_an_odd_move_of_the_clock_is_refused(credit_refresh, body):
    """The answer says what can be asked; the clock stays where it is."""
    before = state_of(credit_refresh)["aheadSeconds"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{credit_refresh.dev}/clock", body)
    with refused.value as answer:
        message = json.load(answer)["error"]["message"]

    assert refused.value.code == 400
    assert message.startswith('the body is {"days": 1}')
    assert state_of(credit_refresh)["aheadSeconds"] == before


def test_the_clock_can_be_moved_to_a_time(credit_refresh):
    """Not only by days."""
    as_of = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 86_400))

    moved = post(f"{credit_refresh.dev}/clock", {"asOf": as_of})

    assert moved["now"][:16] == as_of[:16]


def test_another_site_s_page_can_not_move_the_clock(credit_refresh):
    """A browser says where a request comes from."""
    request = urllib.request.Request(f"{credit_refresh.dev}/clock", b'{"days": 1}', {"Origin": "https://example.com"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()

    assert refused.value.code == 403


def test_the_page_is_there(credit_refresh):
    """Where the introduction says it is."""
    with urllib.request.urlopen(credit_refresh.dev, timeout=10) as answer:
        page = answer.read().decode()

    assert "Move the clock forward" in page


def serve(*arguments: str, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dev.serve", *arguments]
    settings = {**os.environ, "PORT": "0", "SAMPLES": "0", **environ}
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_ready_file_is_there_from_the_start_to_the_end(tmp_path):
    """One of an earlier run that was killed is not taken for ours."""
    ready = tmp_path / "ready.json"
    ready.write_text("left over")
    with serve("--ready-file", str(ready), GOOGLE_CLOUD_PROJECT=str(World().settings.project)) as process:
        while not ready.exists() or not ready.read_text().startswith("{"):
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"]
        with urllib.request.urlopen(f"{url}/dev/state", timeout=10) as answer:
            answered = answer.status
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]

    assert (answered, process.returncode, said.rpartition("\n\n")[2].strip()) == (200, 0, "stopped")
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
def test_what_can_not_be_is_named(arguments, environ, message):
    """Exit code 1, no traceback."""
    with serve(*arguments, **environ) as process:
        said = process.communicate(timeout=60)[0]

    assert process.returncode == 1
    assert message in said
    assert "Traceback" not in said


def test_the_checkout_is_this_one():
    """The example finds it from where it is; an app's copy is told by REFRESH_CHECKOUT."""
    assert Path(__file__).resolve().is_relative_to(CHECKOUT)
