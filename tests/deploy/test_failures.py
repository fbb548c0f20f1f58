"""If any single request of a deployment fails, a second run gives the same state as a run without failure.

This is tested for every request that changes something, in two ways. It is refused, or it takes effect but its answer
is lost.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from deploy.files import read_json
from tests.deploy.fake_google import Call, Failure, FakeGoogle
from tests.deploy.project import PROJECT, ROOT, Project, project

STEPS = sorted(path.stem for path in ROOT.glob("deploy/steps/*.sh"))
SIDE_BY_SIDE = ("50-functions",)
VOLATILE = ("etag", "lastAttemptTime", "version")
NUMBERED = r"(dashboards|alertPolicies|notificationChannels|uptimeCheckConfigs)/\d+"

Change = tuple[str, str]  # method and address

pytestmark = pytest.mark.timeout(900)  # many steps


def comparable(fake: FakeGoogle) -> dict[str, Any]:
    """The state without parts that differ between any two runs: etags, and numbers in names."""
    state = {**fake.resources, **{f"policy of {name}": each for name, each in fake.policies.items()}}
    names = {name: f"{name.rpartition('/')[0]}/{each.get('displayName')}" for name, each in state.items()}
    named = {names[name] if re.search(NUMBERED, name) else name: stable(each) for name, each in state.items()}
    return dict(sorted(named.items()))


def stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: stable(each) for key, each in value.items() if key not in VOLATILE and key != "name"}
    if isinstance(value, list):
        return sorted((stable(each) for each in value), key=repr)
    return re.sub(NUMBERED, r"\1/N", value) if isinstance(value, str) else value


def keys(calls: list[Call]) -> list[Change]:
    """The method and the address of each change."""
    return [
        (call.method, "functionId=" + call.query["functionId"] if "functionId" in call.query else call.path)
        for call in calls
    ]


class DeployedSteps:
    """A project in which all steps were run. For each step it keeps the changes, and the states around them."""

    def __init__(self, live: Project) -> None:
        self.live = live
        self.changes: dict[str, list[Change]] = {}
        self.before: dict[str, list[Any]] = {}
        self.after: dict[str, dict[str, Any]] = {}
        self.states: dict[str, list[dict[str, Any]]] = {}  # before each change
        for step in STEPS:
            seen, live.fake.kept = len(live.fake.calls), []
            ended = live.step(step)
            assert ended.code == 0, ended.output
            self.changes[step] = keys(live.fake.changes(seen))
            self.before[step], live.fake.kept = live.fake.kept or [live.fake.copy_state()], None
            self.after[step] = comparable(live.fake)
            self.states[step] = [comparable(FakeGoogle(PROJECT, resources=r, policies=p)) for r, p in self.before[step]]

    def run_with_failures(self, step: str, *, done: bool) -> dict[str, Any]:
        """Run the step so that one change after the other fails, and then without failure. Returns the state.

        Each run continues after the one before. Its state is that of a run without failure at the same point.
        """
        fake = self.live.fake
        fake.restore(self.before[step][0])
        for number, change in enumerate(self.changes[step]):
            # A run first repeats the change that was refused before. Both may have the same method and address.
            again = number > 0 and not done and change == self.changes[step][number - 1]
            was_requested = self._fails_once(step, change, int(again), done=done)
            if step in SIDE_BY_SIDE:
                continue  # other changes are made at the same time
            assert was_requested, f"{change} was not made again"
            assert comparable(fake) == (self.states[step] + [self.after[step]])[number + done], change
        return self._run_without_failure(step)

    def _fails_once(self, step: str, change: Change, after: int, *, done: bool) -> bool:
        """Run the step so that a change fails. So many changes like it succeed before. True if it was requested."""
        failure = Failure(change[0], re.escape(change[1]) + "$", 403, "out of luck", after=after, done=done)
        self.live.fake.failures[:] = [failure]
        self.live.step(step)
        return not failure.times

    def _run_without_failure(self, step: str) -> dict[str, Any]:
        self.live.fake.failures.clear()
        ended = self.live.step(step)
        assert ended.code == 0, ended.output
        return comparable(self.live.fake)


@pytest.fixture(scope="module")
def deployed_steps(tmp_path_factory, tools):
    with project(tmp_path_factory.mktemp("project"), tools) as live:
        yield DeployedSteps(live)


@pytest.mark.parametrize("done", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_failure_the_state_is_that_of_a_run_without_failure(deployed_steps, step, done):
    """Each change fails once: it is refused, or its answer is lost."""
    assert deployed_steps.run_with_failures(step, done=done) == deployed_steps.after[step]


def test_each_step_has_the_expected_number_of_changes(deployed_steps):
    """So the tests above cover all changes of a deployment."""
    fields = read_json(ROOT / "firestore.indexes.json")["fieldOverrides"]

    assert {step: len(deployed_steps.changes[step]) for step in STEPS} == {
        "10-apis": 1,
        "20-accounts": 4 + 7,
        "30-indexes": len(fields) + len([each for each in fields if each.get("ttl")]),
        "40-metrics": len(list(ROOT.glob("deploy/monitoring/metrics/*.json"))),
        "50-functions": 5,
        "60-invokers": 5,
        "70-schedule": 2,
        "80-alerts": 1 + len(list(ROOT.glob("deploy/monitoring/alerts/*.json"))),
        "90-rules": 0,
    }
