"""The page with the real function and the real emulator, with the documents of real builders and workers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.support.plans import PLANS
from tests.support.servers import server
from tests.support.stub import serving_html
from tests.support.world import NOON, World, population

LATER = NOON + timedelta(minutes=1)
ODD = "<img src=x onerror=\"window.hacked='yes'\">"


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    """The monitor's function, shared by all tests of the module."""
    world = World()
    folder = tmp_path_factory.mktemp("monitor")
    (folder / "plans.toml").write_text(PLANS)
    environ = {
        "GOOGLE_CLOUD_PROJECT": str(world.settings.project),
        "CREDIT_REFRESH_PLANS_FILE": str(folder / "plans.toml"),
        "CREDIT_REFRESH_SLOT_SECONDS": str(world.settings.slot_seconds),
    }
    with server("credit_refresh_monitor", folder / "monitor.log", **environ) as running:
        yield Monitor(world, running)


class Monitor:
    """The function's process and its project."""

    def __init__(self, world, running):
        self.world, self._running = world, running
        self.address = f"http://127.0.0.1:{running.port}/"

    def at(self, moment, **query):
        """The page's address with that moment. On the emulator the page sends it with every call."""
        query = {"asOf": moment.isoformat(), **query}
        return self.address + "?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())

    def json(self, moment):
        """The JSON that a script gets at that moment."""
        path = self.at(moment).removeprefix(self.address.rstrip("/"))
        return self._running.request("GET", path=path, Accept="application/json").json

    def health(self, moment):
        path = f"/health?asOf={quote(moment.isoformat())}"
        return self._running.request("GET", path=path)


@pytest.fixture
def world(monitor):
    """The project, with all documents deleted."""
    found = monitor.world
    for collection in (
        "users",
        "credit_refresh_jobs",
        "credit_refresh_runs",
        "credit_refresh_control",
        "credit_refresh_activity",
    ):
        for document_id in found.all(collection):
            found.delete(f"{collection}/{document_id}")
    for below in ("rollups", "credit_refresh_follow_ups"):
        for document_id in found.all(below, "credit_refresh_runs/2026-11-22"):
            found.delete(f"credit_refresh_runs/2026-11-22/{below}/{document_id}")
    return found


def play_half_a_day(world, **odd):
    """Write users, also some odd ones. Build the day, and work until noon."""
    world.users({**population(120), **odd})
    world.build()
    world.work(NOON)


def fail_for_good(world):
    """Make dead letters: after the build the balances become text. Then correct them. Returns the failed jobs."""
    world.users(population(40))
    world.build()
    for number in range(40):
        world.update(f"users/user{number:05d}", credits="a lot")
    world.work(NOON)
    failed = {job_id: job for job_id, job in world.jobs().items() if job["status"] == "failed"}
    assert failed
    for number in range(40):
        world.update(f"users/user{number:05d}", credits=5)
    return failed


def open_at(page, monitor, moment=LATER, **query):
    page.goto(monitor.at(moment, **query))
    expect(page.locator("#status strong")).to_be_visible()


def figure(page, name):
    return page.locator(f"[data-figure={name}]")


def confirm(page, verb, reason=None):
    """Confirm the open dialog."""
    dialog = page.get_by_role("dialog")
    if reason:
        dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=verb).click()
    expect(dialog).to_be_hidden()


def test_the_page_shows_the_figures_that_a_script_gets(page, world, monitor):
    """The same address gives a browser the page, and a script the JSON."""
    play_half_a_day(world, bad={"credits": "many"})
    answer = monitor.json(LATER)
    open_at(page, monitor)

    users = answer["users"]
    assert users["refreshed"] > 10
    assert users["pending"] > 10
    for name, number in users.items():
        expect(figure(page, name)).to_have_text(str(number))
    expect(figure(page, "jobs")).to_have_text(f"{answer['completedJobs']} of {answer['totalJobs']}")
    expect(figure(page, "lag")).to_have_text("0 s")
    total = sum(users.values())
    expect(page.locator("#status")).to_contain_text(f"{users['refreshed']} of {total} users refreshed today")
    expect(page.locator("#age")).to_contain_text("Updated")


def test_the_tables_of_the_charts_have_the_rows_of_the_json(page, world, monitor):
    """A row for each hour, and a row for each job."""
    play_half_a_day(world)
    answer = monitor.json(LATER)
    open_at(page, monitor)
    for name in ("hours", "jobs"):
        page.locator(f"#{name} summary").click()

    hours = page.get_by_role("table", name="Planned and done users per hour").get_by_role("row").all_text_contents()
    jobs = page.get_by_role("table", name="The last settled jobs").get_by_role("rowheader").all_text_contents()
    assert hours[1:] == [f"{hour['start'][11:16]}{hour['planned']}{hour['done']}" for hour in answer["hours"]]
    assert jobs == [job["jobId"] for job in answer["recentJobs"]]
    assert sum(hour["done"] for hour in answer["hours"]) == answer["users"]["refreshed"]


def test_an_empty_project_is_shown_as_not_set_up(page, world, monitor):
    """The page shows a checklist of the set-up, and no failure."""
    assert world.jobs() == {}
    open_at(page, monitor)

    expect(page.locator("#status")).to_contain_text("Setting up: 0 of 4 steps are done")
    expect(page.get_by_role("list", name="Steps of a first run").get_by_role("listitem")).to_have_count(4)
    expect(page.locator("#failures")).to_have_text("Nobody failed.")
    expect(page.locator("#activity")).to_have_text("Nothing has happened yet.")
    expect(page.locator("#jobs .plot")).to_have_attribute("aria-label", "No job has settled yet.")
    text = page.locator("main").inner_text()
    assert [wrong for wrong in ("NaN", "undefined", "null", "Invalid", "Infinity") if wrong in text] == []


def test_the_page_updates_itself(page, world, monitor):
    """Without a click, the next call shows what the worker has done meanwhile."""
    world.users(population(60))
    world.build()
    page.clock.install()
    open_at(page, monitor)
    before = figure(page, "refreshed").text_content()
    assert before == "0"
    done = world.work(NOON).tally.refreshed
    page.clock.run_for(10_500)

    expect(figure(page, "refreshed")).to_have_text(str(done))
    expect(page.locator("#activity")).to_contain_text("Job completed")


def test_a_failed_job_is_shown_and_requeued(page, world, monitor):
    """All of it on one page: the reason, the button, the dialog, and after the worker no failure."""
    failed = fail_for_good(world)
    open_at(page, monitor)
    expect(page.locator("#status strong")).to_have_text("Unhealthy")
    expect(page.get_by_role("table", name="Failed jobs")).to_contain_text("bad balance")
    assert monitor.health(LATER).status == 503

    for job_id in failed:
        page.get_by_role("button", name=f"Requeue job {job_id}", exact=True).click()
        confirm(page, "Requeue", "the documents are mended")
        expect(page.locator("#notice")).to_contain_text("Requeued 1 job with")
    expect(page.locator("#failures")).not_to_contain_text("bad balance")
    expect(page.locator("#activity")).to_contain_text("(the documents are mended)")

    done = world.work(LATER)
    assert done.tally.failed == 0
    page.get_by_role("button", name="Update now").click()
    expect(figure(page, "refreshed")).to_have_text(str(done.tally.refreshed))
    expect(figure(page, "failed")).to_have_text("0")
    assert all(job["status"] != "failed" for job in world.jobs().values())


def test_all_failed_jobs_of_a_run_are_requeued_at_once(page, world, monitor):
    """It needs one button and one dialog."""
    failed = fail_for_good(world)
    open_at(page, monitor)
    page.get_by_role("button", name="Requeue all").click()
    confirm(page, "Requeue")

    expect(page.locator("#notice")).to_contain_text(f"Requeued {len(failed)} job")
    expect(page.locator("#failures")).not_to_contain_text("bad balance")
    expect(page.get_by_role("button", name="Requeue all")).to_be_hidden()
    assert world.work(LATER).tally.refreshed > 0


def test_a_pause_stops_the_worker_until_it_is_resumed(page, world, monitor):
    """The page says who paused it, and why."""
    play_half_a_day(world)
    evening = NOON + timedelta(hours=11)
    open_at(page, monitor)
    page.get_by_role("button", name="Pause", exact=True).click()
    confirm(page, "Pause", "prices are wrong")
    text = page.locator("#status").text_content()  # at once, not only after the next call
    assert text.startswith("Paused: the refresh is held by local since 12:01 (prices are wrong)")
    assert world.work(evening).claimed == 0

    page.get_by_role("button", name="Resume", exact=True).click()
    confirm(page, "Resume")
    expect(page.locator("#status strong")).not_to_have_text("Paused")
    assert world.work(evening).claimed > 0


def test_a_finished_day_is_scanned_again(page, world, monitor):
    """The run is marked, and the next builder scans again."""
    play_half_a_day(world)
    assert world.run()["status"] == "completed"
    open_at(page, monitor)
    page.get_by_role("button", name="Rescan").click()
    confirm(page, "Rescan", "a new plan")

    expect(page.locator("#notice")).to_have_text("The builder will scan again at its next run.")
    expect(page.locator("#activity")).to_contain_text("Rescan run 2026-11-22 by local (a new plan)")
    assert world.run()["rescanRequested"] is True


def test_a_user_is_looked_up_refreshed_and_paused(page, world, monitor):
    """The page explains the balance of a user."""
    play_half_a_day(world)
    world.users({"late comer": {"credits": 4, "plan": "adder"}})
    open_at(page, monitor)
    page.get_by_label("User id or job id").fill("late comer")
    page.get_by_label("User id or job id").press("Enter")
    story = page.locator("#story")
    expect(page.get_by_role("heading", name="late comer")).to_be_focused()
    expect(story.locator(".explanation")).to_contain_text("The balance is 4; no refresh has changed it yet.")

    page.get_by_role("button", name="Refresh now").click()
    confirm(page, "Refresh now")
    expect(page.locator("#notice")).to_have_text("The user was refreshed.")
    expect(story.locator(".explanation")).to_contain_text("the balance went from 4 to 14")
    assert world.user("late comer")["credits"] == 14

    page.get_by_role("button", name="Pause this user").click()
    confirm(page, "Pause", "asked to")
    expect(story).to_contain_text("the user is paused")
    assert world.user("late comer")["creditRefresh"]["paused"] is True
    page.get_by_role("button", name="Resume this user").click()
    confirm(page, "Resume")
    expect(page.get_by_role("button", name="Pause this user")).to_be_visible()
    assert not world.user("late comer")["creditRefresh"].get("paused")


def test_a_users_receipts_are_listed(page, world, monitor):
    """They show how each run changed the balance."""
    play_half_a_day(world)
    job_id, receipt = next(iter(world.receipts()))
    open_at(page, monitor, userId=receipt["userId"])

    row = page.get_by_role("table", name=f"Receipts of {receipt['userId']}").get_by_role("row").nth(1)
    expect(row).to_contain_text("2026-11-22")
    expect(row).to_contain_text(f"refreshed{receipt['before']}{receipt['after'] - receipt['before']}{receipt['after']}")
    assert job_id in world.jobs()


def test_a_missing_user_gives_a_message(page_with_errors, world, monitor):
    """The message is where the user's history would be."""
    play_half_a_day(world)
    page = page_with_errors
    open_at(page, monitor, userId="nobody")

    expect(page.locator("#story")).to_have_text("There is no user nobody, and no receipt of one.")


def test_a_users_id_never_becomes_markup(page, world, monitor):
    """Here it goes through Firestore, the function and the page."""
    world.users({ODD: {"credits": "bad"}, **population(5)})
    world.build()
    world.work(NOON)
    open_at(page, monitor, userId=ODD)
    expect(page.locator("#detail-title")).to_contain_text(ODD)
    page.get_by_role("button", name="Show users").click()

    expect(page.locator("#failed-users").get_by_role("button", name=ODD)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0


def test_the_page_works_with_the_real_clock(page, world, monitor):
    """Without a moment in the address the page shows today. It is healthy after builder and worker have run."""
    now = datetime.now(UTC)
    world.users(population(10))
    world.build(now)
    world.work(now)
    page.goto(monitor.address)

    expect(page.locator("#status strong")).to_have_text("Healthy")
    expect(page.locator("#status")).to_contain_text(re.compile(r"(all|\d+ of) 10 users refreshed today"))


def test_the_embed_script_comes_from_the_function(page, world, monitor):
    """Its address is that of the monitor, followed by `/embed.js`."""
    assert world.jobs() == {}
    html = (
        f"<!doctype html><title>Admin</title><header></header><script src='{monitor.address}embed.js' defer></script>"
    )
    with serving_html(html) as address:
        page.goto(address)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="View Credit Refresh Monitor").click()

        expect(opened.value.locator("#status strong")).to_be_visible()
        assert opened.value.url == monitor.address
