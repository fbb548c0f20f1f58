"""The page of `make dev` shows the time, moves the clock, and adopts users that existed before."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from dev.browser import open_page
from tests.app.local_credit_refresh import running_credit_refresh
from tests.support.world import World

TIMEOUT_MS = 60_000  # days are played hour by hour


def test_users_are_adopted_and_days_are_played(browser):
    """Each needs one click. The page shows the results."""
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
        expect(page.locator("#holding")).to_be_hidden(timeout=TIMEOUT_MS)
        page.get_by_role("button", name="7 days").click()
        expect(page.locator("#message")).to_contain_text(re.compile("14 queued, 1[234] refreshed"), timeout=TIMEOUT_MS)
        expect(page.locator("#now")).not_to_contain_text(first)

    assert complaints == []
    assert (world.user("ann")["credits"], world.user("ben")["credits"]) == (50, 50)
