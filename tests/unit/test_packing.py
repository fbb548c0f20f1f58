"""Packing: each due user is in one job of its slot. Users, bytes and documents of a job and a flush are bounded."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import packing
from shared.core.jobs import Snapshot
from shared.core.packing import (
    CommitBatch,
    FlushLimits,
    JobDraft,
    JobTerms,
    Packer,
    SlotPosition,
    merge_slots,
    pack_snapshot,
    unpack_snapshots,
)
from tests.unit.strategies import balances, days

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
SLOTS = [MIDNIGHT + timedelta(minutes=5 * number) for number in range(288)]
SNAPSHOT = Snapshot(1_790_000_000_123_456_789, 10, None, None, date(2026, 1, 31))
LONGEST_ID = "ü" * 750

whole = st.integers(0, 2**63 - 1)
snapshots = st.builds(
    Snapshot,
    whole,
    balances,
    st.none() | st.text(),
    st.none() | days,
    st.none() | days,
    purchased=st.none() | whole | st.floats(0, 1e300),
    own_allowance=st.none() | whole,
    own_cap=st.none() | whole,
    difference=st.none() | whole,
    given_on=st.none() | days,
    paused=st.booleans(),
    adopt=st.booleans(),
    zone=st.none() | st.sampled_from(["Asia/Tokyo", "Pacific/Auckland"]),
)
due_users = st.lists(
    st.tuples(st.sampled_from(SLOTS[:5]), st.text(min_size=1, max_size=40), snapshots), max_size=30
).map(lambda drawn: [(slot, f"{number}-{name}", snapshot) for number, (slot, name, snapshot) in enumerate(drawn)])


limits = st.builds(
    FlushLimits,
    flush_users=st.integers(1, 40),
    flush_bytes=st.integers(1, 3000),
    flush_jobs=st.integers(1, 8),
    commit_jobs=st.integers(1, 6),
    commit_bytes=st.integers(1, 3000),
)


def packed(packer: Packer, users: list[tuple[datetime, str, Snapshot]]) -> list[list[CommitBatch]]:
    """The users as a builder packs them: a list of flushes, each a list of commit batches."""
    flushes = []
    for slot, user_id, snapshot in users:
        packer.add(SlotPosition(slot, user_id), snapshot)
        if packer.is_full:
            flushes.append(drained(packer))
    return [*flushes, drained(packer)]


def drained(packer: Packer) -> list[CommitBatch]:
    batches = [packer.take()]
    while not packer.is_empty:
        batches.append(packer.take())
    return batches


def drafts_of(flushes: list[list[CommitBatch]]) -> list[JobDraft]:
    return [draft for batches in flushes for batch in batches for draft in batch.drafts]


def settled_bytes(draft: JobDraft) -> int:
    """The packer's estimate of how many bytes a job's users take at most, waiting or settled."""
    sizes = [len(text) for text in (pack_snapshot(snapshot) for snapshot in unpack_snapshots(draft.snapshots))]
    ids = [3 * len(user_id.encode()) for user_id in draft.user_ids]
    return sum(ids) + sum(max(packing.USER_BYTES_SETTLED, size) for size in sizes)


@given(due_users, st.integers(1, 8), limits)
def test_packing_puts_each_user_into_one_job(users, job_size, bounds):
    """This holds for any limits. The job is of the user's slot, and has the user's snapshot."""
    flushes = packed(Packer(job_size, MIDNIGHT, bounds), users)

    found = [
        (draft.scheduled_for, user_id, snapshot)
        for draft in drafts_of(flushes)
        for user_id, snapshot in zip(draft.user_ids, unpack_snapshots(draft.snapshots), strict=True)
    ]
    assert Counter(users) == Counter(found)


@given(due_users, st.integers(1, 8), limits)
def test_no_limit_is_exceeded(users, job_size, bounds):
    """No job is empty or has more than JOB_SIZE users. A flush has few enough users, and a commit few enough jobs."""
    flushes = packed(Packer(job_size, MIDNIGHT, bounds), users)

    assert all(1 <= len(draft.user_ids) <= job_size for draft in drafts_of(flushes))
    assert all(sum(batch.users for batch in batches) <= bounds.flush_users for batches in flushes)
    assert all(len(batch.drafts) <= bounds.commit_jobs for batches in flushes for batch in batches)


@given(due_users, st.integers(1, 8), limits, st.sampled_from(SLOTS[:5]))
def test_the_last_position_of_a_batch_is_that_of_its_last_user(users, job_size, bounds, now):
    """After each batch, users up to its last position are in jobs, and users behind it are not."""
    slots = {user_id: slot for slot, user_id, _ in users}
    for batches in packed(Packer(job_size, now, bounds), users):
        positions = [
            sorted(SlotPosition(slots[user_id], user_id) for draft in batch.drafts for user_id in draft.user_ids)
            for batch in batches
        ]

        assert [batch.last for batch in batches] == [batch[-1] if batch else None for batch in positions]
        assert sorted(position for batch in positions for position in batch) == [
            position for batch in positions for position in batch
        ]


@given(due_users, st.integers(1, 8))
def test_jobs_come_in_the_order_of_their_slots(users, job_size):
    """The earliest slot comes first, and a job is full before the next one of its slot begins."""
    drafts = drafts_of(packed(Packer(job_size, MIDNIGHT), users))

    slots = [draft.scheduled_for for draft in drafts]
    assert slots == sorted(slots)
    assert Counter(slots) == {
        slot: -(-count // job_size) for slot, count in Counter(slot for slot, _, _ in users).items()
    }


@given(due_users, st.integers(1, 8))
def test_users_of_past_slots_share_jobs_that_are_due_now(users, job_size):
    now = SLOTS[2]
    drafts = drafts_of(packed(Packer(job_size, now), users))

    due = Counter(max(slot, now) for slot, _, _ in users)
    assert Counter(draft.scheduled_for for draft in drafts) == {
        moment: -(-count // job_size) for moment, count in due.items()
    }


@given(due_users, st.integers(1, 8))
def test_a_drained_packer_is_empty(users, job_size):
    """It can be filled again like a new one."""
    packer = Packer(job_size, MIDNIGHT)
    packed(packer, users)

    assert packer.is_empty
    assert packer.take() == CommitBatch((), None)
    assert packed(Packer(job_size, MIDNIGHT), users) == packed(packer, users)


def test_a_job_may_have_one_user():
    """JOB_SIZE=1 gives one job document per user."""
    users = [(SLOTS[0], f"user-{number:02}", SNAPSHOT) for number in range(20)]

    drafts = drafts_of(packed(Packer(1, MIDNIGHT), users))

    assert [draft.user_ids for draft in drafts] == [(user_id,) for _, user_id, _ in users]


def test_a_flush_is_due_by_the_number_of_jobs():
    """Full and open jobs count together. Each commit of the flush stays under 450 writes."""
    packer, added = Packer(300, MIDNIGHT), 0
    while not packer.is_full:
        packer.add(SlotPosition(MIDNIGHT + timedelta(seconds=added), f"user-{added}"), SNAPSHOT)
        added += 1

    batches = drained(packer)
    assert added == packing.FLUSH_LIMITS.flush_jobs == sum(len(batch.drafts) for batch in batches)
    assert {len(batch.drafts) for batch in batches[:-1]} == {packing.FLUSH_LIMITS.commit_jobs}
    assert packing.FLUSH_LIMITS.commit_jobs < 450


def test_a_flush_is_due_by_the_number_of_users():
    """So the packer needs no more memory for more users. With the default slots its jobs are well filled."""
    packer, added = Packer(300, MIDNIGHT), 0
    while not packer.is_full:
        packer.add(SlotPosition(SLOTS[added % 288], f"{added:028}"), SNAPSHOT)
        added += 1

    jobs = sum(len(batch.drafts) for batch in drained(packer))
    assert added == packing.FLUSH_LIMITS.flush_users
    assert added / jobs > 200


@pytest.mark.parametrize("filling", ["", "u" * 23, "ü" * 747], ids=["short", "usual", "longest"])
def test_a_commit_stays_below_its_limit_of_bytes(filling):
    """Documents stay below 6 MB, and below 10 MiB with their index entries. This holds for the longest ids too."""
    packer, added = Packer(500, MIDNIGHT), 0
    while not packer.is_full:
        packer.add(SlotPosition(SLOTS[added % 288], f"{added:05}{filling}"), SNAPSHOT)
        added += 1

    commits = drained(packer)
    assert (sum(map(bytes_of, commits)) >= packing.FLUSH_LIMITS.flush_bytes) == (
        added < packing.FLUSH_LIMITS.flush_users
    )
    for batch in commits:
        assert bytes_of(batch) < 6_000_000
        assert bytes_of(batch) + index_bytes_of(batch) < 10 * 2**20
    assert min(map(bytes_of, commits[:-1])) > 0.8 * packing.FLUSH_LIMITS.commit_bytes


def bytes_of(batch: CommitBatch) -> int:
    """The bytes of a commit's ids and snapshots."""
    return sum(
        sum(len(user_id.encode()) for user_id in draft.user_ids) + len(draft.snapshots) for draft in batch.drafts
    )


def index_bytes_of(batch: CommitBatch) -> int:
    """The bytes of the index entries that a commit makes: for each user the id, the job's path, and a fixed part."""
    return sum(len(user_id.encode()) + 125 for draft in batch.drafts for user_id in draft.user_ids)


@pytest.mark.parametrize("bound", [{"flush_jobs": 1}, {"flush_users": 1}, {"flush_bytes": 1}], ids=str)
def test_an_empty_packer_is_not_full(bound):
    """It is not full after it has been drained either."""
    packer = Packer(300, MIDNIGHT, FlushLimits(**bound))
    assert not packer.is_full

    packer.add(SlotPosition(SLOTS[0], "ann"), SNAPSHOT)

    assert packer.is_full
    assert packer.take().users == 1
    assert not packer.is_full


@pytest.mark.parametrize("user_id", ["u" * 28, LONGEST_ID], ids=["short", "longest"])
def test_a_job_stays_below_its_limit_of_bytes(user_id):
    """Only very long ids make smaller jobs."""
    users = [(SLOTS[0], f"{number:03}{user_id[3:]}", SNAPSHOT) for number in range(500)]

    drafts = drafts_of(packed(Packer(500, MIDNIGHT), users))

    assert max(settled_bytes(draft) for draft in drafts) <= packing.JOB_BYTES_MAX
    assert (len(drafts) == 1) == (len(user_id) == 28)
    # no job is smaller than necessary
    assert all(settled_bytes(draft) > 0.98 * packing.JOB_BYTES_MAX for draft in drafts[:-1])


@given(st.lists(snapshots))
def test_snapshots_are_unpacked_as_they_were(many):
    """Times come unpacked to the nanosecond and balances to the last digit. 5 and 5.0 stay apart."""
    unpacked = unpack_snapshots(f"[{','.join(map(pack_snapshot, many))}]")

    assert tuple(many) == unpacked
    assert [type(snapshot.balance) for snapshot in many] == [type(snapshot.balance) for snapshot in unpacked]


def test_users_of_two_local_dates_share_no_job():
    """This holds even if their slots are the same moment."""
    packer = Packer(10, MIDNIGHT)
    today, tomorrow = None, date(2026, 11, 23)
    for number in range(4):
        packer.add(
            SlotPosition(SLOTS[5], f"user{number}"), SNAPSHOT, JobTerms(local_date=tomorrow if number % 2 else today)
        )

    drafts = packer.take().drafts

    assert {(draft.local_date, draft.user_ids) for draft in drafts} == {
        (None, ("user0", "user2")),
        (tomorrow, ("user1", "user3")),
    }


@pytest.mark.parametrize("balance", [5, 5.0, -0.0, 0, 0.1, 1e22, 5e-324, 2**63 - 1, -(2**63)])
def test_a_balance_is_unpacked_with_its_type(balance):
    """5 is not 5.0 in Firestore."""
    (unpacked,) = unpack_snapshots(f"[{pack_snapshot(Snapshot(1, balance, None, None, date(2026, 1, 31)))}]")

    assert repr(balance) == repr(unpacked.balance)


def test_a_snapshot_is_small():
    """It is stored a hundred thousand times a day."""
    assert pack_snapshot(SNAPSHOT) == '[1790000000123456789,10,null,null,"2026-01-31",{}]'


def test_what_few_users_have_is_packed_by_name():
    """It takes no room in the snapshots of other users."""
    snapshot = replace(
        SNAPSHOT,
        purchased=500.5,
        own_allowance=1000,
        own_cap=2000,
        difference=0,
        given_on=date(2026, 11, 22),
        paused=True,
        adopt=True,
    )

    assert pack_snapshot(snapshot).endswith(
        ',{"bought":500.5,"allowance":1000,"cap":2000,"difference":0,"given":"2026-11-22","paused":true,"adopt":true}]'
    )


def test_snapshots_of_an_older_format_are_not_used():
    """They lack what a decision needs now, so the worker reads their users again."""
    older = '[1,10,null,null,"2026-01-31"],[2,0.5,"pro","2026-11-22","2026-01-31"]'

    assert unpack_snapshots(f"[{older},null,{pack_snapshot(SNAPSHOT)}]") == (None, None, None, SNAPSHOT)


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
        "[[]]",
        '[[1,10,null,null,"2026-01-31",0]]',
        '[[1,10,null,null,"2026-01-31",null]]',
        '[[1,10,null,null,"2026-01-31",{},{}]]',
        "[[1,10,null,null]]",
        "[[1,10,null,null,20260131,{}]]",
        '[[1,10,null,null,"31 January",{}]]',
        '[[1,10,null,20260131,"2026-01-31",{}]]',
        '[[1,10,["pro"],null,"2026-01-31",{}]]',
        '[[1,"10",null,null,"2026-01-31",{}]]',
        '[[1,true,null,null,"2026-01-31",{}]]',
        '[[1,NaN,null,null,"2026-01-31",{}]]',
        '[[1,1e400,null,null,"2026-01-31",{}]]',
        '[["1",10,null,null,"2026-01-31",{}]]',
        '[[1.5,10,null,null,"2026-01-31",{}]]',
        '[[1e400,10,null,null,"2026-01-31",{}]]',
        '[[NaN,10,null,null,"2026-01-31",{}]]',
        '[[true,10,null,null,"2026-01-31",{}]]',
        '[[-1,10,null,null,"2026-01-31",{}]]',
        '[[9223372036854775808,10,null,null,"2026-01-31",{}]]',
        '[[1,10,null,null,"2026-01-31",{"bonus":1}]]',
        '[[1,10,null,null,"2026-01-31",{"bought":-1}]]',
        '[[1,10,null,null,"2026-01-31",{"bought":"1"}]]',
        '[[1,10,null,null,"2026-01-31",{"bought":NaN}]]',
        '[[1,10,null,null,"2026-01-31",{"bought":null}]]',
        '[[1,10,null,null,"2026-01-31",{"allowance":1.5}]]',
        '[[1,10,null,null,"2026-01-31",{"allowance":-1}]]',
        '[[1,10,null,null,"2026-01-31",{"cap":true}]]',
        '[[1,10,null,null,"2026-01-31",{"difference":-1}]]',
        '[[1,10,null,null,"2026-01-31",{"difference":9223372036854775808}]]',
        '[[1,10,null,null,"2026-01-31",{"given":"soon"}]]',
        '[[1,10,null,null,"2026-01-31",{"given":20260131}]]',
        '[[1,10,null,null,"2026-01-31",{"paused":1}]]',
        '[[1,10,null,null,"2026-01-31",{"adopt":false}]]',
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
    ids=lambda text: text[:40],
)
def test_a_text_that_is_no_array_of_snapshots_raises_value_error(text):
    """So only this job fails."""
    with pytest.raises(ValueError, match=r"."):
        unpack_snapshots(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(anything)
def test_any_json_is_unpacked_or_raises_value_error(value):
    """There is no other exception."""
    try:
        unpacked = unpack_snapshots(json.dumps(value))
    except ValueError:
        return

    assert all(snapshot is None or isinstance(snapshot, Snapshot) for snapshot in unpacked)


def test_users_who_are_late_share_no_job_with_others():
    """Users who are queued within half an hour of their time still count as on time."""
    now = SLOTS[200]
    packer = Packer(300, now)
    for number, minutes in enumerate([0, 29, 30, 31, 500]):
        packer.add(SlotPosition(SLOTS[0], f"user-{number}"), SNAPSHOT, JobTerms(now - timedelta(minutes=minutes)))

    drafts = sorted(packer.take().drafts, key=lambda draft: draft.due_at)

    assert [(draft.user_ids, now - draft.due_at) for draft in drafts] == [
        (("user-3", "user-4"), timedelta(minutes=500)),
        (("user-0", "user-1", "user-2"), timedelta(minutes=30)),
    ]
    assert {draft.scheduled_for for draft in drafts} == {now}


def at(minutes: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("users", "put_off", "times"),
    [
        ({0: 3, 5: 3}, 0, {0: 0, 5: 5}),
        ({0: 3, 5: 3}, 5, {0: 5, 5: 5}),
        ({0: 3, 5: 3, 10: 3}, 5, {0: 5, 5: 5, 10: 10}),
        ({0: 3, 20: 3}, 10, {0: 0, 20: 20}),
        ({0: 300, 5: 3, 10: 3}, 60, {0: 0, 5: 10, 10: 10}),
        ({0: 3, 5: 500, 10: 3}, 60, {0: 5, 5: 5, 10: 10}),
        ({0: 200, 5: 100, 10: 3}, 60, {0: 5, 5: 5, 10: 10}),
        ({}, 60, {}),
    ],
)
def test_thinly_filled_slots_share_a_job(users, put_off, times):
    """Slots are merged until they fill a job, or until the first of them would be put off too far."""
    merged = merge_slots({at(slot): number for slot, number in users.items()}, 300, timedelta(minutes=put_off))

    assert merged == {at(slot): at(time) for slot, time in times.items()}


@given(st.dictionaries(st.integers(0, 287), st.integers(1, 400)), st.integers(0, 1440))
def test_nobody_is_put_off_too_far_or_refreshed_before_their_slot(users, put_off):
    """This holds for any number of users in the slots."""
    slots = {at(5 * slot): number for slot, number in sorted(users.items())}
    merged = merge_slots(slots, 300, timedelta(minutes=put_off))

    assert list(merged) == list(slots)
    assert all(timedelta() <= time - slot <= timedelta(minutes=put_off) for slot, time in merged.items())
    assert list(merged.values()) == sorted(merged.values())


def test_users_who_are_put_off_are_on_time():
    """They are put off on purpose, so lateness counts from the moment when their job is due."""
    packer = Packer(300, MIDNIGHT, put_off=timedelta(minutes=60))
    packer.add(SlotPosition(at(0), "ann"), SNAPSHOT)
    packer.add(SlotPosition(at(50), "bob"), SNAPSHOT)

    (draft,) = packer.take().drafts

    assert (draft.user_ids, draft.scheduled_for, draft.due_at) == (("ann", "bob"), at(50), at(50))
