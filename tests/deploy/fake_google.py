"""A fake of Google's APIs over HTTP. It records all calls and has the limits of the real APIs.

It keeps the resources of all products in one mapping, by their full names.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

Resource = dict[str, Any]
PROJECT_NUMBER = "123456789012"
RUNTIMES = ("python311", "python312", "python313")
QUESTIONS = (
    *(":getIamPolicy", ":testIamPermissions", ":getEffectiveOrgPolicy", "/entries:list", ":generateUploadUrl"),
    "/upload",  # an upload into a bucket of Google, which alone changes nothing in the project
)
RESERVED_VARIABLES = {"FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "PORT"}


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str, code: str = "INVALID_ARGUMENT", details: Any = ()) -> None:
        self.status = status
        error = {"code": status, "message": message, "status": code, **({"details": list(details)} if details else {})}
        self.body = {"error": error}
        super().__init__(message)


def refuse(condition: object, message: str) -> None:
    if condition:
        raise ApiError(400, message)


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]

    @property
    def is_change(self) -> bool:
        return self.method != "GET" and not self.path.endswith(QUESTIONS)


@dataclass
class Failure:
    """A failure of the next `times` requests that match. `in_operation`: the request succeeds, its operation fails."""

    method: str
    pattern: str
    status: int
    message: str
    times: int = 1
    code: str = "INTERNAL"
    in_operation: bool = False
    after: int = 0  # so many matching requests succeed before
    done: bool = False  # the request takes effect, only its answer is a failure

    def takes(self, call: Call) -> bool:
        if not self.times or call.method != self.method:
            return False
        if not any(re.search(self.pattern, each) for each in (call.path, f"{call.path}?{urlencode(call.query)}")):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class FakeGoogle:
    """The state of one project, and all calls."""

    project: str
    location: str = "nam5"
    edition: str = "STANDARD"
    database_type: str = "FIRESTORE_NATIVE"
    created: str = "2025-03-01T00:00:00Z"
    org_policies: dict[str, Resource] = field(default_factory=dict)
    permissions_missing: set[str] = field(default_factory=set)
    milli_cpu_quota: int = 20_000  # of the region; most projects have this one
    operations: dict[str, Resource] = field(default_factory=dict)
    log_entries: list[Resource] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    policies: dict[str, Resource] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    address: str = ""
    unchecked: set[str] = field(default_factory=set)  # services whose invoker check is off
    open_to_strangers: set[str] = field(default_factory=set)
    kept: list[Any] | None = None  # the state before each change, if a test sets this to a list
    lock: threading.RLock = field(default_factory=threading.RLock)

    # For tests

    def changes(self, since: int = 0) -> list[Call]:
        """Calls that change something. Some POST requests only read, or ask where to upload."""
        return [call for call in self.calls[since:] if call.is_change]

    def of_kind(self, kind: str) -> dict[str, Resource]:
        """Resources of a kind by the last part of their name, such as all `functions`."""
        return {name.rpartition("/")[2]: each for name, each in self.resources.items() if name.split("/")[-2] == kind}

    def snapshot(self) -> dict[str, Resource]:
        return copy.deepcopy({**self.resources, **{f"policy of {name}": each for name, each in self.policies.items()}})

    def restore(self, kept: tuple[dict[str, Resource], dict[str, Resource]]) -> None:
        """Go back to a state that `copy_state` returned."""
        self.resources, self.policies = copy.deepcopy(kept)

    def copy_state(self) -> tuple[dict[str, Resource], dict[str, Resource]]:
        return copy.deepcopy((self.resources, self.policies))

    def bundle(self) -> dict[str, bytes]:
        """The files of the last upload, by name."""
        with zipfile.ZipFile(io.BytesIO(self.uploads[-1])) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

    def members(self, of: str, role: str) -> set[str]:
        """The members that have a role in the project or on a service."""
        bindings = self.policies.get(of, {}).get("bindings", [])
        return {member for binding in bindings if binding["role"] == role for member in binding["members"]}

    def log(self, service: str, time: datetime, fields: Resource) -> None:
        """Write a line into the log of a service."""
        stamp = time.isoformat().replace("+00:00", "Z")
        labels = {"service_name": service}
        resource = {"type": "cloud_run_revision", "labels": labels}
        self.log_entries.append({"timestamp": stamp, "resource": resource, "jsonPayload": fields})

    # Answers

    def answer(self, call: Call) -> Any:
        with self.lock:
            self.calls.append(call)
            if self.kept is not None and call.is_change:
                self.kept.append(self.copy_state())
            self.check_enabled(call.path)
            failure = next((each for each in self.failures if not each.in_operation and each.takes(call)), None)
            answer = self.handle(call) if failure is None or failure.done else None
            if failure is not None:
                raise ApiError(failure.status, failure.message, failure.code)
            return answer

    def handle(self, call: Call) -> Any:
        for method, pattern, handler in ROUTES:
            if call.method == method and (found := re.fullmatch(pattern, call.path)):
                return handler(self, call, *found.groups())
        raise ApiError(404, f"{call.method} {call.path} was not found", "NOT_FOUND")

    def get(self, name: str) -> Resource:
        if name not in self.resources:
            raise ApiError(404, f"{name} was not found", "NOT_FOUND")
        return self.resources[name]

    def create(self, name: str, resource: Resource) -> Resource:
        if name in self.resources:
            raise ApiError(409, f"{name} already exists", "ALREADY_EXISTS")
        self.resources[name] = {**resource, "name": name}
        return self.resources[name]

    def children(self, parent: str) -> list[Resource]:
        return [each for name, each in self.resources.items() if name.rpartition("/")[0] == parent]

    def patch(self, name: str, changed: Resource, mask: str) -> Resource:
        resource = self.get(name)
        refuse(not mask, "update_mask is required")
        for path in mask.split(","):
            names = [re.sub(r"_(.)", lambda found: found[1].upper(), part) for part in path.split(".")]
            source: Any = changed
            target = resource
            for part in names[:-1]:
                source, target = source.get(part, {}), target.setdefault(part, {})
            if names[-1] in source:
                target[names[-1]] = source[names[-1]]
            else:
                target.pop(names[-1], None)
        return resource

    def check_account(self, email: str) -> None:
        missing = f"projects/{self.project}/serviceAccounts/{email}" not in self.resources
        refuse(missing, f"Service account {email} does not exist.")

    def check_enabled(self, path: str) -> None:
        """Raise the error of a real API that is off, if the path belongs to one that is not enabled."""
        product = next((product for pattern, product in PRODUCTS if re.match(pattern, path)), None)
        if product is None or f"projects/{self.project}/services/{product}.googleapis.com" in self.resources:
            return
        title = TITLES.get(product, product)
        raise ApiError(
            403,
            f"{title} API has not been used in project {PROJECT_NUMBER} before or it is disabled. Enable it by "
            f"visiting https://console.developers.google.com/apis/api/{product}.googleapis.com/overview"
            f"?project={PROJECT_NUMBER} then retry. If you enabled this API recently, wait a few minutes for the "
            "action to propagate to our systems and retry.",
            "PERMISSION_DENIED",
            [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "SERVICE_DISABLED",
                    "domain": "googleapis.com",
                    "metadata": {"service": f"{product}.googleapis.com", "consumer": f"projects/{PROJECT_NUMBER}"},
                }
            ],
        )

    def begin_operation(self, name: str, call: Call, response: Resource) -> Resource:
        """Begin an operation, which ends at once: with success, or with a failure of the test."""
        error = next((each for each in self.failures if each.in_operation and each.takes(call)), None)
        done = operation(name, response)
        if error is not None:
            del done["response"]
            done["error"] = {"code": error.status, "message": error.message}
        self.operations[name] = done
        return done


# The API of a path is that of the first pattern that matches. None: the API is always on.
PRODUCTS = [
    (r"/v1/projects/[^/]+/services(:|$)|/v1/operations|/v1/projects/[^/]+/services/[^/]+\.com$|/run/|/upload", None),
    (r"/v1beta1/", None),
    (r"/v2/projects/[^/]+/(metrics|entries)|/v2/entries", "logging"),
    (r"/v2/", "cloudfunctions"),
    (r"/v3/|/v1/projects/[^/]+/dashboards", "monitoring"),
    (r"/v1/projects/[^/]+/databases", "firestore"),
    (r"/v1/projects/[^/]+/serviceAccounts", "iam"),
    (r"/v1/projects/[^/]+/locations/[^/]+/jobs", "cloudscheduler"),
    (r"/v1/projects/[^/]+/locations/[^/]+/triggers", "eventarc"),
    (r"/v1/projects/[^/]+/locations/[^/]+/services|/apis/", "run"),
    (r"/v1/projects/", "cloudresourcemanager"),
]
TITLES = {
    "cloudfunctions": "Cloud Functions",
    "cloudscheduler": "Cloud Scheduler",
    "cloudresourcemanager": "Cloud Resource Manager",
    "firestore": "Cloud Firestore",
    "logging": "Cloud Logging",
    "monitoring": "Cloud Monitoring",
    "iam": "Identity and Access Management (IAM)",
    "run": "Cloud Run Admin",
    "eventarc": "Eventarc",
}

Handler = Callable[..., Any]
ROUTES: list[tuple[str, str, Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        ROUTES.append((method, pattern, handler))
        return handler

    return register


def operation(name: str, response: Resource | None = None) -> Resource:
    return {"name": name, "done": True, "metadata": {"@type": "type.googleapis.com/x"}, "response": response or {}}


# Projects, services, service accounts


@route("GET", r"/v1/projects/([^/:]+)")
def _project(fake: FakeGoogle, _: Call, project: str) -> Resource:
    if project not in (fake.project, PROJECT_NUMBER):
        raise ApiError(403, f"no permission on project {project}, or it does not exist", "PERMISSION_DENIED")
    return {
        "projectId": fake.project,
        "projectNumber": PROJECT_NUMBER,
        "lifecycleState": "ACTIVE",
        "name": "app",
        "createTime": fake.created,
    }


@route("POST", r"/v1/(projects/[^/:]+|projects/[^/]+/serviceAccounts/[^/:]+):getIamPolicy")
def _get_project_policy(fake: FakeGoogle, _: Call, name: str) -> Resource:
    name = re.sub(r"projects/-/", f"projects/{fake.project}/", name)
    if "/serviceAccounts/" in name:
        fake.get(name)
    return fake.policies.setdefault(name, {"etag": "BwA=", "version": 1, "bindings": []})


@route("POST", r"/v1/projects/[^/:]+:testIamPermissions")
def _permissions(fake: FakeGoogle, call: Call) -> Resource:
    return {"permissions": [each for each in call.body["permissions"] if each not in fake.permissions_missing]}


@route("POST", r"/v1/projects/[^/:]+:getEffectiveOrgPolicy")
def _org_policy(fake: FakeGoogle, call: Call) -> Resource:
    constraint = call.body["constraint"]
    return {"constraint": constraint, **fake.org_policies.get(constraint.removeprefix("constraints/"), {})}


@route("GET", r"/v1beta1/projects/[^/]+/services/run\.googleapis\.com/consumerQuotaMetrics")
def _quotas(fake: FakeGoogle, _: Call) -> Resource:
    buckets = [
        {"effectiveLimit": "-1"},
        {"effectiveLimit": str(fake.milli_cpu_quota), "dimensions": {"region": "us-central1"}},
    ]
    metric = {"metric": "run.googleapis.com/cpu_allocation", "consumerQuotaLimits": [{"quotaBuckets": buckets}]}
    return {"metrics": [{"metric": "run.googleapis.com/read_requests"}, metric]}


@route("GET", r"/v1/(projects/[^/]+/locations/[^/]+/services/[^/:]+):getIamPolicy")
def _get_service_policy(fake: FakeGoogle, _: Call, name: str) -> Resource:
    if name not in fake.policies:
        raise ApiError(404, f"{name} was not found", "NOT_FOUND")
    return fake.policies[name]


@route("POST", r"/v1/(projects/.+):setIamPolicy")
def _set_policy(fake: FakeGoogle, call: Call, name: str) -> Resource:
    name = re.sub(r"projects/-/", f"projects/{fake.project}/", name)
    policy, current = call.body["policy"], fake.policies[name]
    if policy.get("etag") != current["etag"]:
        raise ApiError(
            409,
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
            "ABORTED",
        )
    for binding in policy.get("bindings", []):
        refuse("condition" in binding and policy.get("version") != 3, "a policy with conditions is of version 3")
        if "allUsers" in binding["members"] and "iam.allowedPolicyMemberDomains" in fake.org_policies:
            raise ApiError(
                400,
                "One or more users named in the policy do not belong to a permitted customer, perhaps due to an "
                "organization policy.",
                "FAILED_PRECONDITION",
            )
        for member in binding["members"]:
            kind, _, email = member.partition(":")
            if kind == "serviceAccount" and re.match(r"[a-z0-9-]+-(runtime|monitor|invoker|build)@", email):
                fake.check_account(email)
    fake.policies[name] = {**policy, "etag": base64.b64encode(f"{len(fake.calls):06d}".encode()).decode()}
    return fake.policies[name]


@route("GET", r"/v1/projects/[^/]+/services")
def _services(fake: FakeGoogle, call: Call) -> Resource:
    refuse(call.query.get("filter") != "state:ENABLED", "only enabled ones are listed here")
    return {"services": list(fake.of_kind("services").values())}


@route("GET", r"/v1/(projects/[^/]+/services/[^/]+)")
def _service(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return fake.resources.get(name, {"name": name, "state": "DISABLED"})


@route("POST", r"/v1/(projects/[^/]+)/services:batchEnable")
def _enable(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    for service in call.body["serviceIds"]:
        refuse(not service.endswith(".googleapis.com"), f"{service} is no service")
        name = f"{parent}/services/{service}"
        fake.resources[name] = {"name": name, "config": {"name": service}, "state": "ENABLED"}
    return operation("operations/enable")


@route("GET", r"/v1/(projects/[^/]+)/serviceAccounts")
def _accounts(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/serviceAccounts")
    return {"accounts": found} if found else {}


@route("POST", r"/v1/(projects/[^/]+)/serviceAccounts")
def _create_account(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    account_id = call.body["accountId"]
    refuse(not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", account_id), f"{account_id}: 6 to 30 characters")
    email = f"{account_id}@{fake.project}.iam.gserviceaccount.com"
    return fake.create(f"{parent}/serviceAccounts/{email}", {**call.body.get("serviceAccount", {}), "email": email})


@route("DELETE", r"/v1/projects/[^/]+/serviceAccounts/([^/]+)")
def _delete_account(fake: FakeGoogle, _: Call, email: str) -> Resource:
    name = f"projects/{fake.project}/serviceAccounts/{email}"
    fake.get(name)
    del fake.resources[name]
    fake.policies.pop(name, None)
    return {}


@route("GET", r"/v1/projects/[^/]+/serviceAccounts/([^/]+)")
def _account(fake: FakeGoogle, _: Call, email: str) -> Resource:
    name = f"projects/{fake.project}/serviceAccounts/{email}"
    if name not in fake.resources:
        text = "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist)."
        raise ApiError(403, text, "PERMISSION_DENIED")
    return fake.resources[name]


# Functions and the services below them


@route("GET", r"/v2/(projects/[^/]+/locations/[^/]+)/functions")
def _functions(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/functions")
    return {"functions": found} if found else {}


@route("GET", r"/v2/projects/[^/]+/locations")
def _locations(_: FakeGoogle, __: Call) -> Resource:
    return {"locations": [{"locationId": name} for name in ("us-central1", "europe-west1")]}


@route("GET", r"/v2/(projects/[^/]+/locations/[^/]+/functions/[^/]+)")
def _function(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return fake.get(name)


@route("GET", r"/v2/projects/[^/]+/locations/[^/]+/runtimes")
def _runtimes(_: FakeGoogle, __: Call) -> Resource:
    return {"runtimes": [{"name": name, "environment": "GEN_2", "stage": "GA"} for name in RUNTIMES]}


@route("POST", r"/v2/(projects/[^/]+/locations/[^/]+)/functions:generateUploadUrl")
def _upload_url(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    return {
        "uploadUrl": f"{fake.address}/upload",
        "storageSource": {"bucket": "gcf-v2-uploads", "object": f"{parent.rpartition('/')[2]}.zip"},
    }


@route("PUT", r"/upload")
def _upload(fake: FakeGoogle, call: Call) -> Resource:
    fake.uploads.append(call.body)
    return {}


@route("POST", r"/v2/(projects/[^/]+/locations/[^/]+)/functions")
def _create_function(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    name = f"{parent}/functions/{call.query['functionId']}"
    _check_function(fake, call.body)
    service = f"{parent}/services/{call.query['functionId']}"
    function = fake.create(name, {**call.body, "state": "ACTIVE", "environment": "GEN_2"})
    function["serviceConfig"] |= {"uri": f"{fake.address}/run/{call.query['functionId']}", "service": service}
    if trigger := function.get("eventTrigger"):
        trigger["trigger"] = f"projects/{fake.project}/locations/{trigger['triggerRegion']}/triggers/{name[-8:]}"
    ended = fake.begin_operation(f"{parent}/operations/{len(fake.calls)}", call, {})
    if "error" in ended:
        function["state"] = "FAILED"
    else:
        fake.policies.setdefault(service, {"etag": "BwA=", "version": 1})
    return ended


@route("PATCH", r"/v2/(projects/[^/]+/locations/[^/]+)/functions/([^/]+)")
def _update_function(fake: FakeGoogle, call: Call, parent: str, short_name: str) -> Resource:
    _check_function(fake, call.body)
    function = fake.patch(f"{parent}/functions/{short_name}", call.body, call.query["updateMask"])
    service = f"{parent}/services/{short_name}"
    function["serviceConfig"] |= {"uri": f"{fake.address}/run/{short_name}", "service": service}
    function.pop("stateMessages", None)
    ended = fake.begin_operation(f"{parent}/operations/{len(fake.calls)}", call, {})
    if "error" in ended:  # the last good revision goes on serving; the new label is kept
        message = ended["error"]["message"]
        function["stateMessages"] = [{"severity": "ERROR", "type": "CloudRunServiceUpdateFailed", "message": message}]
    else:
        function["state"] = "ACTIVE"
        fake.policies.setdefault(service, {"etag": "BwA=", "version": 1})
    return ended


@route("DELETE", r"/v2/(projects/[^/]+/locations/[^/]+)/functions/([^/]+)")
def _delete_function(fake: FakeGoogle, _: Call, parent: str, short_name: str) -> Resource:
    fake.get(f"{parent}/functions/{short_name}")
    del fake.resources[f"{parent}/functions/{short_name}"]
    fake.policies.pop(f"{parent}/services/{short_name}", None)
    return operation(f"{parent}/operations/delete")


@route("GET", r"/v[12]/(.*operations/[^/]+)")
def _operation(fake: FakeGoogle, __: Call, name: str) -> Resource:
    return fake.operations.get(name, operation(name))


@route("GET", r"/v1/(projects/[^/]+/locations/[^/]+/triggers/[^/]+)")
def _trigger(fake: FakeGoogle, _: Call, name: str) -> Resource:
    known = {each.get("eventTrigger", {}).get("trigger") for each in fake.of_kind("functions").values()}
    if name not in known:
        raise ApiError(404, f"{name} was not found", "NOT_FOUND")
    return {"name": name, "conditions": {}}


def _check_function(fake: FakeGoogle, function: Resource) -> None:
    build, service = function["buildConfig"], function["serviceConfig"]
    refuse(build["runtime"] not in RUNTIMES, f"{build['runtime']} is no runtime")
    refuse(not fake.uploads, "there is no source")
    fake.check_account(service["serviceAccountEmail"])
    fake.check_account(build["serviceAccount"].rpartition("/")[2])
    refuse(not 1 <= service["timeoutSeconds"] <= 3600, "timeout_seconds must be 1 to 3600")
    refuse(not 1 <= service["maxInstanceRequestConcurrency"] <= 1000, "concurrency must be 1 to 1000")
    refuse(not 1 <= service["maxInstanceCount"] <= 1000, "max_instance_count must be 1 to 1000")
    cpu = float(service.get("availableCpu", 1))
    refuse(service["maxInstanceRequestConcurrency"] > 1 and cpu < 1, "concurrency above 1 needs a whole CPU")
    too_many = service["maxInstanceCount"] * cpu * 1000 > fake.milli_cpu_quota
    refuse(too_many, "Quota exceeded for total allowable CPU per project per region.")
    refuse("kmsKeyName" in function and "dockerRepository" not in build, "a key needs a repository with that key")
    refuse(not re.fullmatch(r"\d+[MG]i", service["availableMemory"]), "memory like 512Mi")
    reserved = RESERVED_VARIABLES & service.get("environmentVariables", {}).keys()
    refuse(reserved, f"{reserved} are reserved")
    for key, value in function.get("labels", {}).items():
        refuse(not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key), f"label {key}")
        refuse(not re.fullmatch(r"[a-z0-9_-]{0,63}", value), f"label value {value}")
    if trigger := function.get("eventTrigger"):
        fake.check_account(trigger["serviceAccountEmail"])
        refuse(service["timeoutSeconds"] > 540, "an event-driven function has at most 540 seconds")
        refuse(trigger["triggerRegion"] != fake.location, f"the database is in {fake.location}, not there")


@route("GET", r"/apis/serving\.knative\.dev/v1/namespaces/[^/]+/services")
def _services_of_run(fake: FakeGoogle, _: Call) -> Resource:
    names = [name.rpartition("/")[2] for name in fake.policies if "/services/" in name]
    return {"items": [_service_of_run(fake, _, name) for name in names], "metadata": {}}


@route("GET", r"/apis/serving\.knative\.dev/v1/namespaces/[^/]+/services/([^/]+)")
def _service_of_run(fake: FakeGoogle, _: Call, short_name: str) -> Resource:
    annotations = {"run.googleapis.com/invoker-iam-disabled": "True"} if short_name in fake.unchecked else {}
    container = {"image": "gcf-artifacts/image", "resources": {"limits": {"memory": "512Mi", "cpu": "1"}}}
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": short_name, "namespace": fake.project, "annotations": annotations, "generation": 1},
        "spec": {"template": {"metadata": {"annotations": {}}, "spec": {"containers": [container]}}},
        "status": {"conditions": [ready], "observedGeneration": 1, "latestReadyRevisionName": f"{short_name}-1"},
    }


@route("PUT", r"/apis/serving\.knative\.dev/v1/namespaces/[^/]+/services/([^/]+)")
def _replace_service_of_run(fake: FakeGoogle, call: Call, short_name: str) -> Resource:
    annotations = call.body["metadata"].get("annotations", {})
    if annotations.get("run.googleapis.com/invoker-iam-disabled") == "True":
        fake.unchecked.add(short_name)
    return _service_of_run(fake, call, short_name)


@route("GET", r"/run/([^/]+)")
@route("POST", r"/run/([^/]+)")
def _call_function(fake: FakeGoogle, _: Call, short_name: str) -> Resource:
    service = next(name for name in fake.policies if name.endswith(f"/services/{short_name}"))
    if short_name in fake.open_to_strangers:
        return {}
    if "allUsers" in fake.members(service, "roles/run.invoker") or short_name in fake.unchecked:
        raise ApiError(401, "sign in", "UNAUTHENTICATED")
    raise ApiError(403, "forbidden", "PERMISSION_DENIED")


# Firestore


@route("GET", r"/v1/(projects/[^/]+/databases/[^/]+)")
def _database(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return {
        "name": name,
        "locationId": fake.location,
        "type": fake.database_type,
        "databaseEdition": fake.edition,
        "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_DISABLED",
    }


@route("GET", r"/v1/(projects/[^/]+/databases/[^/]+/collectionGroups/[^/]+/fields/[^/]+)")
def _field(fake: FakeGoogle, _: Call, name: str) -> Resource:
    inherited = {"name": name, "indexConfig": {"usesAncestorConfig": True, "indexes": []}}
    return fake.resources.get(name, inherited)


@route("PATCH", r"/v1/(projects/[^/]+/databases/[^/]+)/collectionGroups/([^/]+)/fields/([^/]+)")
def _update_field(fake: FakeGoogle, call: Call, database: str, group: str, path: str) -> Resource:
    name = f"{database}/collectionGroups/{group}/fields/{path}"
    masks = call.query.get("updateMask", "indexConfig,ttlConfig").split(",")  # without a mask everything is changed
    refuse(set(masks) - {"indexConfig", "ttlConfig"}, f"mask {masks}")
    refuse("ttlConfig" in masks and path == "*", "Updating ttl other than single field level is not supported")
    no_exemptions = fake.edition == "ENTERPRISE" and masks != ["ttlConfig"]
    refuse(no_exemptions, "Field configuration other than TTL is not supported for this database edition.")
    for mask in masks:
        _set_field(fake, name, mask, call.body.get(mask))
    return operation(f"{database}/operations/field")


def _set_field(fake: FakeGoogle, name: str, mask: str, value: Resource | None) -> None:
    """Set a field's configuration. Without a value the field inherits it. A field that inherits all is no resource."""
    stored = fake.resources.setdefault(name, {"name": name})
    if value is None:
        stored.pop(mask, None)
        if stored.keys() == {"name"}:
            del fake.resources[name]
    elif mask == "ttlConfig":
        others = [each for each in fake.children(name.rpartition("/")[0]) if "ttlConfig" in each]
        refuse([each for each in others if each is not stored], "one field a group can have TTL")
        stored["ttlConfig"] = {"state": "ACTIVE"}
    else:
        path = name.rpartition("/")[2]
        stored["indexConfig"] = {"indexes": [_index(path, each) for each in value.get("indexes", [])]}


@route("GET", r"/v1/(projects/[^/]+/databases/[^/]+)/collectionGroups/-/(fields|indexes)")
def _fields(fake: FakeGoogle, call: Call, database: str, kind: str) -> Resource:
    """Fields with their own configuration of the kind in the filter. There are no composite indexes."""
    wanted = call.query.get("filter", "")
    kinds = [
        own for own, asked in (("indexConfig", "usesAncestorConfig"), ("ttlConfig", "ttlConfig")) if asked in wanted
    ]
    found = [
        {"indexConfig": {"usesAncestorConfig": True}, **each}
        for name, each in fake.resources.items()
        if name.startswith(f"{database}/collectionGroups/") and any(own in each for own in kinds)
    ]
    return {"fields": found} if found and kind == "fields" else {}


def _index(path: str, index: Resource) -> Resource:
    fields = [{"fieldPath": path, **each} for each in index["fields"]]
    refuse(len(fields) != 1 or not {"order", "arrayConfig"} & fields[0].keys(), "a single-field index has one field")
    return {"queryScope": index.get("queryScope", "COLLECTION"), "fields": fields, "state": "READY"}


# Cloud Scheduler


@route("GET", r"/v1/(projects/[^/]+/locations/[^/]+)/jobs")
def _jobs(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/jobs")
    return {"jobs": found} if found else {}


@route("GET", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+)")
def _job(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return fake.get(name)


@route("POST", r"/v1/(projects/[^/]+/locations/[^/]+)/jobs")
def _create_job(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    name = call.body["name"]
    refuse(not re.fullmatch(rf"{re.escape(parent)}/jobs/[a-zA-Z\d_-]{{1,500}}", name), f"job name {name}")
    _check_job(fake, call.body)
    job = fake.create(name, {**call.body, "state": "ENABLED"})
    job["retryConfig"] = {"maxBackoffDuration": "3600s", "minBackoffDuration": "5s", **job.get("retryConfig", {})}
    job["httpTarget"]["headers"] = {"User-Agent": "Google-Cloud-Scheduler", **job["httpTarget"].get("headers", {})}
    return job


@route("PATCH", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+)")
def _update_job(fake: FakeGoogle, call: Call, name: str) -> Resource:
    _check_job(fake, call.body)
    if fake.get(name)["state"] == "PAUSED":
        raise ApiError(400, "Job is paused, and can not be updated.", "FAILED_PRECONDITION")
    return fake.patch(name, call.body, call.query["updateMask"])


@route("POST", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+):(pause|resume)")
def _pause_job(fake: FakeGoogle, _: Call, name: str, verb: str) -> Resource:
    fake.get(name)["state"] = "PAUSED" if verb == "pause" else "ENABLED"
    return fake.get(name)


@route("DELETE", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+)")
def _delete_job(fake: FakeGoogle, _: Call, name: str) -> Resource:
    fake.get(name)
    del fake.resources[name]
    return {}


@route("POST", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+):run")
def _run_job(fake: FakeGoogle, _: Call, name: str) -> Resource:
    """Run a job. The answer has status -1, because the call has not ended. The function's log gets its lines now."""
    job = fake.get(name)
    now = datetime.now(UTC)
    job["lastAttemptTime"] = now.isoformat()
    job["status"] = {"code": -1}
    service = job["httpTarget"]["uri"].rpartition("/")[2]
    earlier = now - timedelta(minutes=4)  # another scheduled call, which ends meanwhile
    fake.log(service, now, {"action": "credit_refresh_worker", "startTime": earlier.isoformat(), "hasMore": False})
    if "broken" in fake.open_to_strangers:
        failed = {"action": "call_failed", "function": "credit_refresh_worker", "message": "the database refuses us"}
        fake.log(service, now + timedelta(seconds=1), failed)
    else:
        fake.log(service, now, {"action": "credit_refresh_worker", "startTime": now.isoformat(), "hasMore": False})
    return job


@route("POST", r"/v2/entries:list")
def _entries(fake: FakeGoogle, call: Call) -> Resource:
    """The log lines of one service from a time on. The filter must name both."""
    wanted = call.body["filter"]
    services = re.findall(r'resource\.labels\.service_name="([^"]+)"', wanted)
    since = re.findall(r'timestamp>="([^"]+)"', wanted)
    refuse(len(services) != 1 or len(since) != 1, "one service, from a time on")
    found = [
        each
        for each in fake.log_entries
        if each["resource"]["labels"]["service_name"] == services[0]
        and datetime.fromisoformat(each["timestamp"]) >= datetime.fromisoformat(since[0])
    ]
    return {"entries": found} if found else {}


def _check_job(fake: FakeGoogle, job: Resource) -> None:
    deadline = float(job.get("attemptDeadline", "180s").removesuffix("s"))
    refuse(not 15 <= deadline <= 1800, f"attempt_deadline {deadline} must be 15 to 1800 s")
    refuse(not 0 <= int(job.get("retryConfig", {}).get("retryCount", 0)) <= 5, "retry_count must be 0 to 5")
    refuse(len(job["schedule"].split()) != 5, f"schedule {job['schedule']}")
    target = job["httpTarget"]
    refuse(not re.match(r"https?://", target["uri"]), f"uri {target['uri']}")
    fake.check_account(target["oidcToken"]["serviceAccountEmail"])


# Logging and Monitoring


@route("GET", r"/v2/(projects/[^/]+)/metrics")
def _metrics(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = [{**each, "name": each["name"].rpartition("/")[2]} for each in fake.children(f"{parent}/metrics")]
    return {"metrics": found} if found else {}


@route("GET", r"/v2/(projects/[^/]+/metrics/[^/]+)")
def _metric(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return {**fake.get(name), "name": name.rpartition("/")[2]}


@route("POST", r"/v2/(projects/[^/]+)/metrics")
def _create_metric(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    _check_metric(call.body)
    return fake.create(f"{parent}/metrics/{call.body['name']}", call.body)


@route("PUT", r"/v2/(projects/[^/]+/metrics/[^/]+)")
def _update_metric(fake: FakeGoogle, call: Call, name: str) -> Resource:
    _check_metric(call.body)
    fake.get(name)
    fake.resources[name] = {**call.body, "name": name}
    return fake.resources[name]


@route("DELETE", r"/v2/(projects/[^/]+/metrics/[^/]+)")
def _delete_metric(fake: FakeGoogle, _: Call, name: str) -> Resource:
    fake.get(name)
    del fake.resources[name]
    return {}


def _check_metric(metric: Resource) -> None:
    refuse(not re.fullmatch(r"[\w./-]{1,100}", metric["name"]), f"metric {metric['name']}")
    refuse(not metric.get("filter"), "a metric needs a filter")
    descriptor = metric.get("metricDescriptor", {})
    labels = {label["key"] for label in descriptor.get("labels", [])}
    refuse(labels != metric.get("labelExtractors", {}).keys(), "labels and their extractors differ")
    is_distribution = descriptor.get("valueType") == "DISTRIBUTION"
    refuse(is_distribution != ("valueExtractor" in metric), "a value extractor makes a distribution")


@route("GET", r"/v1/(projects/[^/]+)/dashboards")
def _dashboards(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/dashboards")
    return {"dashboards": found} if found else {}


@route("POST", r"/v1/(projects/[^/]+)/dashboards")
def _create_dashboard(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    refuse(not call.body.get("displayName"), "a dashboard needs a name")
    return fake.create(f"{parent}/dashboards/{len(fake.calls)}", {**call.body, "etag": "e1"})


@route("PATCH", r"/v1/(projects/[^/]+/dashboards/[^/]+)")
def _update_dashboard(fake: FakeGoogle, call: Call, name: str) -> Resource:
    if call.body.get("etag") != fake.get(name)["etag"]:
        raise ApiError(409, "the dashboard has changed in between", "ABORTED")
    fake.resources[name] = {**call.body, "name": name, "etag": "e2"}
    return fake.resources[name]


@route("GET", r"/v3/(projects/[^/]+)/(notificationChannels|uptimeCheckConfigs)")
def _channels(fake: FakeGoogle, _: Call, parent: str, kind: str) -> Resource:
    found = fake.children(f"{parent}/{kind}")
    return {kind: found} if found else {}


@route("POST", r"/v3/(projects/[^/]+)/(notificationChannels|uptimeCheckConfigs)")
def _create_channel(fake: FakeGoogle, call: Call, parent: str, kind: str) -> Resource:
    refuse(not call.body.get("displayName"), "it needs a name")
    if kind == "uptimeCheckConfigs":
        refuse(call.body["period"] not in ("60s", "300s", "600s", "900s"), "a period of 1, 5, 10 or 15 minutes")
        refuse(not call.body["monitoredResource"]["labels"].get("host"), "a host to check")
    else:
        refuse("@" not in call.body["labels"].get("email_address", ""), "an e-mail channel has an address")
    return fake.create(f"{parent}/{kind}/{len(fake.calls)}", call.body)


@route("DELETE", r"/v[13]/(projects/[^/]+/(?:dashboards|alertPolicies|notificationChannels|uptimeCheckConfigs)/[^/]+)")
def _delete_monitoring(fake: FakeGoogle, _: Call, name: str) -> Resource:
    fake.get(name)
    del fake.resources[name]
    return {}


@route("GET", r"/v3/(projects/[^/]+)/alertPolicies")
def _alerts(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/alertPolicies")
    return {"alertPolicies": found} if found else {}


@route("POST", r"/v3/(projects/[^/]+)/alertPolicies")
def _create_alert(fake: FakeGoogle, call: Call, parent: str) -> Resource:
    _check_alert(call.body)
    known = fake.of_kind("metrics").keys()
    named = re.findall(r"logging[._]googleapis[._]com[/:]user[/_](\w+?)(?:_sum)?(?=[\\\"{])", json.dumps(call.body))
    if unknown := set(named) - known:
        raise ApiError(404, f"Cannot find metric(s) that match type = {unknown}", "NOT_FOUND")
    return fake.create(f"{parent}/alertPolicies/{len(fake.calls)}", call.body)


@route("PATCH", r"/v3/(projects/[^/]+/alertPolicies/[^/]+)")
def _update_alert(fake: FakeGoogle, call: Call, name: str) -> Resource:
    _check_alert(call.body)
    refuse("updateMask" in call.query, "the whole policy is replaced here")
    fake.get(name)
    fake.resources[name] = {**call.body, "name": name}
    return fake.resources[name]


def _check_alert(policy: Resource) -> None:
    refuse(not policy.get("displayName"), "a policy needs a name")
    refuse(policy.get("combiner") not in ("AND", "OR", "AND_WITH_MATCHING_RESOURCE"), "combiner")
    refuse(not policy.get("conditions"), "a policy needs conditions")
    for condition in policy["conditions"]:
        kinds = condition.keys() - {"displayName", "name"}
        refuse(len(kinds) != 1, f"one kind of condition, not {kinds}")
        if promql := condition.get("conditionPrometheusQueryLanguage"):
            # A metric does not exist for a query until a line was logged, so validation has to be off.
            unvalidated = promql.get("disableMetricValidation")
            refuse(not unvalidated, "Cannot find metric(s) that match type of the query's metric")
        if absent := condition.get("conditionAbsent"):
            refuse(not 120 <= float(absent["duration"][:-1]) <= 84_600, "absence: 2 minutes to 23.5 hours")
        for name in ("conditionAbsent", "conditionThreshold"):
            if name in condition:
                refuse("resource.type" not in condition[name]["filter"], "the filter must name a resource type")
                refuse(not condition[name].get("aggregations"), "an aggregation is needed")
                period = float(condition[name]["aggregations"][0]["alignmentPeriod"][:-1])
                refuse(period < 60 or period % 60, "alignment periods are whole minutes")


# The server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeGoogle

    def _serve(self) -> None:
        address = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in self.headers.get("Content-Type", "") and data
        call = Call(
            self.command,
            unquote(address.path),
            {name: values[0] for name, values in parse_qs(address.query).items()},
            json.loads(data) if is_json else data,
            dict(self.headers),
        )
        try:
            status, body = 200, self.fake.answer(call)
        except ApiError as exc:
            status, body = exc.status, exc.body
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def log_message(self, *_: Any) -> None:
        pass


def serve(fake: FakeGoogle) -> ThreadingHTTPServer:
    """Serve the fake on a free port. The caller has to shut the server down."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    fake.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
