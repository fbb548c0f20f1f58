"""One browser for the test run. Every test has a new profile. At its end the browser must have reported no errors."""

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
    """The options of the profile. A test that needs others parametrizes them."""
    return {}


@pytest.fixture
def page_and_complaints(browser, options):
    """A page, and the list of its errors so far."""
    with open_page(browser, **options) as found:
        yield found


@pytest.fixture
def page(page_and_complaints):
    """A page that must have no errors, no warnings and no violations of its policy."""
    page, complaints = page_and_complaints
    yield page
    assert complaints == []


@pytest.fixture
def page_with_errors(page_and_complaints):
    """A page whose requests fail on purpose. The browser reports these failures itself; other errors fail the test."""
    page, complaints = page_and_complaints
    yield page
    assert [line for line in complaints if "Failed to load resource" not in line] == []


@pytest.fixture
def stub():
    with serving_stub() as running:
        yield running
