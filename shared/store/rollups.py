"""Roll-ups: what a run's settled jobs add up to, sharded so that no document is written too often.

They are bare increments, safe only because each rides in the Commit that ends its job: the guard of that job lets
the whole Commit through once.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from shared.core.jobs import Job, JobStatus
from shared.store.values import WritePb, put
from shared.store.wire import Wire

SHARDS = 16  # a document bears about a write a second; a view reads them all


def rollup_write(wire: Wire, runs_collection: str, job: Job, figures: Mapping[str, int]) -> Any:
    """The write that adds a settled job's figures to its shard of the run's roll-up."""
    shard = zlib.crc32(job.job_id.encode()) % SHARDS
    message = WritePb()
    message.update.name = f"{wire.documents}/{runs_collection}/{job.run_id}/rollups/{shard}"
    message.update_mask.SetInParent()
    ended = "failedJobs" if job.status is JobStatus.FAILED else "completedJobs"
    for name, amount in {**figures, ended: 1}.items():
        if amount:
            transform = message.update_transforms.add()
            transform.field_path = name
            put(transform.increment, amount)
    return message
