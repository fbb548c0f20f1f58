"""Every code has a remedy, which says how the users are tried again."""

from __future__ import annotations

import pytest

from shared.core.errors import UserErrorCode
from shared.monitor.remedies import REMEDIES, REMEDY_OF_OTHERS, remedy_for


@pytest.mark.parametrize("code", UserErrorCode)
def test_every_code_has_a_remedy(code):
    """A new code needs one too."""
    assert code.value in REMEDIES


@pytest.mark.parametrize(
    ("is_in_jobs", "found", "expected"),
    [
        (True, 0, "Then requeue."),
        (False, 3, "Then rescan."),
        (True, 3, "Then requeue, and rescan for the 3 that are in no job."),
    ],
)
def test_the_remedy_says_how_users_are_tried_again(is_in_jobs, found, expected):
    """Users in failed jobs are requeued. Users in no job are found by a rescan."""
    remedy = remedy_for("bad_balance", is_in_jobs=is_in_jobs, found_by_builder=found)

    assert remedy == f"{REMEDIES['bad_balance']} {expected}"


def test_an_unknown_code_has_a_remedy_as_well():
    """An older or newer version may have written it."""
    assert remedy_for("something", is_in_jobs=True, found_by_builder=0).startswith(REMEDY_OF_OTHERS)
