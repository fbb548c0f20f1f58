"""Health: the threshold and the message of each reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.core.pauses import Pause
from shared.core.proof import Proof
from shared.core.runs import LastFull, Run, RunStatus, Scan
from shared.core.scan_choice import NO_INDEX
from shared.monitor.health import Vitals, diagnose
from shared.monitor.overview_answer import health_answer

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
DAY = date(2026, 11, 22)
MINUTE = timedelta(minutes=1)
DONE = Run(run_id="2026-11-22", scan=Scan.ALL, created_at=MIDNIGHT, status=RunStatus.COMPLETED)
DUE = replace(DONE, scan=Scan.DUE, completed_at=MIDNIGHT, last_full=LastFull(DAY - timedelta(days=6), "f"))
OPEN = Proof((1,), tried_at=MIDNIGHT)
HOUR = timedelta(hours=1)
WELL = Vitals(
    now=NOON,
    day_start=MIDNIGHT,
    run=DONE,
    worker_seen_at=NOON - MINUTE,
    worker_interval=5 * MINUTE,
    lag_seconds=0,
)


def test_a_healthy_system_has_no_reasons():
    assert diagnose(WELL) == ()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"worker_seen_at": None}, "no_worker_heartbeat", "no worker has ever run"),
        ({"worker_seen_at": NOON - 15 * MINUTE}, None, None),
        ({"worker_seen_at": NOON - 16 * MINUTE}, "no_worker_heartbeat", "for 16 minutes"),
        ({"worker_seen_at": NOON - 3000 * MINUTE}, "no_worker_heartbeat", "for 50 hours"),
        ({"worker_seen_at": NOON - 16 * MINUTE, "worker_interval": 6 * MINUTE}, None, None),
        ({"worker_seen_at": NOON + MINUTE}, None, None),
        ({"lag_seconds": 1800}, None, None),
        ({"lag_seconds": 1801}, "queue_lag", "for 30 minutes"),
        ({"run": None}, "builder_unfinished", "has not begun"),
        ({"run": None, "now": MIDNIGHT + 60 * MINUTE}, None, None),
        ({"run": None, "now": MIDNIGHT + 61 * MINUTE, "worker_seen_at": NOON}, "builder_unfinished", "has not begun"),
        ({"run": replace(DONE, status=RunStatus.IN_PROGRESS)}, "builder_unfinished", "is not finished"),
        (
            {"dead_letter_days": (DAY,)},
            "dead_letters",
            "jobs of 2026-11-22 have failed for good and wait to be requeued",
        ),
        ({"breaker_is_open": True}, "breaker_open", "breaker is open"),
        ({"run": replace(DONE, scan_reason=NO_INDEX)}, "index_missing", "deploy firestore.indexes.json"),
        ({"run": replace(DUE, proof=Proof((1, 0)))}, None, None),
        ({"run": replace(DUE, proof=Proof((2, 1))), "proof_tolerance": 1}, None, None),
        ({"run": replace(DUE, proof=OPEN)}, "not_proved", "is still open"),
        ({"run": replace(DUE, proof=Proof(missed=1))}, "not_proved", "is still open"),
        ({"run": replace(DUE, proof=OPEN, completed_at=NOON - 3 * HOUR)}, None, None),
        ({"run": replace(DUE, proof=OPEN), "pause_ended_at": NOON - 3 * HOUR}, None, None),
        ({"run": replace(DONE, proof=OPEN, completed_at=MIDNIGHT)}, None, None),  # of everybody
        ({"run": DUE}, None, None),
        ({"run": DUE, "full_scan_days": 6}, "not_proved", "everybody was last read on 2026-11-16"),
        ({"run": replace(DUE, last_full=None)}, "not_proved", "everybody was never read"),
        ({"run": replace(DONE, scan=Scan.DUE, proof=Proof(unavailable="no"))}, "proof_unavailable", "nothing proves"),
    ],
)
def test_each_problem_has_a_threshold_and_a_message(change, code, message):
    """Just below the threshold there is no reason; above it there is one, with a message."""
    reasons = diagnose(replace(WELL, **change))

    assert [reason.code for reason in reasons] == ([] if code is None else [code])
    assert code is None or message in reasons[0].message


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"run": replace(DONE, scan_reason=NO_INDEX)}, "ok"),
        ({"run": replace(DONE, scan_reason=NO_INDEX), "pause_ended_at": NOON}, "ok"),
        ({"run": replace(DONE, scan_reason=NO_INDEX), "pause": Pause()}, "paused"),
        ({"run": replace(DONE, scan_reason=NO_INDEX), "breaker_is_open": True}, "unhealthy"),
    ],
)
def test_a_notice_does_not_change_the_status(change, status):
    """The answer names it all the same."""
    answer = health_answer(diagnose(replace(WELL, **change)))

    assert answer["status"] == status
    assert "index_missing" in [reason["code"] for reason in answer["reasons"]]


@pytest.mark.parametrize(("minutes", "codes"), [(0, []), (30, []), (31, ["queue_lag"]), (-1, [])])
def test_a_pause_that_has_just_ended_excuses_the_lag_for_half_an_hour(minutes, codes):
    """Then the worker has had its time. The clocks of two servers may differ."""
    vitals = replace(WELL, lag_seconds=200_000, pause_ended_at=NOON - minutes * MINUTE)

    assert [reason.code for reason in diagnose(vitals)] == codes


@pytest.mark.parametrize(("minutes", "codes"), [(0, []), (60, []), (61, ["builder_unfinished"])])
def test_a_pause_that_has_just_ended_excuses_an_unfinished_scan_for_an_hour(minutes, codes):
    """This is the time that the builder has at the beginning of a day."""
    vitals = replace(WELL, run=None, pause_ended_at=NOON - minutes * MINUTE)

    assert [reason.code for reason in diagnose(vitals)] == codes


def test_a_pause_excuses_an_open_proof():
    """No builder counts while the refresh is paused."""
    vitals = replace(WELL, run=replace(DUE, proof=OPEN), pause=Pause())

    assert [reason.code for reason in diagnose(vitals)] == ["paused"]


def test_all_problems_are_named_at_once():
    vitals = replace(
        WELL, run=None, worker_seen_at=None, lag_seconds=9999, dead_letter_days=(DAY,), breaker_is_open=True
    )

    assert len(diagnose(vitals)) == 5
