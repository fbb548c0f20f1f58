"""Whatever single request of a deployment fails, a second run ends where an undisturbed one does.

Every request that changes something is tried, in two ways: it is refused and nothing is done, and it is done but the
answer is lost.
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
    """The state without what differs between any two runs: etags, and the numbers of what is named by number."""
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
    """Each change by its method and its address."""
    return [
        (call.method, "functionId=" + call.query["functionId"] if "functionId" in call.query else call.path)
        for call in calls
    ]


class Story:
    """A project taken from step to step: what each changed, what there was before each change and after the step."""

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
            self.before[step], live.fake.kept = live.fake.kept or [live.fake.keep()], None
            self.after[step] = comparable(live.fake)
            self.states[step] = [comparable(FakeGoogle(PROJECT, resources=r, policies=p)) for r, p in self.before[step]]

    def failing(self, step: str, *, done: bool) -> dict[str, Any]:
        """The state after runs in which one change after the other fails, and a last run.

        Each run goes on where the one before was stopped. What it leaves is what an undisturbed run has at that point.
        """
        fake = self.live.fake
        fake.restore(self.before[step][0])
        for number, change in enumerate(self.changes[step]):
            # What was refused is asked again first, by the same address if that is of the same kind.
            again = number > 0 and not done and change == self.changes[step][number - 1]
            asked = self._failing(step, change, int(again), done=done)
            if step in SIDE_BY_SIDE:
                continue  # others are done side by side with the one that fails
            assert asked, f"{change} was not asked again"
            assert comparable(fake) == (self.states[step] + [self.after[step]])[number + done], change
        return self._undisturbed(step)

    def _failing(self, step: str, change: Change, after: int, *, done: bool) -> bool:
        """Run the step, in which a change fails, after so many that look like it; was it asked for?"""
        failure = Failure(change[0], re.escape(change[1]) + "$", 403, "out of luck", after=after, done=done)
        self.live.fake.failures[:] = [failure]
        self.live.step(step)
        return not failure.times

    def _undisturbed(self, step: str) -> dict[str, Any]:
        self.live.fake.failures.clear()
        ended = self.live.step(step)
        assert ended.code == 0, ended.output
        return comparable(self.live.fake)


@pytest.fixture(scope="module")
def story(tmp_path_factory, tools):
    with project(tmp_path_factory.mktemp("project"), tools) as live:
        yield Story(live)


@pytest.mark.parametrize("done", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_second_run_ends_where_an_undisturbed_one_does(story, step, done):
    """Whichever change fails: refused, or done with the answer lost."""
    assert story.failing(step, done=done) == story.after[step]


def test_the_steps_change_what_a_deployment_changes(story):
    """None of the requests is forgotten, from services to alerts."""
    fields = read_json(ROOT / "firestore.indexes.json")["fieldOverrides"]

    assert {step: len(story.changes[step]) for step in STEPS} == {
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
