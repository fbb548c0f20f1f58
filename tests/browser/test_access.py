"""Accessibility: keyboard only, screen readers, large letters, and no motion."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import statistics

TABS_MAX = 60


def load(page, stub):
    page.goto(stub.address)
    expect(page.locator("#status strong")).to_be_visible()


def tab_to(page, target):
    """Press Tab until the target has the focus."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{TABS_MAX} tabs did not reach {target}")


def test_everything_can_be_done_by_keyboard(page, stub):
    """For example to pause with a reason. The dialog takes the focus, keeps it, and gives it back."""
    load(page, stub)
    pause = page.get_by_role("button", name="Pause", exact=True)
    tab_to(page, pause)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Pause the refresh?")
    expect(dialog).to_be_visible()
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("plans are wrong")
    stub.answer = lambda call: jsonify({"paused": True, "changed": True} if call.body else statistics(paused=True))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(dialog).to_be_hidden()
    expect(page.locator("#pause")).to_be_focused()
    expect(page.locator("#pause")).to_have_text("Resume")
    assert [call.body for call in stub.calls if call.body] == [{"action": "pause", "reason": "plans are wrong"}]


def test_escape_closes_a_dialog_without_an_action(page, stub):
    """The focus goes back to where it was."""
    load(page, stub)
    page.locator("#rescan").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Scan 2026-11-22 again?")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#rescan")).to_be_focused()
    assert [call.method for call in stub.calls] == ["GET"]


def test_the_focus_goes_to_the_heading_when_a_row_disappears(page, stub):
    """The row of a requeued job disappears, and its button, too."""
    load(page, stub)
    page.get_by_role("button", name=re.compile("Requeue job")).focus()
    page.keyboard.press("Enter")
    done = {"changed": True, "requeuedJobs": 1, "requeuedUsers": 2, "hasMore": False}
    without = statistics(deadLetters=[], failedJobs=0, errors=[], errorsTotal=0)
    stub.answer = lambda call: jsonify(done if call.body else without)
    page.get_by_role("dialog").get_by_role("button", name="Requeue").press("Enter")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#failures-title")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="Requeued 1 job with 2 users.")).to_be_visible()


def test_the_first_tab_skips_the_header(page, stub):
    """A link to the figures appears when it has the focus."""
    load(page, stub)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the figures")).to_be_in_viewport()
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()


def test_a_screen_reader_finds_the_structure(page, stub):
    """Landmarks, one heading of level 1, no skipped level, a name for every control, headings for every table."""
    load(page, stub)
    for summary in page.locator("summary").all():
        summary.click()

    assert page.evaluate(UNNAMED) == []
    headings = page.locator("h1:visible, h2:visible, h3:visible, h4:visible").evaluate_all(
        "(all) => all.map((each) => Number(each.tagName[1]))"
    )
    assert headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))
    for role in ("banner", "main", "search"):
        expect(page.get_by_role(role)).to_have_count(1)
    for name in ("Users per hour", "Recent jobs", "Failures", "Look up a user or a job", "Controls", "Recent activity"):
        expect(page.get_by_role("region", name=re.compile(name)).first).to_be_visible()
    expect(page.get_by_role("table", name="Failed jobs").get_by_role("columnheader")).to_have_count(6)
    expect(page.get_by_role("status").filter(has_text="Healthy")).to_have_count(1)
    assert page.locator("html").get_attribute("lang") == "en"


UNNAMED = """() => {
  const named = (element) => element.textContent.trim() || element.getAttribute("aria-label") || element.labels?.length
    || element.getAttribute("aria-labelledby") || element.getAttribute("alt") !== null;
  return [...document.querySelectorAll("button, a, input, textarea, img, [role=img], [role=region], [tabindex]")]
    .filter((element) => element.checkVisibility() && !named(element)).map((element) => element.outerHTML);
}"""


def test_unchanged_text_is_not_read_aloud_again(page, stub):
    """The age changes every second, but is not read aloud. The same status line is not written again."""
    page.clock.install()
    load(page, stub)
    page.evaluate(
        """() => {
          window.changes = 0;
          const observer = new MutationObserver((list) => { window.changes += list.length; });
          for (const live of document.querySelectorAll("[role=status], [role=alert]"))
            observer.observe(live, { childList: true, characterData: true, subtree: true });
        }"""
    )
    with page.expect_response(stub.address):
        page.clock.run_for(11_000)
    page.clock.run_for(3_000)
    expect(page.locator("#age")).to_have_text(re.compile(r"Updated [345] s ago"))
    assert page.evaluate("window.changes") == 0

    stub.answer_with(statistics(paused=True))
    page.clock.run_for(10_000)
    expect(page.locator("#status")).to_contain_text("Paused")
    assert page.evaluate("window.changes") > 0


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark"}])
@pytest.mark.parametrize("tone", ["good", "bad", "paused"])
def test_every_text_has_enough_contrast(page, stub, options, tone):
    """The contrast is at least 4.5 (WCAG AA), in light and dark, in each state."""
    reasons = [{"code": "queue_lag", "message": "the oldest due job has waited for 3 h"}]
    changes: dict[str, dict[str, Any]] = {
        "good": {},
        "bad": {"health": {"status": "unhealthy", "reasons": reasons}},
        "paused": {"paused": True},
    }
    stub.answer_with(statistics(**changes[tone]))
    load(page, stub)
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.locator("body")).to_have_attribute("data-tone", tone)

    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each["contrast"] < 4.5] == []
    assert options["color_scheme"]


CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const ground = (element) => {
    const colour = channels(getComputedStyle(element).backgroundColor);
    return colour.length === 4 && colour[3] === 0 && element.parentElement ? ground(element.parentElement) : colour;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, script")) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push({ text: texts.currentNode.data.slice(0, 40), contrast });
  }
  return found;
}"""


@pytest.mark.parametrize("options", [{"viewport": {"width": 320, "height": 640}}])
def test_the_page_fits_with_letters_four_times_as_big(page, stub, options):
    """A window of 1280 pixels, enlarged four times, has 320 pixels. The page must not be wider (WCAG 1.4.10)."""
    load(page, stub)

    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]


@pytest.mark.parametrize("options", [{"reduced_motion": "reduce"}])
def test_nothing_moves_with_reduced_motion(page, stub, options):
    """The bar changes without a transition."""
    load(page, stub)

    expect(page.locator(".bar .refreshed")).to_have_css("transition-property", "none")
    assert options["reduced_motion"] == "reduce"


@pytest.mark.parametrize("options", [{"has_touch": True, "viewport": {"width": 390, "height": 844}}])
def test_buttons_are_big_enough_for_a_finger(page, stub, options):
    """Buttons are at least 24 pixels wide and high (WCAG 2.5.8)."""
    load(page, stub)

    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.text_content()
    assert options["has_touch"]
