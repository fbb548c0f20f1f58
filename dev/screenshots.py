"""`make screenshots` takes the pictures of the monitor for docs, from the real function on a simulated morning.

Builder and worker are called by their schedule at the simulated time. Then the page is opened at that time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect

from dev.browser import chromium, open_page
from dev.cloud_scheduler import deliver, path_of
from dev.console import end_on_signals, stay_local
from dev.database import Change, Database, update_time_ns
from dev.emulator import EmulatorError, emulator, free_port
from dev.function_server import BUNDLE
from dev.loading import load
from dev.local_server import serving
from dev.oracle import Rules
from dev.pictures import reduce_colours
from dev.population import Population
from shared.settings import read_settings
from shared.store.values import get

DOCS = BUNDLE / "docs"
USERS = 12_000
SLOT_SECONDS = 1800  # its users fill one or two jobs
BUILDER, WORKER, MONITOR = "credit_refresh_queue", "credit_refresh_worker", "credit_refresh_monitor"
TICK = timedelta(minutes=5)
JOBS = "credit_refresh_jobs"
SPOILT = [{"credits": "a lot"}] * 3 + [{"plan": "gold"}] * 9  # bad values for users of one job
LOOKED_AT, AFTER_FAILURE = time(9, 2), time(9, 37)
FAILING_SLOT = time(9, 30)
DAYS_BEFORE = 3
SLOT = timedelta(seconds=SLOT_SECONDS)
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}


def main() -> int:
    """Take all pictures. Returns the exit code."""
    end_on_signals()
    stay_local()
    os.environ |= {"CREDIT_REFRESH_SLOT_SECONDS": str(SLOT_SECONDS), "GOOGLE_CLOUD_PROJECT": "demo-screenshots"}
    try:
        with emulator() as host, chromium() as browser:
            os.environ["FIRESTORE_EMULATOR_HOST"] = host
            take_all(browser)
    except (EmulatorError, RuntimeError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def take_all(browser: Browser) -> None:
    """Take three pictures: a healthy morning in light colours, the same on a phone, and failures in dark colours."""
    port = free_port()
    with project() as (database, day), serving(port):
        for before in reversed(range(1, DAYS_BEFORE + 1)):
            Stage(port, day - timedelta(days=before)).play_whole()
        stage = Stage(port, day)
        stage.play(time(0), LOOKED_AT)
        stage.act(time(8, 41), action="pause", reason="prices are being changed")
        stage.act(time(8, 44), action="resume")
        stage.take(browser, "monitor-light.png", LOOKED_AT, {**DESK, "color_scheme": "light"})
        stage.take(browser, "monitor-phone.png", LOOKED_AT, {**PHONE, "color_scheme": "light"})
        someone = spoil(database, stage.at(FAILING_SLOT))
        stage.play(LOOKED_AT, AFTER_FAILURE)
        stage.take(browser, "monitor-dark.png", AFTER_FAILURE, {**DESK, "color_scheme": "dark"}, someone)


@contextmanager
def project() -> Iterator[tuple[Database, date]]:
    """A population on the emulator, and the day to show. Some days before it are played first."""
    settings = read_settings(os.environ)
    first = datetime.now(UTC).date() + timedelta(days=1)  # so all documents are older than the day
    database = Database(str(settings.emulator_host), str(settings.project_id))
    load(database, Population(USERS, first, Rules.read(settings.plans_file)), lambda _: None)
    yield database, first + timedelta(days=DAYS_BEFORE)
    database.close()


def spoil(database: Database, slot: datetime) -> str:
    """Give some users of one job in that slot bad values, so that the job fails. Returns one of these users."""
    job_id = database.find(JOBS, "scheduledFor", slot, 1)[0]
    user_ids = list(get(database.read(JOBS, [job_id], ["userIds"])[job_id].fields["userIds"]))
    found = database.read("users", user_ids[: len(SPOILT)], ["credits"])
    pairs = zip(found.items(), SPOILT, strict=True)
    database.change("users", [Change(one, change, update_time_ns(each)) for (one, each), change in pairs])
    return str(user_ids[0])


class Stage:
    """Calls the functions on one port through one day."""

    def __init__(self, port: int, day: date) -> None:
        self._port, self._day = port, day

    def at(self, clock: time) -> datetime:
        return datetime.combine(self._day, clock, UTC)

    def play(self, after: time, until: time) -> None:
        """Call the worker at every tick in between, and the builder every ten minutes."""
        now = self.at(after) - (self.at(after) - self.at(time(0))) % TICK
        while now < self.at(until):
            if now.minute % 10 == 0:
                self._call(BUILDER, now, {"scan": "auto"})
            self._call(WORKER, now, {})
            now += TICK

    def play_whole(self) -> None:
        """Play the whole day, slot by slot."""
        now = self.at(time(0))
        self._call(BUILDER, now, {"scan": "auto"})
        while now < self.at(time(0)) + timedelta(days=1) - TICK:
            self._call(WORKER, now, {})
            now += SLOT

    def act(self, clock: time, **action: str) -> None:
        self._call(MONITOR, self.at(clock), action)

    def take(
        self, browser: Browser, name: str, clock: time, options: Mapping[str, Any], user_id: str | None = None
    ) -> None:
        """Take one picture of the page at that time."""
        asked = {"asOf": self.at(clock).isoformat(), **({"userId": user_id} if user_id else {})}
        with open_page(browser, reduced_motion="reduce", **options) as (page, complaints):
            page.goto(f"http://127.0.0.1:{self._port}{path_of(MONITOR)}?{urlencode(asked)}")
            expect(page.locator("#status strong")).to_be_visible()
            expect(page.locator("#strip .column")).to_have_count(30)
            if user_id:
                page.get_by_role("button", name="Show users: unknown plan").click()
                expect(page.locator("#failed-users-title")).to_be_visible()
                expect(page.locator("#detail .facts")).to_be_visible()
            save(page, DOCS / name, whole="has_touch" not in options)
            if complaints:
                raise RuntimeError(f"{name}: {complaints}")

    def _call(self, entry_point: str, now: datetime, body: dict[str, Any]) -> None:
        answer = deliver(self._port, entry_point, now, {**body, "asOf": now.isoformat()})
        if answer.status != 200:
            raise RuntimeError(f"{entry_point} at {now} answered {answer.status}: {dict(answer.body)}")


def save(page: Page, path: Path, *, whole: bool) -> None:
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    page.evaluate("new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)))")
    path.write_bytes(reduce_colours(page.screenshot(full_page=whole)))
    print(f"{path.relative_to(BUNDLE)}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    sys.exit(main())
