"""The fixtures that an app's conftest.py needs: Credit Refresh beside the app, and the app's own client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from tests.app.local_credit_refresh import CreditRefresh, running_credit_refresh


@pytest.fixture(scope="module")
def credit_refresh(tmp_path_factory, worker_id) -> Iterator[CreditRefresh]:
    """Credit Refresh in a project of its own, so that parallel tests don't share data."""
    project = f"demo-app-{worker_id}-{tmp_path_factory.mktemp('app').name}"
    with running_credit_refresh(GOOGLE_CLOUD_PROJECT=project) as found:
        yield found


@pytest.fixture(scope="module")
def database(credit_refresh) -> Iterator[firestore.Client]:
    """The app's Firestore client."""
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("FIRESTORE_EMULATOR_HOST", credit_refresh.emulator_host)
        client = firestore.Client(project=credit_refresh.project, credentials=AnonymousCredentials())
    yield client
    client.close()
