"""Every query of these tests is checked against firestore.indexes.json, because the emulator serves any query."""

from __future__ import annotations

import pytest

from tests.support.indexes import check_queries, deployed_indexes


@pytest.fixture(autouse=True, scope="session")
def _queries_are_served_by_the_indexes():
    with check_queries(deployed_indexes(), set()):
        yield
