"""Every state of the page at three widths, in light and dark: no axe violation, and every button can be reached."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import jsonify
from playwright.sync_api import expect

from shared.settings import BUNDLE
from tests.browser.test_failures import CAUSES, JOB, JOB_ID, failure
from tests.browser.test_page_alone import STORY
from tests.support.stub import past_day, statistics

AXE = BUNDLE / "tests/firebase/node_modules/axe-core/axe.min.js"
NOBODY = {"refreshed": 0, "skipped": 0, "failed": 0, "pending": 0}
RED = {
    "status": "unhealthy",
    "reasons": [
        {"code": "dead_letters", "message": "jobs of 2026-11-21 have failed for good", "runIds": ["2026-11-21"]},
        {"code": "queue_lag", "message": "the oldest due job has been waiting for 3 hours"},
    ],
}
PAUSE = {"by": "ada", "since": "2026-11-22T13:30:00Z", "until": None, "reason": "bad plans", "usersLate": 40}
SETUP = {"scheduleSeen": True, "builderRan": True, "workerRan": False, "usersFound": False}
STATES: dict[str, dict[str, Any] | None] = {
    "healthy": {},
    "unhealthy": {"health": RED, "failures": CAUSES, "failedJobs": 7},
    "paused": {"paused": True, "pause": PAUSE},
    "rescanning": {"rescanning": True, "runStatus": "in_progress"},
    "setting-up": {"setup": SETUP, "users": NOBODY, "recentJobs": [], "recentActivity": [], "failures": []},
    "nobody-failed": {"failures": [], "deadLetters": [], "failedJobs": 0, "errorsTotal": 0},
    "read-only": {"mayAct": False},
    "past": past_day("2026-11-20"),
    "unknown": None,
    "no-day": None,
    "failed-users": {"failures": CAUSES},
    "question": {},
    "notice": {},
    "log": {},
    "user": {},
    "job": {},
}
WIDTHS = [1280, 768, 375]


def show_state(page, stub, state):
    """Bring the page into that state."""
    figures = statistics(**(STATES[state] or {}))
    one = {"user": STORY, "job": JOB}.get(state)
    stub.answer = lambda call: jsonify(one if one and {"userId", "jobId"} & call.query.keys() else figures)
    stub.views["failures"] = {"users": [failure(n) for n in range(30)], "cursor": "c", "unnamedUsers": 7}
    if state == "unknown":
        stub.refuse_with(503, "unavailable", "the database can't be reached")
    if state == "no-day":
        stub.refuse_with(400, "invalid_value", "runId: expected a date like 2026-11-22")
    query = {"user": "?userId=user00418", "job": f"?jobId={JOB_ID}"}.get(state, "")
    page.goto(stub.address + query)
    expect(page.locator("#no-day-text" if state == "no-day" else "#status strong")).to_be_visible()
    if state not in ("unknown", "no-day"):
        expect(page.locator("#strip .column")).to_have_count(30)
    for summary in page.locator("summary:visible").all():
        summary.click()
    _open_parts(page, stub, state)


def _open_parts(page, stub, state):
    match state:
        case "failed-users":
            page.get_by_role("button", name="Show users: unknown plan").click()
            expect(page.locator("#failed-users-title")).to_be_focused()
        case "question":
            page.get_by_role("button", name="Pause", exact=True).click()
            page.keyboard.press("Escape")
            page.get_by_role("button", name=re.compile("Requeue these")).click()
            expect(page.get_by_role("dialog")).to_contain_text("fail again")
        case "notice":
            stub.answer = lambda call: jsonify({"changed": True} if call.body else statistics())
            page.get_by_role("button", name="Rescan").click()
            page.get_by_role("dialog").get_by_role("button", name="Rescan").click()
            expect(page.locator("#notice")).not_to_be_empty()
        case "log":
            page.get_by_role("button", name="Log of all actions").click()
            expect(page.locator("#log-entries")).not_to_be_empty()
        case "user" | "job":
            expect(page.locator("#detail .facts")).to_be_visible()


@pytest.mark.parametrize("options", [{"reduced_motion": "reduce"}])
@pytest.mark.parametrize("state", STATES)
def test_no_state_has_an_axe_violation(page_with_errors, stub, state, options):
    """In light and dark, at 1280, 768 and 375 pixels. The page is never wider than the window."""
    page = page_with_errors
    show_state(page, stub, state)
    page.evaluate(AXE.read_text(encoding="utf-8") + "; window.axe.configure({ allowedOrigins: [] });")
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found += [(scheme, width, *each) for each in page.evaluate(VIOLATIONS)]

    assert found == []
    assert options["reduced_motion"] == "reduce"


VIOLATIONS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))]);
}"""


@pytest.mark.parametrize("width", [1280, 768, 640, 375])
def test_every_button_of_the_failures_can_be_reached(page, stub, width):
    """Also at 200% zoom, where a window of 1280 pixels has 640. No button is outside of its table."""
    page.set_viewport_size({"width": width, "height": 900})
    show_state(page, stub, "failed-users")
    boxes = page.locator("#failures button, #failed-users button").evaluate_all(
        """(all) => all.map((button) => {
          const box = button.getBoundingClientRect();
          const frame = button.closest(".scrolls, .card").getBoundingClientRect();
          return [button.textContent, box.left >= frame.left && box.right <= frame.right + 1];
        })"""
    )

    assert len(boxes) > 30
    assert [text for text, fits in boxes if not fits] == []


def test_long_tables_are_not_too_long_on_a_phone(page, stub):
    """Ids are not broken into many lines, and only the first receipts are shown."""
    page.set_viewport_size({"width": 375, "height": 900})
    receipts = [{**STORY["receipts"][0], "kind": None, "granted": 45} for _ in range(100)]
    users = [failure(n) for n in range(1, 101)]
    stub.views["failures"] = {"users": users, "cursor": None, "unnamedUsers": 0}
    story = {**STORY, "receipts": receipts}
    stub.answer = lambda call: jsonify(story if "userId" in call.query else statistics(failures=CAUSES))
    page.goto(f"{stub.address}?userId=user00418")
    page.get_by_role("button", name="Show users: unknown plan").click()
    expect(page.locator("#failed-users tbody tr")).to_have_count(100)

    first = page.locator("#failed-users tbody th").first
    assert first.bounding_box()["height"] <= 60
    assert page.locator("#failed-users").bounding_box()["height"] < 12_000
    assert page.locator("#receipts").bounding_box()["height"] < 3000
    page.get_by_role("button", name="Show all 100").click()
    expect(page.locator("#receipts tbody tr")).to_have_count(100)


def test_the_axis_of_short_durations_has_different_marks(page, stub):
    """No two marks of the axis are the same."""
    jobs = [{**job, "processingMs": 1} for job in statistics()["recentJobs"]]
    stub.answer_with(statistics(recentJobs=jobs))
    page.add_init_script(SPY_ON_TEXT)
    page.goto(stub.address)
    expect(page.locator("#jobs canvas")).to_be_visible()
    page.wait_for_function("window.drawn.some((text) => text.endsWith(' ms'))")

    marks = page.evaluate("window.drawn.filter((text) => text.endsWith(' ms'))")
    assert sorted(set(marks)) == ["0 ms", "1 ms"]
    assert marks.count("1 ms") == marks.count("0 ms")


SPY_ON_TEXT = """window.drawn = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.drawn.push(String(text));
  return fillText.call(this, text, ...rest);
};"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_neighbouring_parts_of_the_bar_have_enough_contrast(page, stub, scheme):
    """The edge of each part stands out from the gap beside it by 3:1 (WCAG 1.4.11)."""
    page.emulate_media(color_scheme=scheme)
    stub.answer_with(statistics(users={"refreshed": 10, "skipped": 10, "failed": 10, "pending": 10}))
    page.goto(stub.address)
    expect(page.locator(".bar .pending")).to_be_visible()

    contrasts = page.evaluate(EDGE_CONTRASTS)
    assert len(contrasts) == 4
    assert min(contrasts) >= 3


EDGE_CONTRASTS = """() => {
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const gap = luminance(getComputedStyle(document.querySelector(".hero")).backgroundColor);
  return [...document.querySelectorAll(".bar span")].map((part) => {
    const style = getComputedStyle(part);
    const outline = style.boxShadow.match(/rgb[^)]*\\)/);
    const edge = luminance(outline ? outline[0] : style.backgroundColor);
    return (Math.max(edge, gap) + 0.05) / (Math.min(edge, gap) + 0.05);
  });
}"""


@pytest.mark.parametrize("media", [{"media": "print"}, {"forced_colors": "active"}])
def test_the_bar_is_visible_in_print_and_with_forced_colours(page, stub, media):
    """Both remove backgrounds unless the style forbids it."""
    page.emulate_media(**media)
    page.goto(stub.address)
    expect(page.locator(".bar .refreshed")).to_be_visible()

    style = page.locator(".bar .refreshed").evaluate(
        "(part) => { const s = getComputedStyle(part); return [s.printColorAdjust, s.forcedColorAdjust]; }"
    )
    assert style[0 if "media" in media else 1] == ("exact" if "media" in media else "none")
