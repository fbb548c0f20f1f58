"""Every query of every test here is held against firestore.indexes.json: the emulator would let any pass."""

from __future__ import annotations

import pytest

from tests.support.indexes import deployed, watched


@pytest.fixture(autouse=True, scope="session")
def _queries_are_served_by_the_indexes():
    with watched(deployed(), set()):
        yield
