"""Objects that an instance makes once, at first use, and shares between its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from shared import logs
from shared.core.errors import SystemFailureError
from shared.core.plans import PlanTable
from shared.settings import Settings, read_plans, read_settings
from shared.store.breaker import Breaker
from shared.store.wire import Connection, open_client

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Call `make` at first use, under a lock, and keep the result. If it raises, the next use tries again."""
    lock = threading.Lock()
    made: list[T] = []

    @wraps(make)
    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


@once
def settings() -> Settings:
    return read_settings(os.environ)


@once
def plans() -> PlanTable:
    table = read_plans(settings())
    for warning in table.warnings:
        logs.warning("plans_cost_more", warning)
    return table


@once
def project() -> str:
    """The project in the settings, else the credentials' project. Raises SystemFailureError if there is none."""
    return settings().project_id or _project_of_credentials()


@once
def connection() -> Connection:
    """The connection to the database. Raises SystemFailureError without a project or credentials."""
    chosen = settings()
    database = f"projects/{project()}/databases/{chosen.database}"
    try:
        client = open_client(chosen.emulator_host)
    except GoogleAuthError as exc:
        raise SystemFailureError(
            f"no usable credentials ({type(exc).__name__}); give the function a service account"
        ) from exc
    return Connection(
        client=client,
        database=database,
        emulated=bool(chosen.emulator_host),
        breaker=Breaker(chosen.breaker_failures, chosen.breaker_reset_seconds),
    )


def _project_of_credentials() -> str:
    try:
        _, project = google.auth.default()
    except DefaultCredentialsError as exc:
        raise SystemFailureError("no project and no credentials; set GOOGLE_CLOUD_PROJECT") from exc
    if not project:
        raise SystemFailureError("the credentials name no project; set GOOGLE_CLOUD_PROJECT")
    return str(project)
