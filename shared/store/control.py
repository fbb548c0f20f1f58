"""Control: the one switch an operator has over builder and worker."""

from __future__ import annotations

from shared.store.values import get
from shared.store.wire import Wire


class ControlStore:
    """The document `control/state` through one call's wire."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self._wire = wire
        self._name = f"{wire.documents}/{prefix}_control/state"

    def is_paused(self) -> bool:
        """Anything set there but false or null pauses: a slip of the operator's hand stops rather than starts."""
        document = self._wire.batch_get([self._name], ["paused"]).get(self._name)
        if document is None or "paused" not in document.fields:
            return False
        return get(document.fields["paused"]) not in (False, None)
