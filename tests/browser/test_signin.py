"""Who may see the figures: the page with Firebase's own client, the real Auth emulator and the real function."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.firebase import PASSWORD
from tests.support.servers import server


@pytest.fixture(scope="module")
def address(auth, tmp_path_factory):
    """The address of a monitor with sign-in."""
    environ = {
        "GOOGLE_CLOUD_PROJECT": auth.project,
        "FIREBASE_AUTH_EMULATOR_HOST": auth.host,
        "CREDIT_REFRESH_AUTH": "on",
        "CREDIT_REFRESH_COLLECTION_PREFIX": "signing_in",  # other tests use the project, too
    }
    log = tmp_path_factory.mktemp("signin") / "monitor.log"
    with server("credit_refresh_monitor", log, **environ) as running:
        yield f"http://127.0.0.1:{running.port}/api/scheduled-tasks/credit-refresh-monitor"


def sign_in(page, user, password=PASSWORD):
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Password", exact=True).press("Enter")


def expect_figures(page):
    expect(page.locator("#status strong")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_hidden()


def test_an_admin_signs_in_acts_and_signs_out(page, address, auth):
    """There are no figures before and after. The activity names the admin."""
    admin = auth.create_admin()
    asked = []
    page.on("request", lambda request: asked.append(request) if request.url == address else None)
    page.goto(address)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    expect(page.locator("#status")).to_be_hidden()
    assert [request.resource_type for request in asked] == ["document"]

    sign_in(page, admin)
    expect_figures(page)
    expect(page.locator("#account-name")).to_have_text(admin.email)
    for action in ("Pause", "Resume"):
        page.get_by_role("button", name=action, exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name=action).click()
        expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#activity")).to_contain_text(f"Pause by {admin.email}")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("#account")).to_be_hidden()
    assert admin.email not in page.locator("body").text_content()
    assert page.locator("#hours canvas").count() == 0


def test_a_reload_keeps_the_user_signed_in(page, address, auth):
    """A reload does not ask again. Every call has the token in a header, and never in an address."""
    page.goto(address)
    sign_in(page, auth.create_admin())
    expect_figures(page)
    with page.expect_request(lambda request: request.url == address and "authorization" in request.headers) as call:
        page.reload()

    expect_figures(page)
    assert re.fullmatch(r"Bearer [\w.-]{100,}", call.value.headers["authorization"])
    assert "token" not in page.url


def test_a_wrong_password_gives_a_message_without_details(page_with_errors, address, auth):
    """The message is the same if there is no such account."""
    page = page_with_errors
    page.goto(address)
    sign_in(page, auth.create_admin(), "wrong horse")
    expect(page.locator("#signin-problem")).to_have_text("E-mail or password is wrong.")

    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#signin-problem")).to_have_text("E-mail or password is wrong.")
    expect(page.locator("#status")).to_be_hidden()


def test_a_user_without_the_claim_gets_in_after_it_is_granted(page_with_errors, address, auth):
    """A sign-in is not enough. A new claim works without another sign-in."""
    page = page_with_errors
    user = auth.create_user()
    page.goto(address)
    sign_in(page, user)
    expect(page.locator("#refused-text")).to_have_text(f"You are signed in as {user.email}, but not as an admin.")
    expect(page.locator("#status")).to_be_hidden()

    auth.set_claims(user, {"admin": True})
    page.get_by_role("button", name="Try again").click()
    expect_figures(page)


def test_an_admin_whose_tokens_are_revoked_is_asked_to_sign_in_again(page_with_errors, address, auth):
    """At the next call. The figures are removed."""
    page = page_with_errors
    admin = auth.create_admin()
    page.goto(address)
    sign_in(page, admin)
    expect_figures(page)
    auth.revoke(admin)
    page.get_by_role("button", name="Update now").click()

    expect(page.locator("#signin-problem")).to_have_text("You were signed out; please sign in again.")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("#status")).to_be_empty()


def test_a_session_that_ends_with_an_open_dialog_loses_nothing(page_with_errors, address, auth):
    """The open dialog comes back after the sign-in, with the text that was written. For another user it does not."""
    page = page_with_errors
    admin = auth.create_admin()
    page.goto(address)
    sign_in(page, admin)
    expect_figures(page)
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_label("Reason").fill("a long reason")
    auth.revoke(admin)
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.wait_for_timeout(2100)  # a token from the same second as the revocation is revoked, too
    sign_in(page, admin)
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("a long reason")

    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_label("Reason").fill("not for others")
    auth.revoke(admin)
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(page, auth.create_admin())
    expect_figures(page)
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_support_staff_see_figures_and_can_not_act(page_with_errors, address, auth):
    """They have the claim `support`."""
    page = page_with_errors
    helper = auth.create_user()
    auth.set_claims(helper, {"support": True})
    page.goto(address)
    sign_in(page, helper)
    expect_figures(page)

    expect(page.locator("#read-only")).to_be_visible()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    headers = {"Authorization": f"Bearer {auth.sign_in(helper)}", "Content-Type": "application/json"}
    answer = page.request.post(address, headers=headers, data={"action": "pause"})
    assert (answer.status, answer.json()["error"]["code"]) == (403, "read_only")


def test_a_deleted_account_is_signed_out_at_the_next_call(page_with_errors, address, auth):
    """Even if its token is not expired."""
    page = page_with_errors
    admin = auth.create_admin()
    page.goto(address)
    sign_in(page, admin)
    expect_figures(page)
    auth.delete(admin)
    page.get_by_role("button", name="Update now").click()

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
