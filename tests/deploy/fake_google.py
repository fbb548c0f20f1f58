"""A recording fake of Google's APIs, at the wire: what the deployment asks for, with the limits the real ones have.

It keeps resources by their full names, as the APIs do, whichever product they belong to.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Resource = dict[str, Any]
PROJECT_NUMBER = "123456789012"
RUNTIMES = ("python311", "python312", "python313")
RESERVED_VARIABLES = {"FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "PORT"}


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str, code: str = "INVALID_ARGUMENT") -> None:
        self.status = status
        self.body = {"error": {"code": status, "message": message, "status": code}}
        super().__init__(message)


def refuse(condition: object, message: str) -> None:
    if condition:
        raise ApiError(400, message)


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass
class Failure:
    """The next `times` requests that match fail."""

    method: str
    pattern: str
    status: int
    message: str
    times: int = 1


@dataclass
class FakeGoogle:
    """The state of one project, and everything that was asked of it."""

    project: str
    location: str = "nam5"
    resources: dict[str, Resource] = field(default_factory=dict)
    policies: dict[str, Resource] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    address: str = ""
    open_to_strangers: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    # What a test asks

    def changes(self, since: int = 0) -> list[Call]:
        """What was sent to change something; to read a policy or ask for a place to upload to is no change."""
        harmless = (":getIamPolicy", ":generateUploadUrl")
        return [call for call in self.calls[since:] if call.method != "GET" and not call.path.endswith(harmless)]

    def of_kind(self, kind: str) -> dict[str, Resource]:
        """Resources by their last name, such as all `functions`."""
        return {name.rpartition("/")[2]: each for name, each in self.resources.items() if name.split("/")[-2] == kind}

    def snapshot(self) -> dict[str, Resource]:
        return copy.deepcopy({**self.resources, **{f"policy of {name}": each for name, each in self.policies.items()}})

    def bundle(self) -> dict[str, bytes]:
        """What was uploaded last, by name."""
        with zipfile.ZipFile(io.BytesIO(self.uploads[-1])) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

    def members(self, of: str, role: str) -> set[str]:
        """Who has a role in the project or on a service."""
        bindings = self.policies.get(of, {}).get("bindings", [])
        return {member for binding in bindings if binding["role"] == role for member in binding["members"]}

    # The wire

    def answer(self, call: Call) -> Any:
        with self.lock:
            self.calls.append(call)
            for failure in self.failures:
                if failure.times and call.method == failure.method and re.search(failure.pattern, call.path):
                    failure.times -= 1
                    raise ApiError(failure.status, failure.message, "INTERNAL")
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

    def knows_account(self, email: str) -> None:
        refuse(f"projects/{self.project}/serviceAccounts/{email}" not in self.resources, f"{email} does not exist")


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
    return {"projectId": fake.project, "projectNumber": PROJECT_NUMBER, "lifecycleState": "ACTIVE", "name": "app"}


@route("POST", r"/v1/(projects/[^/:]+):getIamPolicy")
def _get_project_policy(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return fake.policies.setdefault(name, {"etag": "BwA=", "version": 1, "bindings": []})


@route("GET", r"/v1/(projects/[^/]+/locations/[^/]+/services/[^/:]+):getIamPolicy")
def _get_service_policy(fake: FakeGoogle, _: Call, name: str) -> Resource:
    if name not in fake.policies:
        raise ApiError(404, f"{name} was not found", "NOT_FOUND")
    return fake.policies[name]


@route("POST", r"/v1/(projects/.+):setIamPolicy")
def _set_policy(fake: FakeGoogle, call: Call, name: str) -> Resource:
    policy, current = call.body["policy"], fake.policies[name]
    if policy.get("etag") != current["etag"]:
        raise ApiError(409, "the policy has changed in between", "ABORTED")
    for binding in policy.get("bindings", []):
        for member in binding["members"]:
            kind, _, email = member.partition(":")
            if kind == "serviceAccount" and email.startswith("credit-refresh-"):
                fake.knows_account(email)
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
    return {}


# Functions and the services below them


@route("GET", r"/v2/(projects/[^/]+/locations/[^/]+)/functions")
def _functions(fake: FakeGoogle, _: Call, parent: str) -> Resource:
    found = fake.children(f"{parent}/functions")
    return {"functions": found} if found else {}


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
    fake.policies.setdefault(service, {"etag": "BwA=", "version": 1})
    return operation(f"{parent}/operations/create")


@route("PATCH", r"/v2/(projects/[^/]+/locations/[^/]+)/functions/([^/]+)")
def _update_function(fake: FakeGoogle, call: Call, parent: str, short_name: str) -> Resource:
    _check_function(fake, call.body)
    fake.patch(f"{parent}/functions/{short_name}", call.body, call.query["updateMask"])
    return operation(f"{parent}/operations/update")


@route("DELETE", r"/v2/(projects/[^/]+/locations/[^/]+)/functions/([^/]+)")
def _delete_function(fake: FakeGoogle, _: Call, parent: str, short_name: str) -> Resource:
    fake.get(f"{parent}/functions/{short_name}")
    del fake.resources[f"{parent}/functions/{short_name}"]
    fake.policies.pop(f"{parent}/services/{short_name}", None)
    return operation(f"{parent}/operations/delete")


@route("GET", r"/v[12]/(.*operations/[^/]+)")
def _operation(_: FakeGoogle, __: Call, name: str) -> Resource:
    return operation(name)


def _check_function(fake: FakeGoogle, function: Resource) -> None:
    build, service = function["buildConfig"], function["serviceConfig"]
    refuse(build["runtime"] not in RUNTIMES, f"{build['runtime']} is no runtime")
    refuse(not fake.uploads, "there is no source")
    fake.knows_account(service["serviceAccountEmail"])
    fake.knows_account(build["serviceAccount"].rpartition("/")[2])
    refuse(not 1 <= service["timeoutSeconds"] <= 3600, "timeout_seconds must be 1 to 3600")
    refuse(not 1 <= service["maxInstanceRequestConcurrency"] <= 1000, "concurrency must be 1 to 1000")
    refuse(not 1 <= service["maxInstanceCount"] <= 1000, "max_instance_count must be 1 to 1000")
    cpu = float(service.get("availableCpu", 1))
    refuse(service["maxInstanceRequestConcurrency"] > 1 and cpu < 1, "concurrency above 1 needs a whole CPU")
    refuse(not re.fullmatch(r"\d+[MG]i", service["availableMemory"]), "memory like 512Mi")
    reserved = RESERVED_VARIABLES & service.get("environmentVariables", {}).keys()
    refuse(reserved, f"{reserved} are reserved")
    for key, value in function.get("labels", {}).items():
        refuse(not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key), f"label {key}")
        refuse(not re.fullmatch(r"[a-z0-9_-]{0,63}", value), f"label value {value}")
    if trigger := function.get("eventTrigger"):
        fake.knows_account(trigger["serviceAccountEmail"])
        refuse(trigger["triggerRegion"] != fake.location, f"the database is in {fake.location}, not there")


@route("GET", r"/run/([^/]+)")
@route("POST", r"/run/([^/]+)")
def _call_function(fake: FakeGoogle, _: Call, short_name: str) -> Resource:
    service = next(name for name in fake.policies if name.endswith(f"/services/{short_name}"))
    if short_name in fake.open_to_strangers:
        return {}
    if "allUsers" in fake.members(service, "roles/run.invoker"):
        raise ApiError(401, "sign in", "UNAUTHENTICATED")
    raise ApiError(403, "forbidden", "PERMISSION_DENIED")


# Firestore


@route("GET", r"/v1/(projects/[^/]+/databases/[^/]+)")
def _database(fake: FakeGoogle, _: Call, name: str) -> Resource:
    return {"name": name, "locationId": fake.location, "type": "FIRESTORE_NATIVE"}


@route("GET", r"/v1/(projects/[^/]+/databases/[^/]+/collectionGroups/[^/]+/fields/[^/]+)")
def _field(fake: FakeGoogle, _: Call, name: str) -> Resource:
    inherited = {"name": name, "indexConfig": {"usesAncestorConfig": True, "indexes": []}}
    return fake.resources.get(name, inherited)


@route("PATCH", r"/v1/(projects/[^/]+/databases/[^/]+)/collectionGroups/([^/]+)/fields/([^/]+)")
def _update_field(fake: FakeGoogle, call: Call, database: str, group: str, path: str) -> Resource:
    name = f"{database}/collectionGroups/{group}/fields/{path}"
    mask = call.query.get("updateMask", "")
    refuse(mask not in ("indexConfig", "ttlConfig"), f"mask {mask}")
    stored = fake.resources.setdefault(name, {"name": name})
    value = call.body.get(mask)
    if value is None:
        stored.pop(mask, None)
        if stored.keys() == {"name"}:
            del fake.resources[name]
    elif mask == "ttlConfig":
        others = [each for each in fake.children(f"{database}/collectionGroups/{group}/fields") if "ttlConfig" in each]
        refuse([each for each in others if each is not stored], "one field a group can have TTL")
        stored["ttlConfig"] = {"state": "ACTIVE"}
    else:
        stored["indexConfig"] = {"indexes": [_index(path, each) for each in value.get("indexes", [])]}
    return operation(f"{database}/operations/field")


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
    return fake.patch(name, call.body, call.query["updateMask"])


@route("DELETE", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+)")
def _delete_job(fake: FakeGoogle, _: Call, name: str) -> Resource:
    fake.get(name)
    del fake.resources[name]
    return {}


@route("POST", r"/v1/(projects/[^/]+/locations/[^/]+/jobs/[^/:]+):run")
def _run_job(fake: FakeGoogle, _: Call, name: str) -> Resource:
    job = fake.get(name)
    job["lastAttemptTime"] = f"2026-11-22T10:00:{len(fake.calls) % 60:02d}.5Z"
    job["status"] = {"code": 13} if "broken" in fake.open_to_strangers else {}
    return job


def _check_job(fake: FakeGoogle, job: Resource) -> None:
    deadline = float(job.get("attemptDeadline", "180s").removesuffix("s"))
    refuse(not 15 <= deadline <= 1800, f"attempt_deadline {deadline} must be 15 to 1800 s")
    refuse(not 0 <= int(job.get("retryConfig", {}).get("retryCount", 0)) <= 5, "retry_count must be 0 to 5")
    refuse(len(job["schedule"].split()) != 5, f"schedule {job['schedule']}")
    target = job["httpTarget"]
    refuse(not re.match(r"https?://", target["uri"]), f"uri {target['uri']}")
    fake.knows_account(target["oidcToken"]["serviceAccountEmail"])


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


@route("DELETE", r"/v[13]/(projects/[^/]+/(?:dashboards|alertPolicies)/[^/]+)")
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
    if (
        unknown := set(re.findall(r"(?:user[/_])(credit_refresh_[a-z_]+?)(?:_sum)?(?=[\\\"{])", json.dumps(call.body)))
        - known
    ):
        raise ApiError(404, f"Cannot find metric that matches type {unknown}", "NOT_FOUND")
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
    """Listen on a port of this machine; the caller shuts it down."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    fake.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
