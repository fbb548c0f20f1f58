"""The tables of fields in docs/architecture.md against the documents that the functions write."""

from __future__ import annotations

import ast
import re

import pytest

from shared.monitor.operator_actions import Operator, pause, pause_user, requeue_run, rescan, resume
from shared.settings import BUNDLE
from tests.support.world import DAY, EVENING, MIDNIGHT, World, population

COLLECTIONS = {
    "users/{uid}": "users",
    "credit_refresh_jobs/{jobId}": "credit_refresh_jobs",
    "credit_refresh_runs/{runId}": "credit_refresh_runs",
}
JOB_WRITERS = ("jobs", "job_documents", "job_views")
ROLLUPS = "credit_refresh_runs/{runId}/rollups/{shard}"
FOLLOW_UPS = "credit_refresh_runs/{runId}/credit_refresh_follow_ups/{number}"


def documented(heading: str) -> set[str]:
    """The fields in the table below a heading."""
    text = (BUNDLE / "docs/architecture.md").read_text(encoding="utf-8")
    table = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.fixture(scope="module")
def written() -> dict[str, set[str]]:
    """The names of all fields found, by heading, after days with failures, a requeue and a pause."""
    world = World()
    world.users(population(6) | {"monthly": {"credits": 5, "plan": "pro"}, "odd": {"credits": "many"}})
    found: dict[str, set[str]] = {}
    world.build()
    world.users({"user00001": {"credits": "broken"}})
    collect(world, found)
    world.work(EVENING)
    collect(world, found)
    operator = Operator("ops@example.com", "a test")
    requeue_run(world.context(EVENING), operator, "2026-11-22")
    collect(world, found)
    pause_user(world.context(EVENING), operator, "user00002", paused=True)
    pause(world.context(EVENING), operator, EVENING + DAY)
    rescan(world.context(EVENING), operator, MIDNIGHT.date())
    collect(world, found)
    resume(world.context(EVENING), operator)
    world.day(MIDNIGHT + DAY)
    collect(world, found)
    return found


def collect(world: World, found: dict[str, set[str]]) -> None:
    for heading, collection in COLLECTIONS.items():
        for fields in world.all(collection).values():
            found.setdefault(heading, set()).update(fields)
    stamps = [fields["creditRefresh"] for fields in world.all("users").values() if "creditRefresh" in fields]
    found["users/{uid}"] = {f"creditRefresh.{name}" for stamp in stamps for name in stamp}
    for fields in world.all("rollups", under="credit_refresh_runs/2026-11-22").values():
        found.setdefault(ROLLUPS, set()).update(fields)
    for fields in world.all("credit_refresh_follow_ups", under="credit_refresh_runs/2026-11-22").values():
        found.setdefault(FOLLOW_UPS, set()).update(fields)
    for fields in world.all("credit_refresh_activity").values():
        found.setdefault("credit_refresh_activity/{entryId}", set()).update(fields)
    for part, fields in world.all("credit_refresh_control").items():
        found.setdefault("credit_refresh_control", set()).update(f"{part}/{name}" for name in fields)


HEADINGS = [*COLLECTIONS, ROLLUPS, FOLLOW_UPS, "credit_refresh_control", "credit_refresh_activity/{entryId}"]


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_field_that_is_written_is_documented(written, heading):
    """An operator who looks at a document finds each of its fields in the table."""
    assert len(written[heading]) > 1
    assert written[heading] <= documented(heading)


def test_rare_fields_of_jobs_are_documented():
    """The days above do not write all of them, so the keys in the code that writes jobs are compared too."""
    trees = [ast.parse((BUNDLE / "shared/store" / f"{name}.py").read_text("utf-8")) for name in JOB_WRITERS]
    dicts = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = {key.value for each in dicts for key in each.keys if isinstance(key, ast.Constant)}

    assert len(keys) > 20
    assert keys <= documented("credit_refresh_jobs/{jobId}")


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_field_that_is_documented_is_in_the_code(heading):
    """No table names a field that is gone. Each name is a text in the code that writes documents."""
    folders = [BUNDLE / "shared" / name for name in ("core", "services", "store", "monitor")]
    trees = [ast.parse(path.read_text("utf-8")) for folder in folders for path in folder.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = {node.value for node in nodes if isinstance(node.value, str)}
    names = {re.split(r"[./]", name)[-1] for name in documented(heading)}

    assert names - texts == set()
