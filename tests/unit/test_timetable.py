"""The schedule table: its rows, their next runs, and which tables are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import main
from shared.core.errors import ConfigurationError
from shared.edge.bodies import QueueBody, WorkerBody
from shared.monitor.timetable import ScheduledJob, read_timetable

NOW = datetime(2026, 11, 22, 10, 2, 30, tzinfo=UTC)
ROW = """
[[job]]
name = "worker"
cron = "*/5 * * * *"
function = "credit_refresh_worker"
deadline_seconds = 90
"""


def job(cron: str, **fields) -> ScheduledJob:
    return ScheduledJob(name="worker", cron=cron, function="credit_refresh_worker", deadline_seconds=90, **fields)


def test_our_own_table_calls_builder_and_worker_with_bodies_they_accept():
    """The deployment reads the same table. Each body is valid for its function."""
    kinds: dict[str, type[QueueBody | WorkerBody]] = {
        "credit_refresh_queue": QueueBody,
        "credit_refresh_worker": WorkerBody,
    }
    table = read_timetable()

    assert {row.function for row in table} == set(kinds)
    for row in table:
        assert kinds[row.function].model_validate(row.body, by_alias=True).process_seconds < row.deadline_seconds
        assert hasattr(main, row.function)


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("*/5 * * * *", "UTC", datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        ("*/10 * * * *", "UTC", datetime(2026, 11, 22, 10, 10, tzinfo=UTC)),
        ("0 0 * * *", "UTC", datetime(2026, 11, 23, tzinfo=UTC)),
        ("0 0 * * *", "Europe/Berlin", datetime(2026, 11, 22, 23, tzinfo=UTC)),
        ("0 0 * * *", "America/New_York", datetime(2026, 11, 23, 5, tzinfo=UTC)),
        ("*/10 * * * *", "Asia/Kathmandu", datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
    ],
)
def test_the_next_run_is_the_first_after_now_in_the_row_s_zone(cron, zone, expected):
    """Local midnight is another instant in each zone, in some zones off by a quarter of an hour."""
    assert job(cron).next_run(NOW, zone) == expected


def test_a_job_that_is_due_now_has_its_next_run_later():
    assert job("*/5 * * * *").next_run(datetime(2026, 11, 22, 10, 5, tzinfo=UTC), "UTC").minute == 10


def test_a_row_s_own_zone_comes_first():
    """The setting applies to rows without a zone."""
    assert job("0 0 * * *", time_zone="Asia/Tokyo").next_run(NOW, "UTC").hour == 15


@pytest.mark.parametrize(
    ("cron", "seconds"), [("*/5 * * * *", 300), ("0 * * * *", 3600), ("0 0 * * *", 86_400), ("0,5 * * * *", 3300)]
)
def test_the_interval_is_the_longest_gap(cron, seconds):
    """A heartbeat is late only after the longest gap."""
    assert job(cron).interval(NOW, "UTC") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "job: Field required"),
        ("job = []", "job: List should have at least 1 item"),
        ("nonsense", "is not TOML"),
        (ROW + ROW, "two jobs are named worker"),
        (ROW.replace("*/5 * * * *", "every 5 minutes"), "'every 5 minutes' is not a cron expression"),
        (ROW.replace("*/5 * * * *", "0 */5 * * * *"), "is not a cron expression of five fields"),
        (ROW.replace("= 90", "= 2000"), "job.1.deadline_seconds"),
        (ROW.replace("= 90", "= 60"), "deadline_seconds 60 must be longer than processTime 60000 ms"),
        (ROW + "retries = 9", "job.1.retries"),
        (ROW + "workers = 0", "job.1.workers"),
        (ROW + "every = 5", "job.1.every: Extra inputs are not permitted"),
        (ROW + 'time_zone = "Mars/Olympus"', "'Mars/Olympus' is not an IANA time zone"),
        (ROW.replace("credit_refresh_worker", "something"), "job.1.function"),
    ],
)
def test_the_error_for_a_bad_table_names_the_file(tmp_path, table, message):
    """It also says what is wrong."""
    path = tmp_path / "schedule.toml"
    path.write_text(table)

    with pytest.raises(ConfigurationError, match="schedule") as raised:
        read_timetable(path)

    assert message in str(raised.value)


def test_a_missing_table_is_named(tmp_path):
    """The message has its name and the reason."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml can't be read: FileNotFoundError"):
        read_timetable(tmp_path / "absent.toml")
