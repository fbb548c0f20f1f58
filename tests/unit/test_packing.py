"""Packing: every due user in one job of its slot; jobs and flushes bounded in users, bytes and documents."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import packing
from shared.core.jobs import Snapshot
from shared.core.packing import Batch, Packer, pack_snapshot, unpack_snapshots
from tests.unit.strategies import balances, days

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
SLOTS = [MIDNIGHT + timedelta(minutes=5 * number) for number in range(288)]
SNAPSHOT = Snapshot(1_790_000_000_123_456_789, 10, None, None, date(2026, 1, 31))
LONGEST_ID = "ü" * 750

snapshots = st.builds(Snapshot, st.integers(0, 2**63 - 1), balances, st.none() | st.text(), st.none() | days, days)
due_users = st.lists(
    st.tuples(st.sampled_from(SLOTS[:5]), st.text(min_size=1, max_size=40), snapshots), max_size=30
).map(lambda drawn: [(slot, f"{number}-{name}", snapshot) for number, (slot, name, snapshot) in enumerate(drawn)])


def packed(packer: Packer, users: list[tuple[datetime, str, Snapshot]]) -> list[list[Batch]]:
    """The users as a builder packs them: one list of batches a flush."""
    flushes = []
    for slot, user_id, snapshot in users:
        packer.add(slot, user_id, snapshot)
        if packer.is_full:
            flushes.append(packer.drain())
    return [*flushes, packer.drain()]


def settled_bytes(batch: Batch) -> int:
    """What a job's users take at most, waiting or settled, as the packer estimates it."""
    sizes = [len(text) for text in (pack_snapshot(snapshot) for snapshot in unpack_snapshots(batch.snapshots))]
    ids = [3 * len(user_id.encode()) for user_id in batch.user_ids]
    return sum(ids) + sum(max(packing.USER_BYTES_SETTLED, size) for size in sizes)


@given(due_users, st.integers(1, 8), st.integers(1, 6), st.integers(1, 3000))
def test_packing_loses_and_doubles_nobody(users, job_size, flush_jobs_max, flush_bytes_max):
    """Each user is in one job, in its own slot, with its own snapshot, whatever the limits are."""
    flushes = packed(Packer(job_size, flush_jobs_max, flush_bytes_max), users)

    found = [
        (batch.scheduled_for, user_id, snapshot)
        for batches in flushes
        for batch in batches
        for user_id, snapshot in zip(batch.user_ids, unpack_snapshots(batch.snapshots), strict=True)
    ]
    assert Counter(users) == Counter(found)


@given(due_users, st.integers(1, 8), st.integers(1, 6), st.integers(1, 3000))
def test_no_bound_is_exceeded(users, job_size, flush_jobs_max, flush_bytes_max):
    """No job has more users than JOB_SIZE and none is empty; no flush has more jobs than it may."""
    flushes = packed(Packer(job_size, flush_jobs_max, flush_bytes_max), users)

    assert all(1 <= len(batch.user_ids) <= job_size for batches in flushes for batch in batches)
    assert all(len(batches) <= flush_jobs_max for batches in flushes)


@given(due_users, st.integers(1, 8))
def test_jobs_come_in_the_order_of_their_slots(users, job_size):
    """Earliest first, and full before another of the same slot is begun."""
    (batches,) = packed(Packer(job_size), users)

    slots = [batch.scheduled_for for batch in batches]
    assert slots == sorted(slots)
    assert Counter(slots) == {
        slot: -(-count // job_size) for slot, count in Counter(slot for slot, _, _ in users).items()
    }


@given(due_users, st.integers(1, 8))
def test_a_drained_packer_is_empty(users, job_size):
    """It can be filled again, as if it were new."""
    packer = Packer(job_size, flush_jobs_max=1000)
    packed(packer, users)

    assert packer.drain() == []
    assert packed(Packer(job_size, flush_jobs_max=1000), users) == packed(packer, users)


def test_one_user_a_job_is_possible():
    """JOB_SIZE=1 gives one job document per user."""
    users = [(SLOTS[0], f"user-{number}", SNAPSHOT) for number in range(20)]

    (batches,) = packed(Packer(1), users)

    assert [batch.user_ids for batch in batches] == [(user_id,) for _, user_id, _ in users]


def test_a_flush_is_due_by_the_number_of_jobs():
    """Full and open jobs count together: a commit stays under 450 writes."""
    packer, added = Packer(300), 0
    while not packer.is_full:
        packer.add(MIDNIGHT + timedelta(seconds=added), f"user-{added}", SNAPSHOT)
        added += 1

    assert added == len(packer.drain()) == packing.FLUSH_JOBS_MAX < 450


def test_a_flush_is_due_by_its_bytes():
    """A commit stays under 6 MB, also with the longest ids there may be."""
    packer, added = Packer(500), 0
    while not packer.is_full:
        packer.add(SLOTS[added % 288], f"{added:04}" + LONGEST_ID[2:], SNAPSHOT)
        added += 1

    batches = packer.drain()
    id_bytes = sum(len(user_id.encode()) for batch in batches for user_id in batch.user_ids)
    size = id_bytes + sum(len(batch.snapshots) for batch in batches)
    indexed = id_bytes + added * packing.INDEX_ENTRY_BYTES
    assert size < 6_000_000
    assert 0.9 * packing.TRANSACTION_BYTES_MAX < size + indexed < 10 * 2**20
    assert len(batches) < packing.FLUSH_JOBS_MAX


@pytest.mark.parametrize("bound", [{"flush_jobs_max": 1}, {"flush_bytes_max": 1}], ids=["jobs", "bytes"])
def test_an_empty_packer_is_not_full(bound):
    """Nor is one that has just been drained."""
    packer = Packer(300, **bound)
    assert not packer.is_full

    packer.add(SLOTS[0], "ann", SNAPSHOT)

    assert packer.is_full
    assert len(packer.drain()) == 1
    assert not packer.is_full


@pytest.mark.parametrize("user_id", ["u" * 28, LONGEST_ID], ids=["short", "longest"])
def test_a_job_stays_under_its_bytes(user_id):
    """Long ids make smaller jobs; ids as they usually are don't."""
    users = [(SLOTS[0], f"{number:03}{user_id[3:]}", SNAPSHOT) for number in range(500)]

    (batches,) = packed(Packer(500), users)

    assert max(settled_bytes(batch) for batch in batches) <= packing.JOB_BYTES_MAX
    assert (len(batches) == 1) == (len(user_id) == 28)
    # … and no smaller than they have to be.
    assert all(settled_bytes(batch) > 0.98 * packing.JOB_BYTES_MAX for batch in batches[:-1])


@given(st.lists(snapshots))
def test_snapshots_come_back_as_they_were(many):
    """To the nanosecond and the last digit; whole and fractional balances stay apart."""
    back = unpack_snapshots(f"[{','.join(map(pack_snapshot, many))}]")

    assert tuple(many) == back
    assert [type(snapshot.balance) for snapshot in many] == [type(snapshot.balance) for snapshot in back]


@pytest.mark.parametrize("balance", [5, 5.0, -0.0, 0, 0.1, 1e22, 5e-324, 2**63 - 1, -(2**63)])
def test_a_balance_comes_back_with_its_type(balance):
    """5 is not 5.0 in Firestore."""
    (back,) = unpack_snapshots(f"[{pack_snapshot(Snapshot(1, balance, None, None, date(2026, 1, 31)))}]")

    assert repr(balance) == repr(back.balance)


def test_a_snapshot_is_small():
    """It is stored a hundred thousand times a day."""
    assert pack_snapshot(SNAPSHOT) == '[1790000000123456789,10,null,null,"2026-01-31"]'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        "{",
        '"abcde"',
        '["abcde"]',
        '{"abcde": 1}',
        "[5]",
        "[null]",
        "[[]]",
        '[[1,10,null,null,"2026-01-31",0]]',
        "[[1,10,null,null]]",
        "[[1,10,null,null,null]]",
        "[[1,10,null,null,20260131]]",
        '[[1,10,null,null,"31 January"]]',
        '[[1,10,null,20260131,"2026-01-31"]]',
        '[[1,10,["pro"],null,"2026-01-31"]]',
        '[[1,"10",null,null,"2026-01-31"]]',
        '[[1,true,null,null,"2026-01-31"]]',
        '[["1",10,null,null,"2026-01-31"]]',
        '[[1.5,10,null,null,"2026-01-31"]]',
        '[[1e400,10,null,null,"2026-01-31"]]',
        '[[NaN,10,null,null,"2026-01-31"]]',
        '[[true,10,null,null,"2026-01-31"]]',
        '[[-1,10,null,null,"2026-01-31"]]',
        '[[9223372036854775808,10,null,null,"2026-01-31"]]',
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_array_of_snapshots_is_a_value_error(text):
    """An unreadable job fails alone, whatever it carries."""
    with pytest.raises(ValueError, match=r"."):
        unpack_snapshots(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(anything)
def test_any_json_is_an_array_of_snapshots_or_a_value_error(value):
    """There is no third way out."""
    try:
        back = unpack_snapshots(json.dumps(value))
    except ValueError:
        return

    assert all(isinstance(snapshot, Snapshot) for snapshot in back)


def test_users_late_already_have_jobs_of_their_own():
    """Those queued within half an hour of their time must not be counted with those who were forgotten."""
    packer, now = Packer(300), SLOTS[200]
    for number, minutes in enumerate([0, 29, 30, 31, 500]):
        packer.add(now, f"user-{number}", SNAPSHOT, now - timedelta(minutes=minutes))

    batches = sorted(packer.drain(), key=lambda batch: batch.due_at)

    assert [(batch.user_ids, now - batch.due_at) for batch in batches] == [
        (("user-3", "user-4"), timedelta(minutes=500)),
        (("user-0", "user-1", "user-2"), timedelta(minutes=30)),
    ]
    assert {batch.scheduled_for for batch in batches} == {now}
