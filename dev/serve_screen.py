"""The output of `make dev` when everything has started: a text for a person, and addresses for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dev import control_panel
from dev.cloud_scheduler import path_of
from dev.emulator import LOOPBACK
from dev.local_schedule import Job
from dev.serve_options import Options
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Served:
    """What is served."""

    settings: Settings
    options: Options
    entry_points: Sequence[str]
    jobs: Sequence[Job]
    #: The ids of the sample users that were loaded.
    samples: Sequence[str]
    #: True if users existed before and are not adopted. Then no builder is called.
    holding: bool


def addresses(served: Served) -> dict[str, Any]:
    """The addresses that an app's test needs."""
    url = f"http://{LOOPBACK}:{served.options.port}"
    return {
        "url": url,
        "functions": {name: url + path_of(name) for name in served.entry_points},
        "dev": url + control_panel.PATH,
        "emulatorHost": served.settings.emulator_host,
        "projectId": served.settings.project_id,
    }


def introduction(served: Served) -> str:
    """The text that the developer reads."""
    address, settings = f"http://localhost:{served.options.port}", served.settings
    example = json.dumps({"userIds": [served.samples[-1] if served.samples else "someone"]})
    return "\n".join(
        [
            "",
            *(f"  {address}{path_of(name)}" for name in served.entry_points),
            "",
            *_schedule_lines(served),
            *_user_lines(served, address),
            "",
            "For the app under development:",
            f"  export FIRESTORE_EMULATOR_HOST={settings.emulator_host} GOOGLE_CLOUD_PROJECT={settings.project_id}",
            f"The monitor, in a browser:     {address}{path_of('credit_refresh_monitor')}",
            f"Move the clock forward:        {address}{control_panel.PATH}",
            "Refresh a user now:",
            f"  curl -X POST {address}{path_of('credit_refresh')} -d '{example}'",
            "",
            "Ctrl-C ends it all. What the functions log, without calls that found nothing to do:",
            "",
        ]
    )


def _schedule_lines(served: Served) -> list[str]:
    calls = ", ".join(f"{job.entry_point} every {job.every_seconds} s" for job in served.jobs)
    slots = f"slots are {served.settings.slot_seconds} s wide"
    events = "New users and changes of users reach" if served.options.changes else "New users reach"
    return [
        f"Called by themselves: {calls}; {slots}." if calls else f"Nothing is called by itself; {slots}.",
        f"{events} credit_refresh_user_created at once.",
    ]


def _user_lines(served: Served, address: str) -> list[str]:
    if served.samples:
        return [f"{len(served.samples)} sample users were loaded, because there were none."]
    if served.holding:
        return [
            "Users that existed before are left alone: credit_refresh_queue is not called. To have them refreshed from",
            f"their next period on, adopt them: ADOPT=1 make dev, or a click at {address}{control_panel.PATH}.",
        ]
    return ["The users are those of your app."]
