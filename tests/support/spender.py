"""Plays the app. It spends credits under a precondition and counts what it spent."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Self

from shared.core.errors import ConflictError
from shared.store.values import WritePb, get, nanoseconds, put_nanoseconds
from tests.support.world import World


class Spender:
    """Spends single credits of random users until the block ends. `spent` counts them by user."""

    def __init__(self, world: World, user_ids: list[str], seed: int) -> None:
        self._world, self._user_ids, self._random = world, user_ids, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.spent: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            user_id = self._random.choice(self._user_ids)
            if spend(self._world, user_id):
                self.spent[user_id] += 1


def spend(world: World, user_id: str, credits_spent: int = 1) -> bool:
    """Take credits from a user in a guarded write. Returns False if the document changed in between."""
    name = f"{world.admin.documents}/users/{user_id}"
    document = world.admin.get(name)
    message = WritePb()
    message.update.name = name
    message.update.fields["credits"].integer_value = get(document.fields["credits"]) - credits_spent
    message.update_mask.field_paths.append("credits")
    put_nanoseconds(message.current_document.update_time, nanoseconds(document.update_time))
    try:
        world.admin.commit([message])
    except ConflictError:
        return False
    return True
