"""Failures by cause: what to do, all users of a cause, and the pages of single users and jobs."""

from __future__ import annotations

from typing import Any

from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import statistics

CAUSES = [
    {
        "code": "unknown_plan",
        "users": 210,
        "jobs": 3,
        "foundByBuilder": 0,
        "remedy": "Add the plan to plans.toml and deploy, or correct the plan of these users. Then requeue.",
        "example": "plan 'gold' is not one of free, pro",
    },
    {
        "code": "bad_balance",
        "users": 4,
        "jobs": 0,
        "foundByBuilder": 4,
        "remedy": "Set the balance of these users to a number. Then rescan.",
        "example": None,
    },
]
JOB_ID = "2026-11-22-abcd-17-aa11"
JOB = {
    "jobId": JOB_ID,
    "runId": "2026-11-22",
    "status": "failed",
    "kind": None,
    "attempts": 3,
    "maxAttempts": 3,
    "requeues": 0,
    "rootId": JOB_ID,
    "retryJobId": f"{JOB_ID}-attempt2",
    "processingMs": 420,
    "scheduledFor": "2026-11-22T12:30:00Z",
    "startedAt": "2026-11-22T12:30:02Z",
    "completedAt": "2026-11-22T12:30:03Z",
    "cost": {"reads": 3, "writes": 5},
    "logFilter": f'jsonPayload.jobId="{JOB_ID}"',
    "users": [
        {"userId": "ann", "outcome": "failed", "before": None, "after": None, "granted": None, "reason": None}
        | {"code": "bad_balance", "error": "the balance is a text"},
        {"userId": "bob", "outcome": "refreshed", "before": 5, "after": 50, "granted": 45, "reason": None}
        | {"code": None, "error": None},
    ],
}


def failure(number):
    return {
        "jobId": JOB_ID,
        "userId": f'=cmd"{number}' if number == 0 else f"user{number:05d}",
        "code": "unknown_plan",
        "error": "plan 'gold' is not one of free, pro",
        "timestamp": "2026-11-22T12:30:03Z",
    }


def answer_pages(stub):
    """Answer with 210 users in three pages."""

    def page_of(call):
        start = int(call.query.get("cursor", "0"))
        end = min(start + 100, 210)
        users = [failure(number) for number in range(start, end)]
        return {"users": users, "cursor": str(end) if end < 210 else None, "unnamedUsers": 0}

    stub.views["failures"] = page_of
    stub.answer = lambda call: jsonify(JOB if "jobId" in call.query else statistics(failures=CAUSES, errorsTotal=214))


def load(page, stub, query=""):
    page.goto(stub.address + query)
    expect(page.locator("#status strong")).to_be_visible()


def test_causes_are_listed_with_remedies(page, stub):
    """The most frequent cause is first. Users that only the builder found have no requeue button, but need a rescan."""
    answer_pages(stub)
    load(page, stub)
    rows = page.get_by_role("table", name="Failures by cause").get_by_role("row")

    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("unknown plan plan 'gold' is not one of free, pro2103Add the plan to")
    expect(rows.nth(2)).to_contain_text("Set the balance of these users to a number. Then rescan.")
    expect(page.get_by_role("button", name="Requeue these: bad balance")).to_have_count(0)


def test_all_users_of_a_cause_can_be_shown(page, stub):
    """The button loads one page after the other."""
    answer_pages(stub)
    load(page, stub)
    page.get_by_role("button", name="Show users: unknown plan").click()
    expect(page.locator("#failed-users-title")).to_have_text("The first 100 users failed with “unknown plan”")
    expect(page.locator("#failed-users-title")).to_be_focused()
    for _ in range(2):
        page.get_by_role("button", name="Show more").click()
    expect(page.locator("#failed-users-title")).to_have_text("210 users failed with “unknown plan”")

    expect(page.locator("#failed-users tbody tr")).to_have_count(210)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)
    page.locator("#failed-users").get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Show users: unknown plan")).to_be_focused()


def test_the_csv_file_has_all_users_and_no_formula(page, stub):
    """A user id that a spreadsheet would read as a formula is written as text."""
    answer_pages(stub)
    load(page, stub)
    page.get_by_role("button", name="Show users: unknown plan").click()
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download CSV").click()
    lines = downloading.value.path().read_text().splitlines()

    assert downloading.value.suggested_filename == "failed-2026-11-22-unknown_plan.csv"
    assert len(lines) == 211
    assert lines[0] == '"userId","code","error","jobId","since","timestamp"'
    assert lines[1].startswith('"\'=cmd""0","unknown_plan"')


def test_ids_can_be_copied(page, stub):
    """All ids are copied, one a line."""
    answer_pages(stub)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    load(page, stub)
    page.get_by_role("button", name="Show users: unknown plan").click()
    page.get_by_role("button", name="Copy ids").click()
    expect(page.locator("#notice")).to_have_text("210 ids were copied.")

    assert page.evaluate("navigator.clipboard.readText()").splitlines()[209] == "user00209"


def test_a_job_has_a_page_of_its_own(page, stub):
    """The look-up opens it by id, and a click opens it from the table. It has users, retry job and a log filter."""
    answer_pages(stub)
    load(page, stub)
    page.get_by_label("User id or job id").fill(JOB_ID)
    page.get_by_role("button", name="Look up").click()
    detail = page.locator("#detail")
    expect(detail).to_contain_text("3 of 3")
    expect(detail).to_contain_text(f'jsonPayload.jobId="{JOB_ID}"')
    rows = page.get_by_role("table", name=f"Users of {JOB_ID}").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("annfailed: bad balance: the balance is a text")
    expect(rows.nth(2)).to_contain_text("bobrefreshed54550")
    expect(page.get_by_role("button", name="Requeue this job …")).to_be_visible()
    assert page.url.endswith(f"?jobId={JOB_ID}")

    page.get_by_role("table", name="Failed jobs").get_by_role("rowheader").get_by_role("button").click()
    expect(page.locator("#detail-title")).to_contain_text("2026-11-22-0017")


def test_the_log_of_all_actions_is_filtered_and_paged(page, stub):
    """It is filtered by actor and action. A failed action is marked."""

    def page_of(call):
        older: dict[str, Any] = {
            "kind": "action",
            "time": "2026-10-01T10:00:00Z",
            "action": "pause",
            "actor": "eve",
            "actorUid": "u1",
        }
        older |= {"reason": "prices", "detail": "", "result": None, "failed": False}
        newer = {**older, "action": "refresh", "detail": "user ann", "result": "1 failed", "failed": True}
        return {"entries": [older], "cursor": None} if "cursor" in call.query else {"entries": [newer], "cursor": "c"}

    stub.views["activity"] = page_of
    load(page, stub)
    page.get_by_role("button", name="Log of all actions").click()
    entries = page.get_by_role("group", name="Log of all actions")
    expect(entries).to_contain_text("Refresh user ann by eve (prices): 1 failed")
    entries.get_by_role("button", name="Older").click()
    expect(entries.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("textbox", name="By", exact=True).fill("eve")
    page.get_by_label("Action", exact=True).select_option("pause")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(entries.get_by_role("listitem")).to_have_count(1)

    assert stub.view_calls[-1].query == {"view": "activity", "actor": "eve", "action": "pause"}
