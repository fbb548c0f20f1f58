"""The cost of a refreshed user, counted on the wire between the functions and the emulator."""

from __future__ import annotations

import os
import random

import pytest

from dev.billing import billing
from shared.core.runs import ScanRequest
from shared.services.build import build
from tests.support.plans import SKIPPING
from tests.support.servers import server
from tests.support.world import MIDNIGHT, World, population

USERS = 12_000
CHANGED = USERS // 5
SLOT_SECONDS = 5400  # sixteen slots: 750 users each


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """One day of 12,000 users, a fifth of whom spend between build and work, over HTTP and through the proxy."""
    logs = tmp_path_factory.mktemp("cost")
    world = World(slot_seconds=SLOT_SECONDS)
    world.users(population(USERS, plan="free"))
    with billing(str(world.settings.emulator_host)) as (host, bill):
        environ = {
            "FIRESTORE_EMULATOR_HOST": host,
            "GOOGLE_CLOUD_PROJECT": world.settings.project,
            "CREDIT_REFRESH_SLOT_SECONDS": str(SLOT_SECONDS),
        }
        with server("credit_refresh_queue", logs / "queue.log", **environ) as queue:
            built = queue.post({"asOf": "2026-11-22T00:00:00Z"}).json
        spenders = random.Random(1).sample(range(USERS), CHANGED)
        world.users({f"user{n:05d}": {"credits": 4, "plan": "free"} for n in spenders})
        with server("credit_refresh_worker", logs / "worker.log", **environ) as worker:
            worked = worker.post({"asOf": "2026-11-22T23:59:00Z"}).json
    return world, bill, built, worked


def test_everybody_is_refreshed_and_a_fifth_is_read_again(day):
    """The day was completed, so the figures of the other tests are those of a whole day."""
    _, _, built, worked = day

    assert (built["status"], built["queuedUsers"]) == ("completed", USERS)
    assert (worked["refreshedUsers"], worked["hasMore"]) == (USERS, False)
    assert worked["conflicts"] == CHANGED


def test_a_user_costs_at_most_1_25_reads_and_1_04_writes(day):
    """This is the cost of builder and worker together."""
    _, bill, _, _ = day
    reads, writes = bill.reads / USERS, bill.writes / USERS
    print(f"{reads:.4f} reads and {writes:.4f} writes a user in {bill.calls} calls")

    assert 1.2 <= reads <= 1.25
    assert 1.0 <= writes <= 1.04


def test_the_functions_report_what_passed_over_the_wire(day):
    """The cost that builder and worker report differs from the counted one by at most 1%."""
    _, bill, built, worked = day

    assert built["reads"] + worked["reads"] == pytest.approx(bill.reads, rel=0.01)
    assert built["writes"] + worked["writes"] == pytest.approx(bill.writes, rel=0.01)


def test_the_roll_up_holds_the_workers_cost(day):
    """The roll-up has the cost of settled jobs. Empty queries, the pause switch and the heartbeat are not in it."""
    world, _, _, worked = day
    rollup = world.rollup()

    assert rollup["writes"] == worked["writes"] - 1
    assert 0 <= worked["reads"] - rollup["reads"] <= 40


def test_a_count_costs_a_read_for_each_thousand_users():
    """The builder counts users who are left alone. The cost that it reports is what passed over the wire."""
    full = {"credits": 50, "plan": "free", "creditRefresh": {"dueOn": "when-low"}}
    with billing(os.environ["FIRESTORE_EMULATOR_HOST"]) as (host, bill):
        world = World(host=host, plans=SKIPPING, full_scan_below=0)
        world.users({f"user{n}": full for n in range(1500)})
        context = world.context(MIDNIGHT)
        build(context, ScanRequest.DUE, 60)

    assert (bill.reads, bill.writes) == (context.wire.cost.reads, context.wire.cost.writes)
    assert 2 <= bill.reads <= 20
