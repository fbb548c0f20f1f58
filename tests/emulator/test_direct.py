"""The direct refresh against the real emulator: a page, or the users named."""

from __future__ import annotations

from tests.support.faults import Mode, on
from tests.support.world import DAY, EVENING, MIDNIGHT, NOON, World, population


def test_a_chain_of_pages_refreshes_everybody_once():
    """The pages follow in order of id, with each user exactly once."""
    world = World()
    users = population(55)
    world.users(users)
    reports = [world.page(size=20)]
    while reports[-1].has_more:
        reports.append(world.page(reports[-1].after, size=20))

    assert [report.total for report in reports] == [20, 20, 15]
    assert {user["credits"] for user in world.all("users").values()} == {15}


def test_a_page_that_ends_with_the_last_user_leads_to_an_empty_one():
    """A full page can't know that it is the last. The empty page after it ends the chain."""
    world = World()
    world.users(population(20))

    full = world.page(size=20)
    empty = world.page(full.after, size=20)

    assert (full.has_more, empty.has_more, empty.total) == (True, False, 0)


def test_named_users_are_refreshed_once_however_often_named():
    """A user named twice counts once. A missing user is skipped. Other users stay unchanged."""
    world = World()
    world.users(population(5))

    report = world.refresh("user00001", "user00001", "user00003", "nobody")

    assert (report.total, report.tally.refreshed, report.tally.skipped) == (3, 2, 1)
    assert [user["credits"] for user in world.all("users").values()] == [5, 15, 5, 15, 5]
    assert world.get("users/nobody") is None


def test_refreshing_again_in_the_same_period_grants_nothing():
    """Queue and direct refresh use the same stamp, so the second one skips."""
    world = World()
    world.users(population(3))
    world.refresh("user00000")

    worked = world.day()
    again = world.refresh("user00000", "user00001", "user00002")
    tomorrow = world.refresh("user00000", now=NOON + DAY)

    assert (worked.tally.refreshed, again.tally.skipped, tomorrow.tally.refreshed) == (2, 3, 1)
    assert [user["credits"] for user in world.all("users").values()] == [25, 15, 15]


def test_a_lost_reply_is_recognised_as_our_own():
    """When the write lands and its reply is lost, the second try reads the stamp and reports one grant."""
    world = World()
    world.users({"ann": {"credits": 1.5, "plan": "adder"}})
    with world.faulty(on("Commit", Mode.LOST)) as faults:
        report = world.refresh("ann")

    assert faults.spoiled
    assert (report.tally.refreshed, report.tally.failed) == (1, 0)
    assert world.user("ann")["credits"] == 11.5


def test_a_pause_of_the_queue_does_not_stop_a_direct_refresh():
    """A pause holds builder and worker. A direct refresh still works."""
    world = World()
    world.users(population(1))
    world.pause()

    assert world.refresh("user00000").tally.refreshed == 1
    assert world.work(EVENING).claimed == 0
    assert world.build(MIDNIGHT).status == "paused"
