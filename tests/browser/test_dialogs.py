"""Dialogs: each belongs to its own request, says what the action will cost, and keeps the text that was written."""

from __future__ import annotations

import re

import pytest
from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import statistics

REFRESHED = {"changed": True, "refreshedUsers": 1, "failedUsers": 0, "errors": []}


def load(page, stub, query=""):
    page.goto(stub.address + query)
    expect(page.locator("#status strong")).to_be_visible()


def open_dialog(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    return page.get_by_role("dialog")


def posts(stub):
    return [call.body for call in stub.calls if call.body]


def test_a_dialog_stays_until_its_request_is_answered(page, stub):
    """Escape does nothing meanwhile, so the answer can't go to another dialog."""
    load(page, stub)
    held = []
    page.route(stub.address, lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    dialog = open_dialog(page, "Pause")
    dialog.get_by_role("button", name="Pause").click()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Pause the refresh?")

    stub.answer = lambda call: jsonify({"paused": True, "changed": True} if call.body else statistics(paused=True))
    held[0].continue_()
    expect(dialog).to_be_hidden()
    expect(page.locator("#notice")).to_have_text("Paused.")
    assert posts(stub) == [{"action": "pause"}]


def test_the_result_and_the_button_are_both_in_view(page, stub):
    """Also on a long page."""
    stub.answer = lambda call: jsonify({"changed": True, "status": "in_progress"} if call.body else statistics())
    load(page, stub)
    button = page.get_by_role("button", name="Rescan")
    button.scroll_into_view_if_needed()
    open_dialog(page, "Rescan").get_by_role("button", name="Rescan").click()

    expect(page.locator("#notice")).to_have_text("The builder will scan again at its next run.")
    expect(page.locator("#notice")).to_be_in_viewport()
    expect(button).to_be_in_viewport()
    page.get_by_role("button", name="Dismiss the message").click()
    expect(page.locator("#notice-bar")).to_be_hidden()


def test_a_dialog_says_what_the_action_will_cost(page, stub):
    """Jobs, users, reads, writes and dollars, and how many users would fail again."""
    load(page, stub)
    dialog = open_dialog(page, "Requeue these: write failed")

    expect(dialog).to_contain_text("1 job, 2 users: about 4 reads, 6 writes, $0.0000066.")
    expect(dialog).to_contain_text("1 user can be refreshed now.")
    expect(dialog).to_contain_text("1 user is not corrected and will fail again.")
    assert stub.view_calls[-1].query == {"view": "requeue-preview", "runId": "2026-11-22", "code": "write_failed"}


def test_a_rescan_says_how_many_users_it_reads(page, stub):
    """It costs one read for each user."""
    load(page, stub)

    expect(open_dialog(page, "Rescan")).to_contain_text("1,200 users will be read: about 1,200 reads")


@pytest.mark.parametrize(
    ("users", "words"),
    [
        (290, "At most 290 users will be queued."),
        (1, "At most 1 user will be queued."),
        (0, "Nobody will be queued, as far as stamps tell."),
        (None, "How many of them will be queued can't be counted."),
    ],
)
def test_a_rescan_says_how_many_users_it_queues_at_most(page, stub, users, words):
    """Before anybody confirms it."""
    stub.views["rescan-preview"]["queuedUsersAtMost"] = users
    load(page, stub)

    expect(open_dialog(page, "Rescan")).to_contain_text(words)


def test_a_preview_that_fails_does_not_stop_the_action(page_with_errors, stub):
    """The dialog says so, and its button still works."""
    page = page_with_errors
    del stub.views["rescan-preview"]
    stub.answer = lambda call: jsonify({"changed": True, "status": "in_progress"} if call.body else statistics())
    load(page, stub)
    dialog = open_dialog(page, "Rescan")
    expect(dialog).to_contain_text("It could not be counted: no such view")
    dialog.get_by_role("button", name="Rescan").click()

    expect(page.locator("#notice")).to_contain_text("The builder will scan again")


def test_ctrl_enter_confirms(page, stub):
    """Also in the field for the reason, where Enter starts a new line."""
    load(page, stub)
    open_dialog(page, "Pause")
    page.get_by_label("Reason").fill("plans are wrong")
    stub.answer = lambda call: jsonify({"paused": True, "changed": True} if call.body else statistics(paused=True))
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("dialog")).to_be_hidden()
    assert posts(stub) == [{"action": "pause", "reason": "plans are wrong"}]


@pytest.mark.parametrize("options", [{"timezone_id": "America/New_York"}])
def test_a_pause_can_have_an_end_in_the_schedules_zone(page, stub, options):
    """Not in the reader's own zone. 15:00 in Berlin is 14:00 in UTC."""
    stub.answer_with(statistics(timezone="Europe/Berlin"))
    load(page, stub)
    dialog = open_dialog(page, "Pause")
    expect(dialog).to_contain_text("in Europe/Berlin")
    dialog.get_by_label(re.compile("Until")).fill("2026-11-22T15:00")
    stub.answer = lambda call: jsonify({"paused": True, "changed": True} if call.body else statistics(paused=True))
    dialog.get_by_role("button", name="Pause").click()

    expect(dialog).to_be_hidden()
    assert posts(stub) == [{"action": "pause", "until": "2026-11-22T14:00:00.000Z"}]
    assert options["timezone_id"] != "Europe/Berlin"


def test_a_failed_refresh_is_shown_as_a_failure(page, stub):
    """It has another colour, and it gives the reason."""
    failed = {
        "refreshedUsers": 0,
        "failedUsers": 1,
        "errors": [{"code": "bad_balance", "error": "the balance is a text"}],
    }
    stub.answer = lambda call: jsonify(failed if call.body else USER if "userId" in call.query else statistics())
    load(page, stub, "?userId=ann")
    open_dialog(page, "Refresh now").get_by_role("button", name="Refresh now").click()

    expect(page.locator("#notice")).to_have_text("The refresh failed: the balance is a text")
    expect(page.locator("#notice-bar")).to_have_attribute("data-bad", "")


USER = {
    "userId": "ann",
    "found": True,
    "balance": 5,
    "plan": "free",
    "paused": False,
    "stamp": None,
    "lastRefresh": None,
    "lastGranted": None,
    "nextRefresh": None,
    "problem": None,
    "decision": None,
    "explanation": "The balance is 5.",
    "receipts": [],
    "receiptsFrom": "2026-10-23",
    "hasMore": False,
}


def test_the_focus_is_never_lost(page, stub):
    """If the button of an action has disappeared, a heading or the new button gets the focus."""
    stub.answer = lambda call: jsonify({"paused": True, "changed": True} if call.body else statistics(paused=True))
    load(page, stub)
    stub.answer = lambda call: jsonify({"paused": False, "changed": True} if call.body else statistics(mayAct=False))
    open_dialog(page, "Resume").get_by_role("button", name="Resume").click()
    expect(page.get_by_role("dialog")).to_be_hidden()

    expect(page.locator("#controls-title")).to_be_focused()


def test_support_staff_have_no_buttons_for_actions(page, stub):
    """The page says why."""
    stub.answer = lambda call: jsonify(USER if "userId" in call.query else statistics(mayAct=False))
    load(page, stub, "?userId=ann")
    expect(page.locator("#detail")).to_contain_text("The balance is 5.")

    expect(page.locator("#read-only")).to_have_text("Your account may look and not act.")
    for name in ("Pause", "Rescan", "Requeue", "Refresh now", "Pause this user"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
