"""`make demo`: a population, the functions as they are deployed, one simulated day, and every balance checked.

USERS=5000 says how many users, DAYS=1 how many days. PAGE=1 leaves the monitor's page open at the end, until Ctrl-C.
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

from dev.console import Progress, end_on_signals, number_wanted, stay_local
from dev.database import Database
from dev.day import BUILDER, DAY_MINUTES, TRIGGER, WORKER, Day, DeliveryError, Ledger
from dev.emulator import EmulatorError, clear, emulator
from dev.emulator_install import prepare
from dev.function_server import BUNDLE, FunctionServer, FunctionServerError
from dev.loading import Loaded, load, remember
from dev.newcomers import Newcomers
from dev.oracle import Rules
from dev.population import Population
from dev.screen import day_line, final_screen, introduction
from dev.spending import Spender, planned
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
USERS_A_SLOT = 500  # when four of five users are due: one full job and a part of another
PLANS = BUNDLE / "plans.toml"
LITE = """
[plans.lite]
allowance = 20
period = "day"
policy = "top_up"
when_full = "skip"
"""


def main() -> int:
    """The exit code: 0 if every balance is right."""
    end_on_signals()
    try:
        users = number_wanted("USERS", os.environ.get("USERS", ""), USERS_DEFAULT, range(1, USERS_MAX + 1))
        days = number_wanted("DAYS", os.environ.get("DAYS", ""), 1, range(1, DAYS_MAX + 1))
        prepare()  # before the proxies are set aside
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
    """Run everything from the emulator to the verdict. Only the logs of a failed day are kept."""
    read_plans(Settings())  # a bad file is reported here once, not by every process
    started, progress = time.monotonic(), Progress()
    logs = Path(tempfile.mkdtemp(prefix="credit-refresh-demo-"))
    keep = True
    try:
        with ExitStack() as stack:
            progress.show("starting the Firestore emulator …", milestone=True)
            host = stack.enter_context(emulator(logs / "emulator.log"))
            (logs / PLANS.name).write_text(with_full_users(PLANS.read_text(encoding="utf-8-sig")), encoding="utf-8")
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


def with_full_users(plans: str) -> str:
    """The plans, and one that leaves full users alone where there is none."""
    names = tomllib.loads(plans)["plans"]
    has_one = any(plan.get("when_full") == "skip" for plan in names.values())
    return plans if has_one or "lite" in names else plans + LITE


def spender(database: Database, population: Population, slot_minutes: int, number: int = 0) -> Spender:
    """What is spent on one of the days."""
    run_id = (population.day + timedelta(days=number)).isoformat()
    return Spender(database, population, planned(population, slot_minutes * 60, number), run_id)


def following(day: Day, loaded: Loaded) -> Day:
    """The next day, on the same servers."""
    number, next_day = day.number + 1, day.day + timedelta(days=1)
    return replace(
        day,
        day=next_day,
        number=number,
        spender=spender(day.database, loaded.population, day.slot_minutes, number),
        newcomers=day.newcomers.following(loaded, next_day),
        ledger=Ledger(),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """One emulator and one project in it. `stack` ends everything that is started."""

    host: str
    project: str
    logs: Path
    progress: Progress
    stack: ExitStack

    @property
    def plans(self) -> Path:
        return self.logs / PLANS.name

    def play(self, users: int, days: int) -> tuple[Day, Verdict]:
        """Load, play the days and judge each; the last one, or the first that went wrong."""
        if os.environ.get("FIRESTORE_EMULATOR_HOST"):  # an emulator that was running before goes on running
            self.stack.callback(clear, self.host, self.project)
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)  # no document is younger than the day
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

    def _play_days(self, day: Day, loaded: Loaded, days: int) -> tuple[Day, Verdict]:
        while True:
            day.play(self._tell_tick)
            verdict = Judge(day.database, loaded, day).judge(self._tell_check)
            if day.number + 1 == days or not verdict.is_ok:
                return day, verdict
            self.progress.say(day_line(day, verdict))
            loaded = remember(day.database, loaded)
            day = following(day, loaded)

    def _environ(self, slot_minutes: int) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.host,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "CREDIT_REFRESH_SLOT_SECONDS": str(slot_minutes * 60),
            "CREDIT_REFRESH_PLANS_FILE": str(self.plans),
            "CREDIT_REFRESH_FULL_SCAN_BELOW": "0",  # after the first day only those are read who are due
        }

    def _serve(self, slot_minutes: int) -> dict[str, list[FunctionServer]]:
        """One builder, two workers and the trigger, each a process group of its own."""
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
        with suppress(SystemExit):  # the verdict stands, whatever ends the wait
            threading.Event().wait()

    def _executor(self) -> ThreadPoolExecutor:
        executor = ThreadPoolExecutor(CALLS_AT_ONCE_MAX)
        self.stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        return executor

    def _tell_check(self, count: int) -> None:
        self.progress.show(f"checking users: {count:,}")

    def _tell_tick(self, minute: int, ledger: Ledger) -> None:
        clock = f"{minute // 60:02}:{minute % 60:02}"
        text = f"{clock}  {ledger.queued:>7,} users queued  {ledger.refreshed:>7,} refreshed  {ledger.calls:>4} calls"
        self.progress.show(text, milestone=minute % MILESTONE_MINUTES == 0)


if __name__ == "__main__":
    sys.exit(main())
