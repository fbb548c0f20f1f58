"""The embed script on a page of another site. It adds one button in the right place, and nothing else."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.stub import serving_html

NAME = "View Credit Refresh Monitor"


def admin_page(stub, body, attributes=""):
    return f"""<!doctype html><html lang="en"><title>Admin</title>
      <script src="{stub.address}/embed.js" {attributes} defer></script><body>{body}</body></html>"""


def expect_button(page, stub, inside):
    link = page.locator(f"{inside} > a")
    expect(link).to_have_text(NAME)
    expect(link).to_have_attribute("href", stub.address)
    expect(page.get_by_role("link", name=NAME)).to_have_count(1)


@pytest.mark.parametrize(
    ("body", "attributes", "inside"),
    [
        ("<header id='top'></header><header id='other'></header>", "", "#top"),
        ("<header></header><nav id='admin-header'></nav>", "data-into='#admin-header'", "#admin-header"),
        ("<p>no header</p>", "", "body"),
    ],
)
def test_the_button_is_in_the_wanted_place(page, stub, body, attributes, inside):
    """In the element that `data-into` names, or else in the first header, or else in the body."""
    with serving_html(admin_page(stub, body, attributes)) as address:
        page.goto(address)
        expect_button(page, stub, inside)


def test_a_header_that_is_drawn_late_gets_the_button(page, stub):
    """Apps that render in the browser draw it late."""
    with serving_html(admin_page(stub, "", "data-into='#late'")) as address:
        page.goto(address)
        expect(page.get_by_role("link", name=NAME)).to_have_count(0)
        page.evaluate("document.body.append(Object.assign(document.createElement('div'), { id: 'late' }))")

        expect_button(page, stub, "#late")


def test_a_header_that_is_drawn_again_keeps_the_button(page, stub):
    """Apps draw it again at each change of route. The header may also be missing for a while."""
    with serving_html(admin_page(stub, "<header>one</header>")) as address:
        page.goto(address)
        expect_button(page, stub, "header")
        for _ in range(2):
            page.evaluate("document.querySelector('header').innerHTML = 'drawn anew'")
            expect_button(page, stub, "header")
        page.evaluate("document.querySelector('header').remove()")
        expect_button(page, stub, "body")
        page.evaluate("document.body.prepend(document.createElement('header'))")

        expect_button(page, stub, "header")


def test_a_bad_selector_gives_a_warning_and_the_first_header_is_used(page_and_complaints, stub):
    """No exception is raised in the other site's page."""
    page, complaints = page_and_complaints
    with serving_html(admin_page(stub, "<header></header>", "data-into='#[bad'")) as address:
        page.goto(address)
        expect_button(page, stub, "header")

        assert complaints == [
            'Credit Refresh Monitor: data-into="#[bad" is not a CSS selector; the first header is used.'
        ]


def test_two_script_tags_make_one_button_and_no_global(page, stub):
    """For example one tag in the layout and one in the page. The script adds no global names."""
    twice = admin_page(stub, f"<header></header><script src='{stub.address}/embed.js' defer></script>")
    with serving_html("<title>Plain</title><header></header>") as plain, serving_html(twice) as address:
        page.goto(plain)
        before = set(page.evaluate("Object.getOwnPropertyNames(window)"))
        page.goto(address)
        expect_button(page, stub, "header")

        assert set(page.evaluate("Object.getOwnPropertyNames(window)")) == before


def test_the_button_opens_the_monitor_in_a_new_tab_by_keyboard(page, stub):
    """The new tab has no access to the admin page, and does not get its address."""
    with serving_html(admin_page(stub, "<header></header>")) as address:
        page.goto(address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=NAME)).to_be_focused()
        with page.context.expect_page() as opened:
            page.keyboard.press("Enter")
        monitor = opened.value

        expect(monitor.locator("#status")).to_contain_text("Healthy")
        assert monitor.evaluate("[window.opener, document.referrer]") == [None, ""]


def test_a_site_with_its_own_policy_needs_to_allow_no_inline_style(page, stub):
    """Under `style-src 'none'` the button is styled, and the browser reports no violation."""
    policy = (
        f"<meta http-equiv='Content-Security-Policy' content=\"style-src 'none'; script-src {stub.address}/embed.js\">"
    )
    html = admin_page(stub, "<header></header>").replace("<title>", f"{policy}<title>")
    with serving_html(html) as address:
        page.goto(address)
        link = page.get_by_role("link", name=NAME)

        expect(link).to_have_css("border-top-width", "1px")
        expect(link).to_have_css("text-decoration-line", "none")
