"""`make demo` plays one simulated day with the real functions and made-up users, and checks every balance.

USERS=5000 sets the number of users, DAYS=1 the number of days. With PAGE=1 the monitor's page stays open at the end,
until Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
import tomllib
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from dev.console import Progress, end_on_signals, read_number, stay_local
from dev.database import Database
from dev.day import BUILDER, DAY_MINUTES, TRIGGER, WORKER, Day, DeliveryError, Ledger
from dev.emulator import EmulatorError, clear, emulator
from dev.emulator_install import prepare
from dev.function_server import BUNDLE, FunctionServer, FunctionServerError
from dev.loading import LoadedUsers, load, read_again
from dev.newcomers import Newcomers
from dev.oracle import Rules
from dev.population import Population
from dev.screen import day_line, final_screen, introduction
from dev.spending import Spender, plan_spends
from dev.user_events import EventSender
from dev.verdict import Judge, Verdict
from shared.core.errors import CreditRefreshError
from shared.settings import Settings, read_plans

MONITOR = "credit_refresh_monitor"
USERS_DEFAULT = 5000
USERS_MAX = 1_000_000
DAYS_MAX = 366
SLOTS_MINUTES = [5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440]  # each divides the day
CALLS_AT_ONCE_MAX = 8
MILESTONE_MINUTES = 180
USERS_A_SLOT = 500  # if four of five users are due, they fill one job and a part of another
PLANS = BUNDLE / "plans.toml"
LITE = """
[plans.lite]
allowance = 20
period = "day"
policy = "top_up"
when_full = "skip"
"""


def main() -> int:
    """Run the demo. Returns the exit code: 0 if every balance is right."""
    end_on_signals()
    try:
        users = read_number("USERS", os.environ.get("USERS", ""), USERS_DEFAULT, range(1, USERS_MAX + 1))
        days = read_number("DAYS", os.environ.get("DAYS", ""), 1, range(1, DAYS_MAX + 1))
        prepare()  # it may need a proxy to fetch the emulator
        stay_local()
        return run(users, days)
    except (EmulatorError, FunctionServerError, DeliveryError, CreditRefreshError, RuntimeError, ValueError) as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1


def slot_minutes_for(users: int) -> int:
    """The narrowest slot that still fills a job."""
    return next(
        (minutes for minutes in SLOTS_MINUTES if users * minutes >= USERS_A_SLOT * DAY_MINUTES), SLOTS_MINUTES[-1]
    )


def run(users: int, days: int) -> int:
    """Run everything from the emulator to the verdict. The logs are kept only if a day failed."""
    read_plans(Settings())  # report a bad file here once, not in every process
    started, progress = time.monotonic(), Progress()
    logs = Path(tempfile.mkdtemp(prefix="credit-refresh-demo-"))
    keep = True
    try:
        with ExitStack() as stack:
            progress.show("starting the Firestore emulator …", milestone=True)
            host = stack.enter_context(emulator(logs / "emulator.log"))
            (logs / PLANS.name).write_text(add_skipping_plan(PLANS.read_text(encoding="utf-8-sig")), encoding="utf-8")
            stage = Stage(host, f"demo-{uuid.uuid4().hex[:12]}", logs, progress, stack)
            day, verdict = stage.play(users, days)
            progress.say(final_screen(day, verdict, time.monotonic() - started))
            if os.environ.get("PAGE"):
                stage.leave_page_open(day)
            keep = not verdict.is_ok
            return int(keep)
    except (EmulatorError, SystemExit):
        keep = False
        raise
    finally:
        if keep:
            progress.say(f"What the emulator and the functions logged is in {logs}")
        else:
            shutil.rmtree(logs, ignore_errors=True)


def add_skipping_plan(plans: str) -> str:
    """The plans, with a plan that leaves full users alone, if there is none."""
    names = tomllib.loads(plans)["plans"]
    has_one = any(plan.get("when_full") == "skip" for plan in names.values())
    return plans if has_one or "lite" in names else plans + LITE


def spender(database: Database, population: Population, slot_minutes: int, number: int = 0) -> Spender:
    """Makes the spends of one of the days."""
    run_id = (population.day + timedelta(days=number)).isoformat()
    return Spender(database, population, plan_spends(population, slot_minutes * 60, number), run_id)


def next_day_of(day: Day, loaded: LoadedUsers) -> Day:
    """The next day, on the same servers."""
    number, next_day = day.number + 1, day.day + timedelta(days=1)
    return replace(
        day,
        day=next_day,
        number=number,
        spender=spender(day.database, loaded.population, day.slot_minutes, number),
        newcomers=day.newcomers.for_day(loaded, next_day),
        ledger=Ledger(),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """One emulator with one project. `stack` ends everything that is started."""

    host: str
    project: str
    logs: Path
    progress: Progress
    stack: ExitStack

    @property
    def plans(self) -> Path:
        return self.logs / PLANS.name

    def play(self, users: int, days: int) -> tuple[Day, Verdict]:
        """Load users, play the days and check each. Returns the last day or the first with a fault, and its verdict."""
        if os.environ.get("FIRESTORE_EMULATOR_HOST"):  # that emulator goes on running, so clear the project at the end
            self.stack.callback(clear, self.host, self.project)
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)  # so all documents are older than the day
        population = Population(users, tomorrow, Rules.read(self.plans))
        slot_minutes = slot_minutes_for(users)
        servers = self._serve(slot_minutes)
        database = Database(self.host, self.project)
        self.stack.callback(database.close)
        loaded = load(database, population, lambda count: self.progress.show(f"loading users: {count:,} of {users:,}"))
        for server in chain(*servers.values()):
            server.wait()
        self.progress.say(introduction(self.host, self.project, population, slot_minutes, days))
        day = Day(
            day=tomorrow,
            slot_minutes=slot_minutes,
            servers=servers,
            database=database,
            spender=spender(database, population, slot_minutes),
            newcomers=Newcomers(database, loaded, tomorrow, self._sender(servers[TRIGGER][0])),
            executor=self._executor(),
        )
        return self._play_days(day, loaded, days)

    def _sender(self, trigger: FunctionServer) -> EventSender:
        return EventSender(trigger.port, f"projects/{self.project}/databases/(default)", "created")

    def _play_days(self, day: Day, loaded: LoadedUsers, days: int) -> tuple[Day, Verdict]:
        while True:
            day.play(self._report_tick)
            verdict = Judge(day.database, loaded, day).judge(self._report_check)
            if day.number + 1 == days or not verdict.is_ok:
                return day, verdict
            self.progress.say(day_line(day, verdict))
            loaded = read_again(day.database, loaded)
            day = next_day_of(day, loaded)

    def _environ(self, slot_minutes: int) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.host,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "CREDIT_REFRESH_SLOT_SECONDS": str(slot_minutes * 60),
            "CREDIT_REFRESH_PLANS_FILE": str(self.plans),
            "CREDIT_REFRESH_FULL_SCAN_BELOW": "0",  # after the first day read only users who may be due
        }

    def _serve(self, slot_minutes: int) -> dict[str, list[FunctionServer]]:
        """Start one builder, two workers and the trigger, each in a process group of its own."""
        environ = self._environ(slot_minutes)
        names = {BUILDER: ["builder"], WORKER: ["worker-1", "worker-2"], TRIGGER: ["trigger"]}
        servers = {
            entry_point: [FunctionServer(entry_point, environ, self.logs / f"{name}.log") for name in given]
            for entry_point, given in names.items()
        }
        for server in chain(*servers.values()):
            self.stack.callback(server.stop)
            server.start()
        return servers

    def leave_page_open(self, day: Day) -> None:
        """Serve the monitor as it is at the end of the day, until Ctrl-C."""
        server = FunctionServer(MONITOR, self._environ(day.slot_minutes), self.logs / "monitor.log")
        self.stack.callback(server.stop)
        server.start()
        server.wait()
        moment = quote(day.at(DAY_MINUTES - 1).isoformat())
        self.progress.say(f"The monitor at the end of the day: http://127.0.0.1:{server.port}/?asOf={moment}")
        self.progress.say("Ctrl-C ends it.")
        with suppress(SystemExit):  # the exit code depends on the verdict, not on how the wait ends
            threading.Event().wait()

    def _executor(self) -> ThreadPoolExecutor:
        executor = ThreadPoolExecutor(CALLS_AT_ONCE_MAX)
        self.stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        return executor

    def _report_check(self, count: int) -> None:
        self.progress.show(f"checking users: {count:,}")

    def _report_tick(self, minute: int, ledger: Ledger) -> None:
        clock = f"{minute // 60:02}:{minute % 60:02}"
        text = f"{clock}  {ledger.queued:>7,} users queued  {ledger.refreshed:>7,} refreshed  {ledger.calls:>4} calls"
        self.progress.show(text, milestone=minute % MILESTONE_MINUTES == 0)


if __name__ == "__main__":
    sys.exit(main())
