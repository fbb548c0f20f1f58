"""Costs: the reads and writes of jobs add up to those of the call, across threads too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from shared.store.cost import Cost

amounts = st.lists(st.tuples(st.booleans(), st.integers(0, 500), st.integers(0, 500)))


def test_a_new_cost_is_zero():
    assert (Cost().reads, Cost().writes) == (0, 0)


@given(amounts)
def test_the_cost_of_a_job_counts_for_its_call_too(spent):
    """The cost of the call itself does not count for a job."""
    call = Cost()
    job = Cost(call)
    for of_job, reads, writes in spent:
        (job if of_job else call).add(reads, writes)

    assert (call.reads, call.writes) == (sum(reads for _, reads, _ in spent), sum(writes for _, _, writes in spent))
    assert job.reads == sum(reads for of_job, reads, _ in spent if of_job)
    assert job.writes == sum(writes for of_job, _, writes in spent if of_job)


def test_no_operation_is_lost_between_threads():
    """Several threads add at the same time."""
    call = Cost()
    jobs = [Cost(call) for _ in range(8)]

    def spend(job: Cost) -> None:
        for _ in range(2000):
            job.add(reads=1, writes=2)

    with ThreadPoolExecutor(8) as lanes:
        list(lanes.map(spend, jobs))

    assert (call.reads, call.writes) == (16_000, 32_000)
    assert {(job.reads, job.writes) for job in jobs} == {(2000, 4000)}
