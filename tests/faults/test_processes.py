"""Real processes: kill -9, SIGTERM, an emulator that stops for a while, an emulator that comes back empty."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from dev import emulator
from tests.support.invariants import assert_settled
from tests.support.plans import ONLY_ADDER
from tests.support.servers import server
from tests.support.world import World, population

USERS = 2000
WORKERS = 8
SEED = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture
def environ(tmp_path):
    """Settings of the processes, with a plan on which each missing or doubled grant shows in the balance."""
    plans = tmp_path / "plans.toml"
    plans.write_text(ONLY_ADDER)
    return {
        "CREDIT_REFRESH_PLANS_FILE": str(plans),
        "CREDIT_REFRESH_JOB_SIZE": "10",
        "CREDIT_REFRESH_SLOT_SECONDS": "86400",
        "CREDIT_REFRESH_BREAKER_FAILURES": "2",
        "CREDIT_REFRESH_BREAKER_RESET_SECONDS": "1",
    }


@pytest.fixture
def own_emulator(tmp_path, monkeypatch):
    """An emulator that a test may stop or kill: its address, and a list that holds its process."""
    host = f"127.0.0.1:{emulator.free_port()}"
    running = [emulator.start(host, tmp_path / "emulator.log")]
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    emulator._wait_until_up(host, running[0], 30)
    yield host, running
    emulator.stop(running[0])


def test_users_are_granted_once_though_workers_are_killed_or_stopped(tmp_path, environ):
    """Five of eight workers are killed or stopped at random moments. After a later worker each user has one grant."""
    drawn = random.Random(SEED)
    world = World(plans=ONLY_ADDER, job_size=10, slot_seconds=86_400)
    users = population(USERS)
    world.users(users)
    world.build()
    environ["GOOGLE_CLOUD_PROJECT"] = world.settings.project
    replies: list = [None] * WORKERS

    def call(number, worker):
        try:
            replies[number] = worker.post({"asOf": "2026-11-22T20:00:00Z"})
        except OSError:
            replies[number] = None  # its server was killed

    with ExitStack() as stack:
        workers = [
            stack.enter_context(server("credit_refresh_worker", tmp_path / f"w{n}", **environ)) for n in range(WORKERS)
        ]
        calls = [threading.Thread(target=call, args=item) for item in enumerate(workers)]
        for thread in calls:
            thread.start()
        for number in drawn.sample(range(WORKERS), 5):
            time.sleep(drawn.uniform(0, 0.3))
            signals = drawn.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            os.killpg(workers[number].process.pid, signals)
        for thread in calls:
            thread.join(timeout=90)
    healed = world.work(world_time("23:00"))

    circumstances = f"seed {SEED}, {healed.tally.refreshed} users left to the last worker"
    credits_after = {user["credits"] for user in world.all("users").values()}
    assert credits_after == {15}, circumstances
    receipts = sorted(receipt["userId"] for _, receipt in world.receipts() if receipt["outcome"] == "refreshed")
    assert receipts == sorted(users), circumstances
    assert all(reply is None or reply.status == 200 for reply in replies), circumstances
    assert_settled(world)


def test_a_call_survives_an_emulator_that_stops_for_five_seconds(tmp_path, environ, own_emulator):
    """Calls wait, are tried again, and succeed. No user is granted twice."""
    _, running = own_emulator
    world = World(plans=ONLY_ADDER, job_size=10, slot_seconds=86_400)
    users = population(USERS)
    world.users(users)
    world.build()
    environ["GOOGLE_CLOUD_PROJECT"] = world.settings.project
    replies = []
    with server("credit_refresh_worker", tmp_path / "worker", **environ) as worker:
        call = threading.Thread(target=lambda: replies.append(worker.post({"asOf": "2026-11-22T20:00:00Z"})))
        call.start()
        wait_for_progress(world)
        running[0].send_signal(signal.SIGSTOP)
        time.sleep(5)
        running[0].send_signal(signal.SIGCONT)
        call.join(timeout=90)

    (reply,) = replies
    assert reply.status == 200
    assert reply.json["refreshedUsers"] == USERS
    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert_settled(world)


def test_functions_recover_when_the_emulator_comes_back_empty(tmp_path, environ, own_emulator):
    """They answer 503 within their budget. The breaker opens and closes again, and the next run is complete."""
    host, running = own_emulator
    environ["CREDIT_REFRESH_JOB_SIZE"] = "3"  # slow enough that the worker is not done when the emulator goes
    world = World(plans=ONLY_ADDER, job_size=3, slot_seconds=86_400)
    world.users(population(USERS))
    world.build()
    environ["GOOGLE_CLOUD_PROJECT"] = world.settings.project
    replies = []
    with (
        server("credit_refresh_queue", tmp_path / "queue", **environ) as queue,
        server("credit_refresh_worker", tmp_path / "worker", **environ) as worker,
    ):
        budget = {"asOf": "2026-11-22T20:00:00Z", "processTime": 4000}
        call = threading.Thread(target=lambda: replies.append(worker.post(budget)))
        call.start()
        wait_for_progress(world)
        running[0].kill()
        running[0].wait()
        call.join(timeout=60)
        for function in (worker, queue, worker, worker):
            began = time.monotonic()
            replies.append(function.post(budget))
            assert time.monotonic() - began < 4 + 5
        running[0] = emulator.start(host, tmp_path / "emulator.log")
        emulator._wait_until_up(host, running[0], 30)
        world.users(population(USERS))
        time.sleep(1.1)
        healed = [until_ok(function, {"asOf": "2026-11-22T21:00:00Z"}) for function in (queue, worker)]

    assert [reply.status for reply in replies] == [503] * 5
    assert {reply.json["error"]["code"] for reply in replies} == {"unavailable", "breaker_open"}
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in replies)
    assert [healed[0].json["queuedUsers"], healed[1].json["refreshedUsers"]] == [USERS, USERS]
    assert {user["credits"] for user in world.all("users").values()} == {15}
    assert_settled(world)


def until_ok(function, body):
    """Call again after a 503, a few times, like Cloud Scheduler."""
    for _ in range(5):
        reply = function.post(body)
        if reply.status == 200:
            break
        time.sleep(1)
    return reply


def wait_for_progress(world):
    """Wait until the worker has refreshed a user, so that what follows happens in the middle of its work."""
    deadline = time.monotonic() + 30
    while not world.rollup().get("refreshedUsers") and time.monotonic() < deadline:
        time.sleep(0.01)


def world_time(clock):
    """A moment of the simulated day."""
    return datetime.fromisoformat(f"2026-11-22T{clock}:00").replace(tzinfo=UTC)
