"""Past days: how to open them and come back, and that they show nothing of today."""

from __future__ import annotations

import re

from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import past_day, statistics


def answer_days(stub):
    def answer(call):
        day = call.query.get("runId", "2026-11-22")
        return jsonify(statistics() if day == "2026-11-22" else past_day(day))

    stub.answer = answer


def load(page, stub, query=""):
    page.goto(stub.address + query)
    expect(page.locator("#status strong")).to_be_visible()


def test_opening_a_day_changes_the_address(page, stub):
    """By the buttons for the day before, the day after and today, and by the browser's own back button."""
    answer_days(stub)
    load(page, stub)
    expect(page.get_by_role("button", name="Today", exact=True)).to_be_hidden()
    expect(page.get_by_role("button", name="The day after")).to_be_disabled()
    page.get_by_role("button", name="The day before").click()
    expect(page.locator("#status strong")).to_have_text("2026-11-21")
    assert page.url.endswith("?runId=2026-11-21")
    page.get_by_role("button", name="The day before").click()
    expect(page.locator("#status strong")).to_have_text("2026-11-20")
    page.go_back()
    expect(page.locator("#status strong")).to_have_text("2026-11-21")
    page.get_by_role("button", name="Today", exact=True).click()

    expect(page.locator("#status strong")).to_have_text("Healthy")
    assert "runId" not in page.url


def test_a_past_day_shows_nothing_of_today(page, stub):
    """No lag, no worker, no next run, no rescan and no pause."""
    answer_days(stub)
    load(page, stub, "?runId=2026-11-20")

    for name in ("lag", "worker"):
        expect(page.locator(f"[data-figure={name}]")).to_have_count(0)
    expect(page.locator("#controls")).to_be_hidden()
    assert "next" not in page.locator("main").inner_text()
    expect(page.get_by_role("button", name="Requeue all failed (1) …")).to_be_visible()


def test_the_chart_of_days_shows_thirty_days_and_opens_each(page, stub):
    """Each day has a label in words for screen readers: refreshed, failed, cost, and failed jobs."""
    answer_days(stub)
    load(page, stub)
    columns = page.get_by_role("group", name="Days").get_by_role("button")
    expect(columns).to_have_count(30)
    expect(page.locator("#money")).to_have_text("This month so far $0.031; at this pace $0.043 by its end")
    column = page.get_by_role(
        "button", name=re.compile("13 November 2026: .* refreshed, 210 failed, 1 failed job waiting")
    )
    column.click()

    expect(page.locator("#status strong")).to_have_text("2026-11-13")
    expect(column).to_have_attribute("aria-current", "date")
    page.locator("#strip summary").click()
    expect(page.get_by_role("table", name="Each of the last 30 days").get_by_role("row")).to_have_count(31)


def test_the_chart_of_days_is_one_tab_stop(page, stub):
    """The arrow keys lead from day to day."""
    answer_days(stub)
    load(page, stub)
    stops = page.locator("#strip .column[tabindex='0']")
    expect(stops).to_have_count(1)
    stops.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name=re.compile("21 November 2026"))).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#status strong")).to_have_text("2026-11-21")


def test_an_invalid_day_is_refused_once(page_with_errors, stub):
    """The page does not ask again, and it has a button to today."""
    page = page_with_errors
    stub.refuse_with(400, "invalid_value", "runId: expected a date like 2026-11-22")
    page.clock.install()
    page.goto(f"{stub.address}?runId=yesterday")
    expect(page.locator("#no-day-text")).to_have_text("runId: expected a date like 2026-11-22")
    page.clock.run_for(600_000)
    assert len(stub.calls) == 1

    stub.answer_with(statistics())
    page.get_by_role("button", name="Show today").click()
    expect(page.locator("#status strong")).to_have_text("Healthy")


def test_the_address_names_user_and_day(page_with_errors, stub):
    """So it can be a link in a support ticket."""
    page = page_with_errors
    answer_days(stub)
    load(page, stub, "?runId=2026-11-20")
    stub.refuse_with(404, "user_not_found", "no such user")
    page.get_by_label("User id or job id").fill("a & b")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#story")).to_contain_text("There is no user a & b")

    assert page.url.endswith("?runId=2026-11-20&userId=a+%26+b")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#detail")).to_be_hidden()
    assert page.url.endswith("?runId=2026-11-20")
