"""One browser for the run; a profile of its own for every test, which must have nothing to complain of in the end."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from dev.browser import chromium, open_page
from tests.support.firebase import auth, auth_emulator
from tests.support.stub import serving_stub

__all__ = ["auth", "auth_emulator"]  # fixtures


expect.set_options(timeout=15_000)  # a machine may be busy with the rest of the suite


@pytest.fixture(scope="session")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def options():
    """What the profile is like; a test that wants another one parametrizes it."""
    return {}


@pytest.fixture
def page_and_complaints(browser, options):
    """A page, and what it complains of so far."""
    with open_page(browser, **options) as found:
        yield found


@pytest.fixture
def page(page_and_complaints):
    """A page that has nothing to complain of: no errors, no warnings, no breach of its own policy."""
    page, complaints = page_and_complaints
    yield page
    assert complaints == []


@pytest.fixture
def page_with_errors(page_and_complaints):
    """A page that is made to meet errors, of which the browser complains by itself; still, its policy holds."""
    page, complaints = page_and_complaints
    yield page
    assert [line for line in complaints if "Failed to load resource" not in line] == []


@pytest.fixture
def stub():
    with serving_stub() as running:
        yield running
