"""The headline never says more than is known, and it says what to open."""

from __future__ import annotations

import re

import pytest
from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import past_day, statistics

UNREACHABLE = {
    "status": "unhealthy",
    "reasons": [{"code": "database_unreachable", "message": "the database can't be reached or refuses us"}],
}
NOTHING = {"refreshed": 0, "skipped": 0, "failed": 0, "pending": 0}


def load(page, stub, query=""):
    page.clock.install()
    page.goto(stub.address + query)
    expect(page.locator("#status strong")).to_be_visible()


def test_after_a_failed_call_the_headline_says_that_nothing_is_known(page_with_errors, stub):
    """It says since when, what was known last, and what the health check answers. The tab's title changes, too."""
    page = page_with_errors
    load(page, stub)
    stub.health = UNREACHABLE
    stub.refuse_with(503, "unavailable", "the database can't be reached")
    page.clock.run_for(11_000)

    expect(page.locator("#status strong")).to_have_text("Unhealthy")
    expect(page.locator("#status")).to_contain_text(re.compile(r"nothing is known since \d\d:\d\d:\d\d"))
    expect(page.locator("#status")).to_contain_text("last known: Healthy: 812 of 1,112 users refreshed today")
    expect(page.locator("#status .reasons")).to_contain_text("the database can't be reached or refuses us")
    expect(page).to_have_title(re.compile("^Unhealthy"))
    expect(page.locator("body")).to_have_attribute("data-tone", "bad")

    stub.answer_with(statistics())
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#status strong")).to_have_text("Healthy")
    expect(page).to_have_title(re.compile("^Healthy ·"))


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (None, "the health check does not answer either"),
        ({"status": "ok", "reasons": []}, "the health check answers “ok”"),
    ],
)
def test_a_failure_of_the_first_call_is_shown(page_with_errors, stub, health, expected):
    """It does not show “Loading …” for ever."""
    page = page_with_errors
    stub.health = health
    stub.refuse_with(503, "unavailable", "the database can't be reached")
    page.goto(stub.address)

    expect(page.locator("#status strong")).to_have_text("Unknown")
    expect(page.locator("#status")).to_contain_text("no figures could be read yet")
    expect(page.locator("#status")).to_contain_text(expected)
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page).to_have_title(re.compile("^Unknown"))


def test_a_hidden_tab_shows_the_age_of_its_figures(page, stub):
    """A hidden page makes no calls. So its title says how old the figures are."""
    load(page, stub)
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    page.clock.run_for(20 * 60_000)

    expect(page).to_have_title(re.compile(r"^Healthy \((19|20) min old\) · staging"))


def test_a_rescan_is_amber_and_not_red(page, stub):
    """The old figures stay while the builder reads everybody again."""
    stub.answer_with(statistics(rescanning=True, runStatus="in_progress"))
    load(page, stub)

    expect(page.locator("#status strong")).to_have_text("Scanning again")
    expect(page.locator("body")).to_have_attribute("data-tone", "busy")


def test_one_click_opens_the_day_of_old_dead_letters(page, stub):
    """A button in the reason opens that day."""
    reason = {
        "code": "dead_letters",
        "message": "jobs of 2026-11-21 have failed for good and wait to be requeued",
        "runIds": ["2026-11-21"],
    }
    today = statistics(health={"status": "unhealthy", "reasons": [reason]}, failedJobs=0, failures=[], deadLetters=[])
    yesterday = past_day("2026-11-21")
    stub.answer = lambda call: jsonify(yesterday if call.query.get("runId") == "2026-11-21" else today)
    load(page, stub)
    page.get_by_role("button", name="Open 2026-11-21").click()

    expect(page.locator("#day")).to_have_text("Saturday, 21 November 2026")
    expect(page.get_by_role("button", name="Requeue all failed (1) …")).to_be_visible()
    assert "runId=2026-11-21" in page.url


def test_a_new_project_gets_a_checklist_instead_of_red(page, stub):
    """It shows which steps are done, and what to do for the others."""
    setup = {"scheduleSeen": True, "builderRan": True, "workerRan": False, "usersFound": False}
    reasons = [{"code": "no_worker_heartbeat", "message": "no worker has ever run"}]
    stub.answer_with(statistics(setup=setup, health={"status": "unhealthy", "reasons": reasons}, users=NOTHING))
    load(page, stub)

    expect(page.locator("#status")).to_have_text("Setting up: 2 of 4 steps are done; this page follows by itself.")
    expect(page.locator("body")).to_have_attribute("data-tone", "idle")
    steps = page.get_by_role("list", name="Steps of a first run").get_by_role("listitem")
    expect(steps.nth(1)).to_contain_text("✓ The builder ran")
    expect(steps.nth(3)).to_contain_text("They are looked for in users, with a number in credits.")


def test_the_page_says_which_monitor_it_is(page, stub):
    """The header, the title and each dialog name environment, project or collection."""
    load(page, stub)

    expect(page.locator("#identity")).to_have_text("staging · demo-page · users")
    expect(page).to_have_title("Healthy · staging · Credit Refresh Monitor")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("staging · demo-page · users")


def test_update_now_pressed_five_times_makes_two_calls(page, stub):
    """People press again when an answer is slow."""
    load(page, stub)
    held = []

    def hold(route):
        held.append(route)

    page.route(lambda url: url == stub.address, hold)
    for _ in range(5):
        page.get_by_role("button", name="Update now").click()
    with page.expect_request(stub.address):
        held[0].continue_()
    page.clock.run_for(500)
    for route in held[1:]:
        route.continue_()
    page.unroute_all(behavior="wait")

    assert len(held) == 2
