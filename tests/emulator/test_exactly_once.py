"""Real processes at the same time: two builders, three workers of which one is killed, and an app that spends."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack

from tests.support.invariants import assert_settled
from tests.support.plans import ONLY_ADDER
from tests.support.servers import server
from tests.support.spender import Spender
from tests.support.world import World, population

USERS = 600
BUILT_AT, WORKED_AT, HEALED_AT = "2026-11-22T00:00:00Z", "2026-11-22T22:00:00Z", "2026-11-22T23:30:00Z"


def at_once(*calls):
    """Make calls side by side. A call whose server dies gives None."""
    results: list = [None] * len(calls)

    def run(position, call):
        try:
            results[position] = call()
        except OSError:
            results[position] = None

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, results


def joined(threads, results):
    for thread in threads:
        thread.join(timeout=120)
    return results


def stop_while_it_holds_jobs(world, group):
    """Stop a process group while it has claimed jobs that it has not settled."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        os.killpg(group, signal.SIGSTOP)
        time.sleep(0.05)  # calls already sent reach the database
        if any(job["status"] == "processing" for job in world.jobs().values()):
            return
        os.killpg(group, signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the worker never held a job")


def test_every_user_is_granted_exactly_once(tmp_path):
    """Each user has one allowance more, less what was spent, in spite of races, a killed worker and repeated calls."""
    plans = tmp_path / "plans.toml"
    plans.write_text(ONLY_ADDER)
    world = World(plans=ONLY_ADDER)
    users = population(USERS, credits_each=1000)
    world.users(users)
    environ = {
        "GOOGLE_CLOUD_PROJECT": world.settings.project,
        "CREDIT_REFRESH_PLANS_FILE": str(plans),
        "CREDIT_REFRESH_JOB_SIZE": "5",
        "CREDIT_REFRESH_SLOT_SECONDS": "21600",
    }
    with ExitStack() as stack:
        queues = [stack.enter_context(server("credit_refresh_queue", tmp_path / f"q{n}", **environ)) for n in range(2)]
        workers = [
            stack.enter_context(server("credit_refresh_worker", tmp_path / f"w{n}", **environ)) for n in range(3)
        ]
        spender = stack.enter_context(Spender(world, list(users), seed=1))

        built = joined(*at_once(*(lambda queue=queue: queue.post({"asOf": BUILT_AT}) for queue in queues)))
        doomed, killed = at_once(lambda: workers[0].post({"asOf": WORKED_AT}))
        stop_while_it_holds_jobs(world, workers[0].process.pid)
        others, worked = at_once(*(lambda worker=worker: worker.post({"asOf": WORKED_AT}) for worker in workers[1:]))
        os.killpg(workers[0].process.pid, signal.SIGKILL)
        joined(doomed, killed)
        joined(others, worked)
        killed_with_open_jobs = sum(job["status"] != "completed" for job in world.jobs().values())

        again = joined(*at_once(*(lambda queue=queue: queue.post({"asOf": HEALED_AT}) for queue in queues)))
        healed = joined(*at_once(*(lambda worker=worker: worker.post({"asOf": HEALED_AT}) for worker in workers[1:])))
        twice = [worker.post({"asOf": HEALED_AT}) for worker in workers[1:]]

    assert sorted(reply.json["queuedUsers"] for reply in built) == [0, USERS]
    assert [reply.json["queuedUsers"] for reply in again] == [0, 0]
    assert killed == [None]
    assert killed_with_open_jobs > 0
    assert all(reply.status == 200 for reply in [*worked, *healed, *twice])
    assert [reply.json["jobsClaimed"] for reply in twice] == [0, 0]
    assert sum(spender.spent.values()) > 50
    expected = {user_id: 1010 - spender.spent[user_id] for user_id in users}
    assert expected == {user_id: user["credits"] for user_id, user in world.all("users").items()}
    receipts = [receipt["userId"] for _, receipt in world.receipts() if receipt["outcome"] == "refreshed"]
    assert sorted(receipts) == sorted(users)
    assert_settled(world)
