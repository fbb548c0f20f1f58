"""The embed script on somebody else's page: one button, in the right place, and nothing else."""

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
def test_the_button_is_put_where_it_is_wanted(page, stub, body, attributes, inside):
    """Where `data-into` says, else in the first header, else in the body."""
    with serving_html(admin_page(stub, body, attributes)) as address:
        page.goto(address)
        expect_button(page, stub, inside)


def test_a_header_that_is_drawn_later_gets_its_button_then(page, stub):
    """As apps do that draw themselves in the browser."""
    with serving_html(admin_page(stub, "", "data-into='#late'")) as address:
        page.goto(address)
        expect(page.get_by_role("link", name=NAME)).to_have_count(0)
        page.evaluate("document.body.append(Object.assign(document.createElement('div'), { id: 'late' }))")

        expect_button(page, stub, "#late")


def test_a_header_that_is_drawn_anew_keeps_its_button(page, stub):
    """As apps do at each change of route; also when the header was away for a while."""
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


def test_a_selector_that_is_none_is_warned_of_and_the_first_header_taken(page_and_complaints, stub):
    """Nothing is thrown in somebody else's page."""
    page, complaints = page_and_complaints
    with serving_html(admin_page(stub, "<header></header>", "data-into='#[bad'")) as address:
        page.goto(address)
        expect_button(page, stub, "header")

        assert complaints == [
            'Credit Refresh Monitor: data-into="#[bad" is not a CSS selector; the first header is used.'
        ]


def test_two_script_tags_make_one_button_and_no_global(page, stub):
    """A tag in the layout and one in the page, say. The host's own names are left alone."""
    twice = admin_page(stub, f"<header></header><script src='{stub.address}/embed.js' defer></script>")
    with serving_html("<title>Plain</title><header></header>") as plain, serving_html(twice) as address:
        page.goto(plain)
        before = set(page.evaluate("Object.getOwnPropertyNames(window)"))
        page.goto(address)
        expect_button(page, stub, "header")

        assert set(page.evaluate("Object.getOwnPropertyNames(window)")) == before


def test_the_button_opens_the_monitor_in_a_new_tab_by_keyboard(page, stub):
    """Which can't reach back into the admin page, nor learns where it came from."""
    with serving_html(admin_page(stub, "<header></header>")) as address:
        page.goto(address)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=NAME)).to_be_focused()
        with page.context.expect_page() as opened:
            page.keyboard.press("Enter")
        monitor = opened.value

        expect(monitor.locator("#status")).to_contain_text("Healthy")
        assert monitor.evaluate("[window.opener, document.referrer]") == [None, ""]


def test_a_host_with_a_policy_of_its_own_needs_no_inline_style(page, stub):
    """The button looks as it should under `style-src 'none'`, and the page has nothing to complain of."""
    policy = (
        f"<meta http-equiv='Content-Security-Policy' content=\"style-src 'none'; script-src {stub.address}/embed.js\">"
    )
    html = admin_page(stub, "<header></header>").replace("<title>", f"{policy}<title>")
    with serving_html(html) as address:
        page.goto(address)
        link = page.get_by_role("link", name=NAME)

        expect(link).to_have_css("border-top-width", "1px")
        expect(link).to_have_css("text-decoration-line", "none")
