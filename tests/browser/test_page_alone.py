"""The page in a real browser with scripted answers, for answers that a real function can't give on demand."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from flask import jsonify
from playwright.sync_api import expect

from tests.support.stub import statistics

EVIL = "<img src=x onerror=\"window.hacked='yes'\">"
TOKYO = "Asia/Tokyo"
BRIGHT, DIM = 200, 60  # of 255
PAST = {"health": None, "queueLagSeconds": None, "worker": None, "nextScheduledRun": None}


def load(page, stub, query=""):
    """Open the page with a clock that the test controls, and wait for the figures."""
    page.clock.install()
    page.goto(stub.address + query)
    expect(page.locator("#status strong")).to_be_visible()


def pass_seconds(page, seconds):
    """Move the page's clock forward."""
    page.clock.run_for(seconds * 1000)


def figure(page, name):
    return page.locator(f"[data-figure={name}]")


def answering(story, figures=None):
    """An answer function: this history for every user, and otherwise the figures."""
    return lambda call: jsonify(story if "userId" in call.query else figures or statistics())


# The status line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Healthy: 812 of 1,112 users refreshed today, next run 14:05."),
        (
            {"users": {"refreshed": 1112, "skipped": 0, "failed": 0, "pending": 0}},
            "Healthy: all 1,112 users refreshed today, next run 14:05.",
        ),
        ({"runStatus": "in_progress"}, "Healthy: 812 of 1,112 users refreshed today, still scanning, next run 14:05."),
        ({"runId": "2026-11-21", **PAST}, "2026-11-21: 812 of 1,112 users refreshed on that day."),
        ({"nextScheduledRun": None}, "Healthy: 812 of 1,112 users refreshed today."),
        (
            {"runId": "2026-11-20", **PAST, "runStatus": "not_started"},
            "2026-11-20: there was no run on that day.",
        ),
        (
            {"users": {"refreshed": 1, "skipped": 0, "failed": 0, "pending": 0}},
            "Healthy: all 1 user refreshed today, next run 14:05.",
        ),
        (
            {"health": {"status": "unhealthy", "reasons": [{"code": "queue_lag", "message": "a job waits for 3 h"}]}},
            "Unhealthy: 812 of 1,112 users refreshed today, next run 14:05.a job waits for 3 h",
        ),
        (
            {"paused": True, "recentActivity": []},
            "Paused: the refresh is held; 812 of 1,112 users refreshed today.",
        ),
        (
            {"rescanning": True, "runStatus": "in_progress"},
            "Scanning again: 812 of 1,112 users refreshed today, still scanning, next run 14:05.",
        ),
        (
            {
                "runStatus": "not_started",
                "users": {"refreshed": 0, "skipped": 0, "failed": 0, "pending": 0},
            },
            "Nothing yet: today's run has not begun; the builder comes at 00:00.",
        ),
        (
            {"users": {"refreshed": 0, "skipped": 0, "failed": 0, "pending": 0}},
            "Nothing yet: 1,200 users scanned and nobody due today, next run 14:05.",
        ),
    ],
)
def test_the_status_line_is_a_sentence(page, stub, changes, expected):
    """The tab's title has its first word."""
    stub.answer_with(statistics(**changes))
    load(page, stub)

    assert page.locator("#status").text_content() == expected
    assert page.title() == f"{expected.partition(':')[0]} · staging · Credit Refresh Monitor"


def test_a_pause_is_shown_with_actor_times_and_reason(page, stub):
    """This is kept with the switch, so later actions don't hide it. It also says how many users are late."""
    pause = {"by": "ada", "since": at("13:30"), "until": at("15:00"), "reason": "bad plans", "usersLate": 40}
    later = [did("13:40", action="refresh", actor="bob", reason=None, detail=f"user u{n}") for n in range(20)]
    stub.answer_with(statistics(paused=True, pause=pause, recentActivity=later))
    load(page, stub)

    expect(page.locator("#status")).to_contain_text(
        "the refresh is held by ada since 13:30 until 15:00 (bad plans); 812 of 1,112 users refreshed today. "
        "At least 40 users are late so far."
    )
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def at(clock):
    return f"2026-11-22T{clock}:00Z"


def did(clock, **action):
    return {"kind": "action", "time": f"2026-11-22T{clock}:00Z", **action}


# Updates


def test_figures_are_updated_every_ten_seconds_and_their_age_is_shown(page, stub):
    """The age grows between two answers. The age of a cached answer counts, too."""
    stub.answer_with(statistics(cached=True, endTime="2026-11-22T14:00:03Z"))
    load(page, stub)
    pass_seconds(page, 5)
    expect(page.locator("#age")).to_have_text("Updated 8 s ago")
    assert len(stub.calls) == 1

    stub.answer_with(statistics(users={"refreshed": 900, "skipped": 10, "failed": 2, "pending": 200}))
    pass_seconds(page, 6)

    expect(figure(page, "refreshed")).to_have_text("900")
    expect(page.locator("#age")).to_have_text(re.compile("Updated [01] s ago"))
    assert len(stub.calls) == 2


def test_a_hidden_page_makes_no_calls(page, stub):
    """A hidden page makes no calls. When it becomes visible, it updates at once."""
    load(page, stub)
    set_hidden(page, hidden=True)
    pass_seconds(page, 600)
    assert len(stub.calls) == 1

    with page.expect_response(lambda answer: answer.url == stub.address):
        set_hidden(page, hidden=False)
        pass_seconds(page, 1)

    assert len(stub.calls) == 2


def set_hidden(page, *, hidden):
    """Hide or show the page like a browser when the tab changes. A browser without a screen never does that itself."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_an_error_keeps_the_last_figures_and_says_what_failed(page_with_errors, stub):
    """It waits as long as the answer says, and then goes on."""
    page = page_with_errors
    load(page, stub)
    stub.refuse_with(503, "unavailable", "the database can't be reached", Retry_After="45")
    pass_seconds(page, 11)
    expect(page.locator("#trouble")).to_contain_text("Not up to date: the database can't be reached.")
    expect(page.locator("#trouble-next")).to_contain_text("Next try in 4")
    assert len(stub.calls) == 2

    pass_seconds(page, 40)
    expect(figure(page, "refreshed")).to_have_text("812")
    expect(page.locator("#age")).to_have_attribute("data-old", "")
    assert len(stub.calls) == 2

    stub.answer_with(statistics())
    pass_seconds(page, 10)
    expect(page.locator("#trouble")).to_be_hidden()
    assert len(stub.calls) >= 3


def test_the_page_waits_longer_after_each_failure(page_with_errors, stub):
    """After 10, 20, 40, 80, and then every 120 seconds, so that the monitor adds no load to an outage."""
    page = page_with_errors
    load(page, stub)
    stub.refuse_with(500, "internal", "an unexpected error")
    asked = []
    for second in range(0, 600, 5):
        before = len(stub.calls)
        page.clock.run_for(5000)
        expect(page.locator("#refresh")).not_to_have_attribute("aria-busy", re.compile(".*"))
        asked += [second] * (len(stub.calls) - before)

    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert [round(gap, -1) for gap in gaps] == [10, 20, 40, 80, 120, 120, 120][: len(gaps)]
    assert len(gaps) >= 6


def test_an_unreachable_monitor_is_shown_and_can_be_tried_by_hand(page_with_errors, stub):
    """Also when the first call fails. `Try now` does not wait."""
    page = page_with_errors
    page.route(
        lambda url: url == stub.address, lambda route: route.abort() if is_data(route.request) else route.continue_()
    )
    page.goto(stub.address)
    expect(page.locator("#trouble")).to_contain_text("Not up to date: the monitor can't be reached.")

    page.unroute_all()
    page.get_by_role("button", name="Try now").click()

    expect(figure(page, "refreshed")).to_have_text("812")
    expect(page.locator("#trouble")).to_be_hidden()


def is_data(request):
    return request.headers["accept"] == "application/json"


def test_an_answer_without_json_is_an_error(page_with_errors, stub):
    """For example the error page of a proxy."""
    page = page_with_errors
    load(page, stub)
    stub.answer = lambda _: jsonify(None)
    pass_seconds(page, 11)

    expect(page.locator("#trouble")).to_contain_text("the monitor answered 200 without saying why")
    expect(figure(page, "refreshed")).to_have_text("812")


# Hostile text


def test_no_text_becomes_markup(page, stub):
    """User ids, errors and reasons may hold any text."""
    job = {**statistics()["recentJobs"][0], "jobId": EVIL}
    stub.answer_with(
        statistics(
            deadLetters=[{**statistics()["deadLetters"][0], "jobId": EVIL, "error": EVIL, "code": EVIL}],
            errors=[{"jobId": EVIL, "userId": EVIL, "code": EVIL, "error": EVIL, "timestamp": "2026-11-22T10:00:00Z"}],
            errorsByCode={EVIL: 1},
            failures=[{**statistics()["failures"][0], "code": EVIL, "remedy": EVIL, "example": EVIL}],
            project=EVIL,
            environment=EVIL,
            recentJobs=[job],
            plans=[{"plan": EVIL, "users": 5, "share": 1}],
            recentActivity=[
                {"kind": "action", "time": EVIL, "action": EVIL, "actor": EVIL, "reason": EVIL, "detail": EVIL},
                {"kind": "job", **job, "time": "2026-11-22T10:00:00Z"},
            ],
            health={"status": "unhealthy", "reasons": [{"code": "x", "message": EVIL}]},
            timezone=EVIL,
            runStatus=EVIL,
        )
    )
    load(page, stub)
    for summary in page.locator("summary").all():
        summary.click()
    error = {"jobId": EVIL, "userId": EVIL, "code": EVIL, "error": EVIL, "timestamp": "2026-11-22T10:00:00Z"}
    stub.views["failures"] = {"users": [error], "cursor": None, "unnamedUsers": 0}
    page.get_by_role("button", name="Show users").click()
    evil = dict.fromkeys(("userId", "explanation", "plan", "balance", "zone", "localDate", "zoneProblem"), EVIL)
    stub.answer = answering({**STORY, **evil, "stamp": {EVIL: EVIL}})
    page.locator("#failed-users").get_by_role("button", name=EVIL, exact=True).first.click()

    expect(page.locator("#detail-title")).to_contain_text(EVIL)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0
    assert page.locator("main :text('onerror')").count() > 5


# The users by plan


def test_the_users_of_the_day_are_shown_by_plan(page, stub):
    """With their share of all, and with those who are not counted by plan."""
    load(page, stub)
    rows = page.get_by_role("table", name="Queued users by plan").get_by_role("row")

    expect(rows).to_have_text(["PlanUsersShare", "free90080.9%", "pro20018%"])
    expect(page.locator("#plans-note")).to_have_text(
        "1,112 users queued by the day's scans; 12 of them are not counted by plan"
    )


def test_many_plans_are_folded(page, stub):
    """The ten largest are seen at once."""
    plans = [{"plan": f"plan{n}", "users": 30 - n, "share": 0.05} for n in range(14)]
    stub.answer_with(statistics(plans=plans, usersOfUncountedPlans=0))
    load(page, stub)
    expect(page.get_by_role("table", name="Queued users by plan").get_by_role("row")).to_have_count(11)
    page.get_by_text("4 further plans").click()

    expect(page.get_by_role("table", name="Further plans").get_by_role("row")).to_have_count(5)
    expect(page.locator("#plans-note")).to_have_text("329 users queued by the day's scans")


def test_where_nobody_was_queued_no_plans_are_shown(page, stub):
    """A day without a run, or without anybody due."""
    stub.answer_with(statistics(plans=[]))
    load(page, stub)

    expect(page.locator("#plans-card")).to_be_hidden()


# One user


STORY = {
    "userId": "user00418",
    "found": True,
    "balance": 50,
    "plan": "free",
    "paused": False,
    "stamp": {"plan": "free", "periods": {"free": "2026-11-22"}},
    "lastRefresh": "2026-11-22T10:00:00Z",
    "nextRefresh": "2026-11-23T10:00:00Z",
    "problem": None,
    "decision": {"action": "skip", "reason": "already_granted", "granted": None},
    "explanation": "45 credits were granted today, which raised the balance from 5 to 50.",
    "receipts": [
        {
            "jobId": "j1",
            "runId": "2026-11-22",
            "outcome": "refreshed",
            "before": 5,
            "after": 50,
            "reason": None,
            "code": None,
            "error": None,
            "time": "2026-11-22T10:00:00Z",
        }
    ],
    "receiptsFrom": "2026-10-23",
    "hasMore": True,
}


def test_a_button_loads_older_receipts(page, stub):
    """Each click adds older rows to the table, until there are no more."""

    def answer(call):
        if "userId" not in call.query:
            return jsonify(statistics())
        if "before" not in call.query:
            return jsonify(STORY)
        older = {**STORY["receipts"][0], "runId": "2026-10-20", "after": 51}
        return jsonify({**STORY, "receipts": [older], "receiptsFrom": "2026-09-20", "hasMore": False})

    stub.answer = answer
    load(page, stub, "?userId=user00418")
    expect(page.locator("#story .explanation")).to_contain_text("from 5 to 50")
    page.get_by_role("button", name="Older than 2026-10-23").click()

    expect(page.locator("#story tbody tr")).to_have_count(2)
    expect(page.get_by_role("button", name="Older than")).to_have_count(0)
    assert stub.calls[-1].query == {"userId": "user00418", "before": "2026-10-23"}


def test_moments_are_told_in_the_users_own_time_too(page, stub):
    """Beside the schedule's; where the user has no zone of their own there is not a line more."""
    own = {"zone": TOKYO, "localDate": "2026-11-23"}
    stub.answer = lambda call: jsonify(
        statistics() if "userId" not in call.query else STORY | own if call.query["userId"] == "ann" else STORY
    )
    load(page, stub, "?userId=ann")
    facts = page.locator("#story .facts")
    expect(facts).to_contain_text("Last refresh22 Nov, 10:00 (22 Nov, 19:00 in Asia/Tokyo)")
    expect(facts).to_contain_text("Next refresh23 Nov, 10:00 (23 Nov, 19:00 in Asia/Tokyo)")
    expect(facts).to_contain_text("The user's day2026-11-23 in Asia/Tokyo")
    look_up(page, "bob")

    expect(page.locator("#detail-title")).to_contain_text("bob")
    expect(facts).to_contain_text("Last refresh22 Nov, 10:00Granted then")
    expect(facts).not_to_contain_text("The user's day")


def test_a_zone_that_can_t_be_used_is_told_as_a_problem(page, stub):
    """In the function's words; and one that this browser does not know leaves the schedule's time alone."""
    stub.answer = answering({**STORY, "zoneProblem": "the time zone: it is a whole number, not a text"})
    load(page, stub, "?userId=ann")
    expect(page.locator("#story .problem")).to_have_text("bad zone the time zone: it is a whole number, not a text")
    stub.answer = answering({**STORY, "zone": "Mars/Olympus", "localDate": "2026-11-23"})
    look_up(page, "bob")

    expect(page.locator("#story .facts")).to_contain_text("Last refresh22 Nov, 10:00Granted then")


def test_the_user_that_was_looked_up_last_is_shown(page, stub):
    """Even if the answer about an earlier user comes later."""
    load(page, stub)
    held = []

    def hold(route):
        held.append(route)

    page.route(lambda url: "userId=slow" in url, hold)
    stub.answer = lambda call: jsonify({**STORY, **call.query} if "userId" in call.query else statistics())
    look_up(page, "slow")
    look_up(page, "fast")
    expect(page.locator("#detail-title")).to_contain_text("fast")
    with page.expect_response(lambda answer: "userId=slow" in answer.url):
        held[0].continue_()

    expect(page.locator("#detail-title")).to_contain_text("fast")


def look_up(page, user_id):
    page.get_by_label("User id or job id").fill(user_id)
    page.get_by_role("button", name="Look up").click()


# Actions


def test_a_refused_action_is_shown_in_its_dialog_which_stays_open(page_with_errors, stub):
    """It keeps the text that was written. Cancel changes nothing."""
    page = page_with_errors
    load(page, stub)
    stub.refuse_with(409, "conflict", "somebody else was first")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_label("Reason").fill("because")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("That did not work: somebody else was first")
    expect(page.get_by_label("Reason")).to_have_value("because")
    assert stub.calls[-1].body == {"action": "pause", "reason": "because"}
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert [call.method for call in stub.calls] == ["GET", "POST"]


def test_requeuing_all_failed_jobs_may_take_several_calls(page, stub):
    """One call requeues some of them. The page repeats the call and adds the numbers up."""
    load(page, stub)
    left = iter([True, True, False])

    def answer(call):
        if call.method == "GET":
            return jsonify(statistics())
        return jsonify(
            {"action": "requeue", "changed": True, "requeuedJobs": 50, "requeuedUsers": 70, "hasMore": next(left)}
        )

    stub.answer = answer
    page.get_by_role("button", name="Requeue all").click()
    page.get_by_role("dialog").get_by_role("button", name="Requeue").click()

    expect(page.locator("#notice")).to_have_text("Requeued 150 jobs with 210 users.")
    posts = [call.body for call in stub.calls if call.method == "POST"]
    assert posts == [{"action": "requeue", "runId": "2026-11-22"}] * 3


def test_day_and_moment_in_the_pages_address_are_sent_with_each_call(page, stub):
    """So the page can show a past day, and on the emulator any moment."""
    load(page, stub, "?runId=2026-11-21&asOf=2026-11-22T09:00:00Z")
    stub.answer = lambda _: jsonify({"paused": True, "changed": True, **statistics()})
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("dialog")).to_be_hidden()

    kinds = Counter((call.method, *sorted(call.query.items())) for call in stub.calls)
    assert kinds[("GET", ("asOf", "2026-11-22T09:00:00Z"), ("runId", "2026-11-21"))] == 2
    assert [call.body for call in stub.calls if call.method == "POST"] == [
        {"action": "pause", "asOf": "2026-11-22T09:00:00Z"}
    ]


# Appearance


@pytest.mark.parametrize("options", [{"timezone_id": "America/New_York", "locale": "de-DE"}])
def test_times_are_shown_in_the_schedules_zone(page, stub, options):
    """Not in the reader's own zone, so that all operators see the same times."""
    stub.answer_with(statistics(timezone=TOKYO, runId="2026-11-22"))
    load(page, stub)

    expect(page.locator("#status")).to_contain_text("next run 23:05")
    expect(page.locator("#zone")).to_have_text(f"· {TOKYO}")
    assert options["timezone_id"] != TOKYO


@pytest.mark.parametrize("options", [{"viewport": {"width": 360, "height": 740}, "has_touch": True}])
def test_the_page_fits_on_a_phone(page, stub, options):
    """Even with very long ids, with everything unfolded, and with an open dialog."""
    long = "x" * 700
    errors = [
        {"jobId": long, "userId": long, "code": "write_failed", "error": long, "timestamp": "2026-11-22T10:00:00Z"}
    ]
    letters = [{**statistics()["deadLetters"][0], "jobId": long, "error": long}]
    story = {**STORY, "userId": long, "explanation": long, "stamp": {long: long}}
    stub.answer = answering(story, statistics(errors=errors, deadLetters=letters))
    load(page, stub, f"?userId={long}")
    expect(page.locator("#detail-title")).to_contain_text(long)
    for summary in page.locator("summary").all():
        summary.click()
    page.get_by_role("button", name="Pause", exact=True).click()

    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
    assert page.evaluate("document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth")


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark"}])
def test_the_page_follows_the_readers_colour_scheme(page, stub, options):
    """Also when the setting changes while the page is open. The charts are painted again."""
    page.goto(stub.address)
    expect(page.locator("#hours canvas")).to_be_visible()
    before = page.evaluate(LOOKS)
    other = {"light": "dark", "dark": "light"}[options["color_scheme"]]
    page.emulate_media(color_scheme=other)

    light, dark = (before, page.evaluate(LOOKS)) if other == "dark" else (page.evaluate(LOOKS), before)
    assert min(light["background"], dark["text"]) > BRIGHT
    assert max(dark["background"], light["text"]) < DIM
    assert light["chart"] != dark["chart"]


LOOKS = """async () => {
  await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)));
  const style = getComputedStyle(document.body);
  const brightness = (colour) => Math.max(...colour.match(/\\d+/g).slice(0, 3).map(Number));
  return { background: brightness(style.backgroundColor), text: brightness(style.color),
    chart: document.querySelector("#hours canvas").toDataURL() };
}"""


def test_charts_have_a_label_and_a_table(page, stub):
    """People who can't see a chart need them."""
    load(page, stub)
    chart = page.get_by_role("img", name=re.compile(r"Users per hour of the day: [\d,]+ planned, [\d,]+ done\."))
    expect(chart).to_be_visible()
    page.locator("#hours summary").click()

    rows = page.get_by_role("table", name="Planned and done users per hour").get_by_role("row")
    expect(rows).to_have_count(25)
    expected = [f"{hour['start'][11:16]}{hour['planned']}{hour['done']}" for hour in statistics()["hours"]]
    assert rows.all_text_contents()[1:] == expected


def test_unfolded_parts_and_the_focus_stay_when_figures_change(page, stub):
    """Figures are updated every ten seconds, which is too short to read a table."""
    load(page, stub)
    page.locator("#hours summary").click()
    page.get_by_role("button", name=re.compile("Requeue job")).focus()
    page.evaluate("window.held = document.querySelector('#failures button')")
    hours = [{**hour, "done": hour["planned"]} for hour in statistics()["hours"]]
    letters = [{**statistics()["deadLetters"][0], "attempts": 4}]
    stub.answer_with(statistics(hours=hours, deadLetters=letters))
    pass_seconds(page, 11)
    expect(page.get_by_role("table", name="Failed jobs")).to_contain_text("4")

    expect(page.locator("#hours details")).to_have_attribute("open", "")
    expect(page.get_by_role("button", name=re.compile("Requeue job"))).to_be_focused()
    assert page.evaluate("held.isConnected") is False


def test_every_call_goes_to_the_page_s_own_host(page, stub):
    """Also on a path with two slashes, which alone would be the address of another host. It must get no token."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    origin = f"http://127.0.0.1:{stub.port}"

    page.goto(f"{origin}//evil.example/x")
    expect(page.locator("#status strong")).to_be_visible()

    assert {url[: len(origin) + 1] for url in asked} == {f"{origin}/"}
    assert stub.calls
