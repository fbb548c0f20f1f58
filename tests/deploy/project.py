"""A project with an app on the fake, and methods that run the deployment's scripts on it with the real gcloud."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests.deploy.fake_google import FakeGoogle, serve

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROJECT = "live-app-123"
REGION = "us-central1"
PRODUCTS = [
    *("CLOUDSCHEDULER", "CLOUDFUNCTIONS", "RUN", "CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "MONITORING", "LOGGING"),
    *("FIRESTORE", "IAM", "EVENTARC", "CLOUDBUILD", "ARTIFACTREGISTRY", "STORAGE", "PUBSUB"),
]
# The APIs that the app uses.
ENABLED = [
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "firestore",
    "iam",
    "logging",
    "monitoring",
    "run",
]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "node_modules")
SECONDS_MAX = 600  # for a busy machine; normally it takes half a minute


@dataclass(frozen=True)
class Ended:
    """The exit code of a command and its output, standard error included."""

    code: int
    output: str


@dataclass(frozen=True)
class Project:
    """The fake, a copy of the bundle to deploy from, and gcloud's configuration."""

    fake: FakeGoogle
    bundle: Path
    config: Path
    tools: Path

    def run(self, script: str, *options: str) -> Ended:
        """Run one of the deployment's scripts on this project."""
        return self._run(["bash", str(self.bundle / "deploy" / script), PROJECT, *options])

    def step(self, name: str) -> Ended:
        """Run one step alone, without the requests with which every deployment begins."""
        state = self.config / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        words = [
            f"python3 -m deploy.check --project={PROJECT} --env-file=deploy/settings.env --write={state}",
            f"source {state}/setup.sh",
            f"export STATE={state} PROJECT={PROJECT} REGION={REGION} DATABASE_LOCATION=nam5 DATABASE_EDITION=STANDARD",
            'source deploy/lib.sh; BEFORE_APIS=1; read_functions; BEFORE_APIS=""' if name > "50" else "true",
            f"exec bash deploy/steps/{name}.sh",
        ]
        return self._run(["bash", "-ec", "; ".join(words)])

    def check(self) -> Ended:
        """Run the check with which every script begins."""
        options = [f"--project={PROJECT}", "--env-file=deploy/settings.env", f"--write={self.config}"]
        return self._run([sys.executable, "-m", "deploy.check", *options])

    def _run(self, command: list[str]) -> Ended:
        process = subprocess.Popen(
            command,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.bundle,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with all its child processes
            process.communicate()
            raise
        return Ended(process.returncode, output)

    def deploy(self, *options: str) -> Ended:
        ended = self.run("deploy.sh", *options)
        assert ended.code == 0, ended.output
        return ended

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.bundle / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def _environ(self) -> dict[str, str]:
        """The environment of a command. It lacks the developer's own settings, and every API call goes to the fake."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("CLOUDSDK_", "GOOGLE_"))}
        environ |= {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{self.fake.address}/" for name in PRODUCTS}
        return {
            **environ,
            "CLOUDSDK_CONFIG": str(self.config),
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(self.config / "token"),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "PATH": os.pathsep.join([str(self.tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "TMPDIR": str(self.config),
            # gcloud calls Cloud Run at us-central1-127.0.0.1. This host does not exist, so the fake is its proxy.
            "CLOUDSDK_PROXY_TYPE": "http",
            "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
            "CLOUDSDK_PROXY_PORT": self.fake.address.rpartition(":")[2],
            "NO_PROXY": "127.0.0.1",
            "PATIENCE_SECONDS": "1",
            "PATIENCE_SECONDS_MAX": "5",
        }


@lru_cache(maxsize=1)
def installed_gcloud() -> tuple[str, str]:
    """The Python that the real gcloud uses, and gcloud's folder."""
    if shutil.which("gcloud") is None:
        raise RuntimeError(
            "gcloud is not on PATH; these tests run the real one: https://cloud.google.com/sdk/docs/install"
        )
    words = ["gcloud", "info", "--format=value[separator=' '](basic.python_location, installation.sdk_root)"]
    python, root = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100).stdout.split()
    return python, root


@contextmanager
def tools_on_path(folder: Path) -> Iterator[Path]:
    """Make a folder with a `gcloud` and a `python3` that start quickly."""
    python, root = installed_gcloud()
    with (
        _server(folder, "gcloud", [python], [root], CALLED),
        _server(folder, "modules", [sys.executable], [], CALLED_MODULE),
    ):
        (folder / "modules").rename(folder / "python3")
        yield folder


# Scripts that call the client with a socket. The second server runs only modules of deploy.
CALLED = '#!/bin/sh\nexec "{python}" -ISE "{client}" "{socket}" "$@"\n'
CALLED_MODULE = (
    '#!/bin/sh\ncase "$1 $2" in\n"-m deploy."*) exec "{python}" -ISE "{client}" "{socket}" "$@" ;;\nesac\n'
    'exec "{python}" "$@"\n'
)


@contextmanager
def _server(folder: Path, kind: str, python: list[str], rest: list[str], script: str) -> Iterator[None]:
    address = folder / f"{kind}.socket"
    command = [*python, str(HERE / "fork_server.py"), str(address), kind, *rest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
            called = folder / kind
            called.write_text(script.format(python=sys.executable, client=HERE / "fork_client.py", socket=address))
            called.chmod(0o755)
            yield
        finally:
            server.kill()


@contextmanager
def project(folder: Path, tools: Path, *, app: bool = True) -> Iterator[Project]:
    """A project with an app in it. Without `app` not even an API is enabled."""
    fake = FakeGoogle(PROJECT)
    server = serve(fake)
    config = folder / "gcloud"
    config.mkdir(parents=True)
    (config / "token").write_text("ya29.made-up")
    bundle = folder / "bundle"
    shutil.copytree(ROOT, bundle, ignore=LEFT_OUT)
    if app:
        add_app(fake)
    try:
        yield Project(fake, bundle, config, tools)
    finally:
        server.shutdown()
        server.server_close()


def add_app(fake: FakeGoogle) -> None:
    """Add the app's resources. Some have names like ours."""
    here, there = f"projects/{PROJECT}", f"projects/{PROJECT}/locations/{REGION}"
    account = f"app@{PROJECT}.iam.gserviceaccount.com"
    fake.create(f"{here}/serviceAccounts/{account}", {"email": account})
    for product in ENABLED:
        fake.create(f"{here}/services/{product}.googleapis.com", {"config": {"name": f"{product}.googleapis.com"}})
    fake.policies[here] = {
        "etag": "BwA=",
        "version": 1,
        "bindings": [
            {"role": "roles/owner", "members": ["user:owner@example.com"]},
            {"role": "roles/datastore.user", "members": [f"serviceAccount:{account}"]},
        ],
    }
    fake.create(
        f"{there}/functions/app-api",
        {"state": "ACTIVE", "environment": "GEN_2", "labels": {"team": "app"}, "serviceConfig": {"uri": "https://app"}},
    )
    fake.create(
        f"{there}/jobs/credit-refresh-report",
        {"description": "the app's own", "schedule": "0 8 * * *", "httpTarget": {"uri": "https://app/report"}},
    )
    fake.create(
        f"{here}/databases/(default)/collectionGroups/users/fields/email",
        {
            "indexConfig": {
                "indexes": [{"queryScope": "COLLECTION", "fields": [{"fieldPath": "email", "order": "ASCENDING"}]}]
            }
        },
    )
    fake.create(f"{here}/metrics/signups", {"filter": 'jsonPayload.event="signup"'})
    fake.create(f"{here}/dashboards/app", {"displayName": "App", "etag": "a1"})
    fake.create(f"{here}/alertPolicies/app", {"displayName": "App is down", "userLabels": {"team": "app"}})
