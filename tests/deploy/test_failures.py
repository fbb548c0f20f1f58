"""Whatever single request of a deployment fails, a second run ends where an undisturbed one does.

Every request that changes something is tried, in two ways: it is refused and nothing is done, and it is done but the
answer is lost.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.fake_google import Call, Failure, FakeGoogle
from tests.deploy.project import ROOT, Project, project

STEPS = sorted(path.stem for path in ROOT.glob("deploy/steps/*.sh"))
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
        for step in STEPS:
            seen, live.fake.kept = len(live.fake.calls), []
            ended = live.step(step)
            assert ended.code == 0, ended.output
            self.changes[step] = keys(live.fake.changes(seen))
            self.before[step], live.fake.kept = live.fake.kept or [live.fake.keep()], None
            self.after[step] = comparable(live.fake)

    def refused(self, step: str, number: int) -> dict[str, Any]:
        """The state after a run that comes to a change and is refused it, and a second run."""
        self.live.fake.restore(self.before[step][number])
        assert self._failing(step, self.changes[step][number], done=False), "it was not asked again"
        return self._undisturbed(step)

    def answers_lost(self, step: str) -> dict[str, Any]:
        """The state after runs in which the answer to one change after the other is lost, and a last run."""
        self.live.fake.restore(self.before[step][0])
        lost = [self._failing(step, change, done=True) for change in self.changes[step]]
        assert all(lost[:1])  # of functions, others are done side by side with the one that fails
        return self._undisturbed(step)

    def _failing(self, step: str, change: Change, *, done: bool) -> bool:
        """Run the step, which goes on where the change was the next; was it asked for?"""
        failure = Failure(change[0], re.escape(change[1]) + "$", 403, "out of luck", done=done)
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


@pytest.mark.parametrize("step", STEPS)
def test_a_second_run_ends_where_an_undisturbed_one_does(story, step):
    """Each change of the step is refused once."""
    for number, change in enumerate(story.changes[step]):
        assert story.refused(step, number) == story.after[step], change


@pytest.mark.parametrize("step", STEPS)
def test_a_lost_answer_does_no_harm(story, step):
    """What was asked is done, the run fails all the same; so with one change after the other."""
    assert story.answers_lost(step) == story.after[step]


def test_the_steps_change_what_a_deployment_changes(story):
    """None of the requests is forgotten, from services to alerts."""
    assert {step: len(story.changes[step]) for step in STEPS} == {
        "10-apis": 1,
        "20-accounts": 4 + 7,
        "30-indexes": 12 + 1,
        "40-metrics": 10,
        "50-functions": 5,
        "60-invokers": 5,
        "70-schedule": 2,
        "80-alerts": 1 + 6,
        "90-rules": 0,
    }
