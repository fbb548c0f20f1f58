"""Cost: reads and writes add up, from parts to the whole and across threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from shared.store.cost import Cost

amounts = st.lists(st.tuples(st.booleans(), st.integers(0, 500), st.integers(0, 500)))


def test_nothing_costs_nothing():
    """A new sum is zero."""
    assert (Cost().reads, Cost().writes) == (0, 0)


@given(amounts)
def test_what_a_part_costs_the_whole_costs_too(spent):
    """What a job costs is also counted for the call. What the call costs is not counted for a job."""
    call = Cost()
    job = Cost(call)
    for of_job, reads, writes in spent:
        (job if of_job else call).add(reads, writes)

    assert (call.reads, call.writes) == (sum(reads for _, reads, _ in spent), sum(writes for _, _, writes in spent))
    assert job.reads == sum(reads for of_job, reads, _ in spent if of_job)
    assert job.writes == sum(writes for of_job, _, writes in spent if of_job)


def test_threads_lose_nothing():
    """Several threads add at the same time, and no operation is missing."""
    call = Cost()
    jobs = [Cost(call) for _ in range(8)]

    def spend(job: Cost) -> None:
        for _ in range(2000):
            job.add(reads=1, writes=2)

    with ThreadPoolExecutor(8) as lanes:
        list(lanes.map(spend, jobs))

    assert (call.reads, call.writes) == (16_000, 32_000)
    assert {(job.reads, job.writes) for job in jobs} == {(2000, 4000)}
