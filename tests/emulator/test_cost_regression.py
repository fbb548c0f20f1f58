"""The billed operations of every path. They do not depend on speed, and a fifth more fails a test."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dev.billing import billing
from shared.services.limits import LIMITS
from tests.support.world import DAY, EVENING, MIDNIGHT, World, population

TOLERANCE = 1.2
USERS = 1200
SLOTS = 4  # 300 users each
SLOT_SECONDS = 86_400 // SLOTS


@pytest.fixture
def billed():
    """Make a world behind a proxy, which counts the cost of each step on the wire."""
    with billing(str(World().settings.emulator_host)) as (host, bill):

        def in_world(**settings):
            return World(host, **settings), lambda step: cost_of(bill, step)

        yield in_world


def cost_of(bill, step):
    """The reads and writes that pass over the wire during the step."""
    reads, writes = bill.reads, bill.writes
    step()
    return bill.reads - reads, bill.writes - writes


def per_user(cost, users=USERS):
    return cost[0] / users, cost[1] / users


def assert_within_a_fifth(expected, actual):
    """Reads and writes are within a fifth of what is expected. Much fewer also fail: the expectation is out of date."""
    for name, wanted, found in zip(("reads", "writes"), expected, actual, strict=True):
        print(f"{name}: {found:.4f}, expected {wanted:.4f}")

        assert wanted / TOLERANCE <= found <= wanted * TOLERANCE, name


def test_a_day_at_300_users_a_slot_costs_what_is_expected(billed):
    """A user costs a read and a write. The small cost of jobs is checked as well."""
    world, cost = billed(slot_seconds=SLOT_SECONDS)
    world.users(population(USERS, plan="free"))

    built, worked = cost(world.build), cost(world.work)

    jobs = len(world.jobs())
    assert jobs <= 2 * SLOTS
    reads, writes = per_user((built[0] + worked[0], built[1] + worked[1]))
    assert_within_a_fifth((1, 1), (reads, writes))
    # the rest: reads of run, queue and pause switch, writes of jobs and roll-ups
    assert_within_a_fifth((3, jobs + 2), (built[0] - USERS, built[1]))
    assert_within_a_fifth((jobs + 3, 3 * jobs + 1), (worked[0], worked[1] - USERS))


def test_a_day_with_a_job_for_each_user_costs_what_is_expected(billed):
    """With JOB_SIZE=1 each job costs a read and four writes."""
    world, cost = billed(slot_seconds=SLOT_SECONDS, job_size=1)
    world.users(population(USERS, plan="free"))

    assert_within_a_fifth((1.0, 1.0), per_user(cost(world.build)))
    assert_within_a_fifth((1.25, 4.0), per_user(cost(lambda: world.work(jobs_max=2 * USERS, seconds=100))))


def test_a_due_scan_reads_only_users_who_are_due(billed):
    """The day after everybody was refreshed, users on daily plans are read and users on monthly plans are not."""
    world, cost = billed(slot_seconds=86_400)
    world.users(population(60, plan="free"))
    world.users({f"m{n}": {"credits": 5, "plan": "pro"} for n in range(240)})
    world.day()

    reads, writes = cost(lambda: world.build(MIDNIGHT + DAY, "due"))

    rollups = len(world.all("rollups", "credit_refresh_runs/2026-11-22"))
    assert_within_a_fifth((60 + 4 + rollups, 3), (reads, writes))


def test_an_idle_worker_costs_two_reads_and_a_write(billed):
    """It reads once for requests and once for jobs, and writes its heartbeat."""
    world, cost = billed()

    assert cost(world.work) == (2, 1)


def test_users_who_ask_cost_a_read_and_a_write_each(billed):
    """Besides, the worker reads the pause switch, open jobs of users who asked before, and the queue.

    It writes its heartbeat, and the job twice.
    """
    world, cost = billed()
    asks = {"creditRefresh": {"refreshRequested": True}}
    world.users({user_id: {**user, **asks} for user_id, user in population(200).items()})

    assert cost(world.work) == (200 + 3, 200 + 3)


def test_a_completed_run_costs_its_builder_one_read(billed):
    """The builder is called every few minutes all day, so this must be cheap."""
    world, cost = billed()
    world.users(population(20, plan="free"))
    world.build()

    assert cost(lambda: world.build(MIDNIGHT + timedelta(minutes=5))) == (1, 0)


def test_a_lone_worker_reads_each_job_once(billed):
    """It claims every job that it reads.

    It also reads the pause switch for each batch, the run once, and once each to find no request and no further job.
    """
    world, cost = billed(slot_seconds=900)
    world.users(population(USERS, plan="free"))
    world.build()

    reads, _ = cost(lambda: world.work(EVENING))

    jobs = len(world.jobs())
    batches = -(-jobs // LIMITS.claim_jobs)
    assert reads == jobs + batches + 3
