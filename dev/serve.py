"""`make dev`: the functions at the contract's paths, in one process, with the emulator and a schedule that ticks.

PORT=8080 says where.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import gcd
from time import time
from typing import Any

from functions_framework import create_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from dev.cloud_scheduler import deliver, path_of
from dev.console import end_on_signals, forward_as_sigterm, stay_local
from dev.database import Database
from dev.emulator import EmulatorError, emulator
from dev.function_server import BUNDLE
from dev.oracle import Rules
from dev.population import Population
from shared.core.errors import ConfigurationError
from shared.settings import Settings, read_plans, read_settings

PORT_DEFAULT = 8080
EMULATOR_PORT = 8686  # the same every time, if it is free, so that the app's settings stay good
SAMPLE_USERS = 30
BUILDER_SECONDS = 600
WORKER_SECONDS_MAX = 60
LATE_SECONDS = 0.05  # behind the boundary, never before it
END_SECONDS_MAX = 5

WsgiApp = Callable[..., Any]


def main() -> int:
    """The exit code: 0 after Ctrl-C."""
    end_on_signals()
    stay_local()
    try:
        port = port_wanted(os.environ.get("PORT", ""))
        with emulator(port=EMULATOR_PORT if _is_free(EMULATOR_PORT) else None) as host:
            os.environ["FIRESTORE_EMULATOR_HOST"] = host
            settings = read_settings(os.environ)
            read_plans(settings)
            serve(settings, port)
    except (EmulatorError, ConfigurationError, ValueError) as exc:
        print(exc, file=sys.stderr)
        return 1
    except SystemExit:
        print("\nstopped")
    return 0


def port_wanted(text: str) -> int:
    """The port to listen on. Raises ValueError if it is none, or is taken."""
    if text and (not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65_535):
        raise ValueError(f"PORT={text!r} is not a port from 1 to 65535")
    port = int(text or PORT_DEFAULT)
    if not _is_free(port):
        raise ValueError(f"port {port} is taken; choose another one: PORT=8081 make dev")
    return port


def serve(settings: Settings, port: int) -> None:
    """Serve until the program is told to end."""
    project = str(settings.project_id)
    samples = load_samples(settings, project)
    with serving(port) as entry_points, ticking(schedule(settings.slot_seconds), port):
        print(introduction(settings, port, entry_points, samples), flush=True)
        threading.Event().wait()


@contextmanager
def serving(port: int) -> Iterator[list[str]]:
    """The entry points of main.py behind one threaded server, until the end of the block."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    entry_points = list(importlib.import_module("main").__all__)
    apps = {path_of(name): _function(name) for name in entry_points}
    forward_as_sigterm()  # which they listen to, as the platform sends it
    app = DispatcherMiddleware(_directory(list(apps)), {path: _at_root(each) for path, each in apps.items()})
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield entry_points
    finally:
        server.shutdown()
        thread.join(END_SECONDS_MAX)
        server.server_close()


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduler job: when the clock shows a multiple of so many seconds, and once at the start."""

    entry_point: str
    every_seconds: int
    body: dict[str, Any] = field(default_factory=dict)


def schedule(slot_seconds: int) -> list[Job]:
    """As Cloud Scheduler is to have it, but that the worker is there whenever a slot begins, and every minute."""
    return [
        Job("credit_refresh_queue", BUILDER_SECONDS, {"scan": "auto"}),
        Job("credit_refresh_worker", gcd(WORKER_SECONDS_MAX, slot_seconds)),
    ]


@contextmanager
def ticking(jobs: Sequence[Job], port: int) -> Iterator[None]:
    """Deliver the jobs in real time, each in its own thread: a slow one is late alone."""
    ended = threading.Event()
    threads = [threading.Thread(target=_tick, args=(job, port, ended), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(END_SECONDS_MAX)


def _tick(job: Job, port: int, ended: threading.Event) -> None:
    while not ended.is_set():
        answer = deliver(port, job.entry_point, datetime.now(UTC), job.body)
        if answer.status != 200 and not ended.is_set():
            print(f"{job.entry_point} answered {answer.status or 'nothing'}: {dict(answer.body)}", file=sys.stderr)
        ended.wait(job.every_seconds - time() % job.every_seconds + LATE_SECONDS)


def load_samples(settings: Settings, project: str) -> list[str]:
    """Some users for an empty project whose users are kept where ours would be; their ids."""
    database = Database(str(settings.emulator_host), project, settings.database)
    fields = (settings.users_collection, settings.balance_field, settings.plan_field, settings.stamp_field)
    if fields != ("users", "credits", "plan", "creditRefresh") or not database.is_empty("users"):
        return []
    population = Population(SAMPLE_USERS, datetime.now(UTC).date(), Rules.read(settings.plans_file))
    ids = [population.user_id(index) for index in range(SAMPLE_USERS)]
    database.create("users", list(zip(ids, map(population.document, range(SAMPLE_USERS)), strict=True)))
    database.close()
    return ids


def introduction(settings: Settings, port: int, entry_points: Sequence[str], samples: Sequence[str]) -> str:
    address = f"http://localhost:{port}"
    builder, worker = schedule(settings.slot_seconds)
    example = json.dumps({"userIds": [samples[-1] if samples else "someone"]})
    return "\n".join(
        [
            "",
            *(f"  {address}{path_of(name)}" for name in entry_points),
            "",
            f"The builder is called every {builder.every_seconds} s, the worker every {worker.every_seconds} s;",
            f"slots are {settings.slot_seconds} s wide. "
            + (f"{len(samples)} sample users were loaded, as there were none." if samples else "The users are yours."),
            "",
            "For the app under development:",
            f"  export FIRESTORE_EMULATOR_HOST={settings.emulator_host} GOOGLE_CLOUD_PROJECT={settings.project_id}",
            f"Watch and operator_actions in a browser: {address}{path_of('credit_refresh_monitor')}",
            "Refresh a user now:",
            f"  curl -X POST {address}{path_of('credit_refresh')} -d '{example}'",
            "",
            "Ctrl-C ends it all. What the functions log:",
            "",
        ]
    )


def _function(entry_point: str) -> WsgiApp:
    app: WsgiApp = create_app(entry_point, str(BUNDLE / "main.py"))  # type: ignore[no-untyped-call]
    return app


def _directory(paths: Sequence[str]) -> WsgiApp:
    """Names what is served, at every path where nothing is."""

    @Request.application
    def app(_: Request) -> Response:
        return Response("Served here:\n" + "".join(f"  {path}\n" for path in paths), status=404)

    return app


def _at_root(app: WsgiApp) -> WsgiApp:
    """A function is called at the root of its own URL: the mount's bare path is that root."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        return app({**environ, "PATH_INFO": environ.get("PATH_INFO") or "/"}, start_response)

    return call


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())
