"""`make dev` serves the functions for an app under development, with emulator, schedule and trigger.

Its options are environment variables, see dev/serve_options.py. `--ready-file FILE` is for the tests of an app. This
file appears when everything has started.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev import control_panel
from dev.clock import Clock
from dev.console import end_on_signals, stay_local
from dev.control_panel import ControlPanel
from dev.database import Database
from dev.emulator import EmulatorError, emulator
from dev.emulator_install import prepare
from dev.local_schedule import LocalSchedule, ScheduleError, jobs_for
from dev.local_server import serving
from dev.oracle import Rules
from dev.population import Population
from dev.serve_options import Options
from dev.serve_screen import Served, addresses, introduction
from dev.ticks import make_log_readable
from dev.user_events import delivering_events
from shared.core.errors import ConfigurationError
from shared.settings import Settings, read_plans, read_settings

OWN_FIELDS = ("users", "credits", "plan", "creditRefresh")  # the collection and fields of the sample users


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C. Returns the exit code, which is 0 after Ctrl-C."""
    ready_path = _arguments(arguments)
    end_on_signals()
    try:
        options = Options.read(os.environ)
        prepare()  # it may need a proxy to fetch the emulator
        stay_local()
        with (
            emulator(port=options.emulator_port, address=options.address) as host,
            ready_file(ready_path) as write_ready_file,
        ):
            os.environ["FIRESTORE_EMULATOR_HOST"] = host
            settings = read_settings(os.environ)
            read_plans(settings)
            serve(settings, options, write_ready_file)
    except (EmulatorError, ConfigurationError, ScheduleError, OSError, RuntimeError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return 1
    except SystemExit:
        print("\nstopped")
    return 0


def _arguments(arguments: Sequence[str] | None) -> Path | None:
    parser = argparse.ArgumentParser(prog="python -m dev.serve", description="The functions beside an app.")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="holds the addresses once all has started")
    ready: Path | None = parser.parse_args(arguments).ready_file
    return ready


@contextmanager
def ready_file(path: Path | None) -> Iterator[Any]:
    """Gives a function that writes the file in one step. Before and after the block the file does not exist."""
    if path is None:
        yield lambda _: None
        return
    path.unlink(missing_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.touch()  # fail at once if the folder can't be written

    def write_ready_file(addresses: Mapping[str, Any]) -> None:
        partial.write_text(json.dumps(addresses, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)

    try:
        yield write_ready_file
    finally:
        partial.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def serve(settings: Settings, options: Options, write_ready_file: Any) -> None:
    """Serve until a signal ends the program."""
    samples, holding = prepare_users(settings, options)
    clock = Clock()
    schedule = LocalSchedule(options.port, clock, holding=holding)
    panel = {control_panel.PATH: ControlPanel(settings, clock, schedule)}
    jobs = jobs_for(options.tick, settings.slot_seconds)
    with (
        serving(options.port, clock, panel, options.address) as entry_points,
        delivering_events(settings, options.port, clock, changes=options.changes),
    ):
        make_log_readable()
        if holding and options.adopt:
            schedule.adopt()
        served = Served(settings, options, entry_points, jobs, samples, schedule.holding)
        with schedule.delivering(jobs):
            print(introduction(served), flush=True)
            write_ready_file(addresses(served))
            threading.Event().wait()


def prepare_users(settings: Settings, options: Options) -> tuple[list[str], bool]:
    """Write sample users into an empty project. Returns their ids, and true if users exist that no run has scanned."""
    with closing(Database(str(settings.emulator_host), str(settings.project_id), settings.database)) as database:
        if not database.is_empty(settings.users_collection):
            return [], database.is_empty(f"{settings.collection_prefix}_runs")
        return load_samples(settings, database, options.samples), False


def load_samples(settings: Settings, database: Database, count: int) -> list[str]:
    """Write sample users, unless the settings name other fields than theirs. Returns their ids."""
    fields = (settings.users_collection, settings.balance_field, settings.plan_field, settings.stamp_field)
    if fields != OWN_FIELDS or not count:
        return []
    population = Population(count, datetime.now(UTC).date(), Rules.read(settings.plans_file))
    ids = [population.user_id(index) for index in range(count)]
    users = list(zip(ids, map(population.document, range(count)), strict=True))
    for start in range(0, count, 500):
        database.create("users", users[start : start + 500])
    return ids


if __name__ == "__main__":
    sys.exit(main())
