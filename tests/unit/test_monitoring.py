"""Metrics and alerts name log lines that the functions really write."""

from __future__ import annotations

import ast
import json
import re

import pytest

import main
from shared.core.service_level import DAYS, OBJECTIVE, ON_TIME_WITHIN
from shared.settings import BUNDLE

MONITORING = BUNDLE / "deploy" / "monitoring"
METRICS = {f"credit_refresh_{path.stem}": json.loads(path.read_text()) for path in MONITORING.glob("metrics/*.json")}
SOURCES = [path for folder in ("shared", "functions") for path in (BUNDLE / folder).rglob("*.py")]
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES]


def logged_actions() -> set[str]:
    """The actions of all calls of `logs`, and the functions' names, which are the actions of their last lines."""
    calls = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    named = [each for each in calls if ast.unparse(each.func) in ("logs.info", "logs.warning", "logs.error")]
    return {str(each.args[0].value) for each in named if isinstance(each.args[0], ast.Constant)} | set(main.__all__)


def words_in_code() -> set[str]:
    """All strings and keyword names in the code: a log field is named by one of them."""
    nodes = [node for tree in TREES for node in ast.walk(tree)]
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return strings | {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_uses_actions_and_fields_that_are_logged(name):
    metric = METRICS[name]
    expressions = [metric["filter"], metric.get("valueExtractor", ""), *metric.get("labelExtractors", {}).values()]
    actions = set(re.findall(r'jsonPayload\.action="([^"]+)"', metric["filter"]))
    fields = set(re.findall(r"jsonPayload\.(\w+)", " ".join(expressions))) - {"action"}

    assert actions
    assert actions <= logged_actions()
    assert fields <= words_in_code()


@pytest.mark.parametrize("path", sorted(MONITORING.glob("[ad]*/*.json")), ids=lambda path: path.stem)
def test_alerts_and_the_dashboard_use_metrics_that_exist(path):
    """Every metric of ours that they name is among the deployed ones."""
    named = set(re.findall(r"user[/_](credit_refresh_\w+?)(?:_sum|_bucket)?(?=\\\"|\{)", path.read_text()))

    assert named <= METRICS.keys()
    assert named or path.stem == "server-errors"


def test_each_danger_has_its_alert():
    """These are silence, lag, dead letters, 5xx, an open breaker, a burning error budget and a forgotten pause."""
    assert {path.stem for path in MONITORING.glob("alerts/*.json")} == {
        "heartbeat",
        "lag",
        "dead-letters",
        "server-errors",
        "breaker-open",
        "error-budget",
        "paused",
    }


def test_the_documents_count_the_conditions_of_all_alerts():
    """Google has a price for each condition."""
    alerts = [json.loads(path.read_text()) for path in MONITORING.glob("alerts/*.json")]
    conditions = sum(len(alert["conditions"]) for alert in alerts)

    assert f"alerting conditions, of which there are {conditions}," in (BUNDLE / "docs/deploy.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(MONITORING.glob("[ao]*/*.json")), ids=lambda path: path.stem)
def test_an_alert_says_what_to_do_and_where_the_monitor_is(path):
    """The deployment fills in the address."""
    text = json.loads(path.read_text())["documentation"]["content"]

    assert "What to do: " in text
    assert text.endswith("The monitor: @@MONITOR@@")


def test_page_and_alert_have_the_same_objective():
    """They have the same share, time and number of days. The alert's queries count with that share."""
    alert = json.loads((MONITORING / "alerts/error-budget.json").read_text())
    text = alert["documentation"]["content"]
    queries = [each["conditionPrometheusQueryLanguage"]["query"] for each in alert["conditions"]]

    assert f"{OBJECTIVE:.1%} of the users of {DAYS} days" in text
    assert f"within {ON_TIME_WITHIN.seconds // 60} minutes" in text
    assert all(f"* {1 - OBJECTIVE:.3f}" in query and "late_users" in query for query in queries)


def test_each_legend_of_the_dashboard_says_what_is_counted():
    """No legend is empty, and the axis of each chart has a label."""
    tiles = json.loads((MONITORING / "dashboards/overview.json").read_text())["mosaicLayout"]["tiles"]
    charts = [tile["widget"]["xyChart"] for tile in tiles]

    assert all(data["legendTemplate"] for chart in charts for data in chart["dataSets"])
    assert all(chart["yAxis"]["label"] for chart in charts)
