"""Roll-ups: sums over a run's settled jobs, in several shards so that no document is written too often.

They are changed by increments. That is safe only because each increment is part of the Commit that settles or requeues
its job. The precondition of the job lets this Commit succeed once.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from shared.core.figures import Rollup
from shared.store.messages import new_query
from shared.store.values import WritePb, get_fields, put
from shared.store.wire import Wire

SHARDS = 8  # a view reads all of them; a document takes one write a second, and more for a short time


class RollupStore:
    """The roll-ups below the runs."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._runs = f"{wire.documents}/{prefix}_runs"

    def total(self, run_id: str, read_time_ns: int | None = None) -> Rollup:
        """The sum of the run's shards, now or at a moment. Costs a read for each shard, at least one."""
        wanted = new_query("rollups", SHARDS)
        found = self._wire.run_query(f"{self._runs}/{run_id}", wanted, _fields_of, read_time_ns)
        return Rollup.of(found)

    def totals(self, run_ids: Sequence[str]) -> dict[str, Rollup]:
        """The roll-ups of several runs in one call. Costs a read a shard, whether it is there or not."""
        names = {run_id: [f"{self._runs}/{run_id}/rollups/{shard}" for shard in range(SHARDS)] for run_id in run_ids}
        found = self._wire.batch_get(list(chain.from_iterable(names.values())), ())
        return {
            run_id: Rollup.of([get_fields(found[name].fields) for name in of_run if name in found])
            for run_id, of_run in names.items()
        }

    def write(self, run_id: str, job_id: str, increments: Mapping[str, int], *, one_shard: bool = False) -> Any:
        """The write that adds to the job's shard of the run's roll-up; amounts by field path.

        `one_shard`: the run has few jobs, so one document is enough and is cheaper to read.
        """
        shard = 0 if one_shard else zlib.crc32(job_id.encode()) % SHARDS
        message = WritePb()
        message.update.name = f"{self._runs}/{run_id}/rollups/{shard}"
        message.update_mask.SetInParent()
        for path, amount in increments.items():
            if amount:
                transform = message.update_transforms.add()
                transform.field_path = path
                put(transform.increment, amount)
        return message


def _fields_of(document: Any) -> dict[str, Any]:
    return get_fields(document.fields)
