"""The database's errors become our own, with a remedy. A caller never gets the database's own message."""

from __future__ import annotations

import grpc
import pytest
from flask import Flask

from shared.core.errors import ConflictError, RejectedError, SystemFailureError, UnreadableRunError
from shared.edge.endpoint import error_boundary
from tests.support.faults import WireError, on
from tests.support.world import EVENING, World, population

MISSING = "The database (default) does not exist for project demo. Please visit https://example.com/ to add one"
SECRET = "Commit: projects/p/databases/(default)/documents/users/ann has an odd field"


@pytest.mark.parametrize("message", [MISSING, "Requested entity was not found"])
def test_not_found_on_the_heartbeat_says_what_to_check(message):
    """A write without a precondition can't conflict, so NOT_FOUND means that the database is missing."""
    world = World()
    with (
        world.faulty(on("Commit", WireError(grpc.StatusCode.NOT_FOUND, message), times=9)),
        pytest.raises(SystemFailureError, match="check project"),
    ):
        world.work(EVENING)


def test_a_missing_database_is_not_taken_for_a_lost_race():
    """This holds for guarded writes too. The builder must not report that another builder was first."""
    world = World()
    world.users(population(3))
    with (
        world.faulty(on("Commit", WireError(grpc.StatusCode.NOT_FOUND, MISSING), times=9)),
        pytest.raises(SystemFailureError, match="check project"),
    ):
        world.build()


@pytest.mark.parametrize(
    ("error", "status", "found"),
    [
        (ConflictError(SECRET), 503, False),
        (RejectedError(SECRET), 500, False),
        (SystemFailureError(SECRET), 503, False),
        (UnreadableRunError("the run document 2026-11-22 can't be read; delete it"), 500, True),
    ],
)
def test_the_answer_does_not_quote_the_database(error, status, found):
    """The database's messages may hold paths and addresses. Messages of our own are passed on."""

    @error_boundary
    def fail(_request):
        raise error

    with Flask("test").test_request_context(method="POST") as context:
        answer = fail(context.request)

    assert answer.status_code == status
    assert (str(error) in answer.get_data(as_text=True)) is found
    assert answer.json["error"]["code"]
