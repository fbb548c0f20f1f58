"""The page of `make dev`: it shows the time, moves it, and adopts users that were there before."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from dev.browser import open_page
from tests.app.local_credit_refresh import running_credit_refresh
from tests.support.world import World

PATIENCE_MS = 60_000  # a day is played hour by hour


def test_a_day_goes_by_and_users_are_adopted(browser):
    """By two clicks; what came of each is shown."""
    world = World()
    world.users({"ann": {"credits": 3}, "ben": {"credits": 4}})
    project = str(world.settings.project)
    with (
        running_credit_refresh(GOOGLE_CLOUD_PROJECT=project, TICK="0") as found,
        open_page(browser) as (page, complaints),
    ):
        page.goto(found.dev)
        expect(page.locator("#now")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
        expect(page.locator("#environment")).to_contain_text(f"GOOGLE_CLOUD_PROJECT={project}")
        first = page.locator("#now").inner_text()[:10]

        page.get_by_role("button", name="Adopt them").click()
        expect(page.locator("#holding")).to_be_hidden(timeout=PATIENCE_MS)
        page.get_by_role("button", name="7 days").click()
        expect(page.locator("#message")).to_contain_text(re.compile("14 queued, 1[234] refreshed"), timeout=PATIENCE_MS)
        expect(page.locator("#now")).not_to_contain_text(first)

    assert complaints == []
    assert (world.user("ann")["credits"], world.user("ben")["credits"]) == (50, 50)
