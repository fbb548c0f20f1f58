"""What the monitor answers, for docs/openapi.json: each view and each action, field by field."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic.alias_generators import to_camel

from dev.openapi_schemas import (
    COUNT,
    DATE,
    FLAG,
    NUMBER,
    SHARE,
    TEXT,
    TIME,
    TIMES,
    Schema,
    list_of,
    map_of,
    nullable,
    object_of,
    one_of,
    ref,
)
from shared.core.decision import SkipReason
from shared.core.outcomes import OutcomeKind
from shared.core.runs import RunStatus, Scan
from shared.monitor.bodies import OBJECTS, Action
from shared.monitor.health import ReasonCode

SCAN = one_of(*(scan.value for scan in Scan), None)
RUN_STATUS = one_of(*(status.value for status in RunStatus))
RUN_STATUS_OF_DAY = one_of("not_started", *(status.value for status in RunStatus))
OUTCOME = one_of(*(kind.value for kind in OutcomeKind if kind is not OutcomeKind.RETRY), None)

BILL = {"reads": COUNT, "writes": COUNT, "usd": NUMBER}
RECEIPT = {
    "outcome": OUTCOME,
    "before": nullable(NUMBER),
    "after": nullable(NUMBER),
    "granted": nullable(NUMBER),
    "reason": nullable(one_of(*(reason.value for reason in SkipReason))),
    "code": nullable(TEXT),
    "error": nullable(TEXT),
}
JOB_SUMMARY = {
    "jobId": TEXT,
    "runId": nullable(TEXT),
    "status": nullable(TEXT),
    "users": COUNT,
    "refreshedUsers": COUNT,
    "skippedUsers": COUNT,
    "failedUsers": COUNT,
    "retriedUsers": COUNT,
    "attempts": COUNT,
    "processingMs": COUNT,
    "scheduledFor": nullable(TIME),
    "completedAt": nullable(TIME),
}
FAILURE = {
    "jobId": nullable(TEXT),
    "userId": nullable(TEXT),
    "code": nullable(TEXT),
    "error": nullable(TEXT),
    "timestamp": nullable(TIME),
}
HEALTH: dict[str, Schema] = {
    "status": one_of("ok", "paused", "unhealthy"),
    "reasons": list_of(
        object_of({"code": one_of(*(code.value for code in ReasonCode)), "message": TEXT}, {"runIds": list_of(DATE)})
    ),
}

# What several answers are made of.
PARTS: Mapping[str, Schema] = {
    "Bill": object_of(BILL, description="Billed reads and writes, and what they cost in dollars."),
    "Job": object_of(JOB_SUMMARY, description="A settled job by its figures."),
    "Failure": object_of(FAILURE, description="A failed user. jobId is null for one that the builder found."),
    "ActionEntry": object_of(
        {
            "kind": one_of("action"),
            "time": nullable(TIME),
            "action": nullable(TEXT),
            "actor": nullable(TEXT),
            "actorUid": nullable(TEXT),
            "reason": nullable(TEXT),
            "detail": nullable(TEXT),
            "result": nullable(TEXT),
            "failed": FLAG,
        },
        description="What an operator did, why, and with what result.",
    ),
    "JobEntry": object_of(
        {
            "kind": one_of("job"),
            "time": nullable(TIME),
            "jobId": TEXT,
            "status": nullable(TEXT),
            "users": COUNT,
            "failedUsers": COUNT,
        },
        description="A job that was settled.",
    ),
    "Health": object_of(HEALTH, description="Whether the refresh does its work, and why not."),
    "HealthAnswer": object_of(HEALTH, {"checkedAt": TIME}, "Of /health. checkedAt is there if the database answered."),
}

OVERVIEW: Mapping[str, Schema] = {
    "runId": DATE,
    "today": DATE,
    "runStatus": RUN_STATUS_OF_DAY,
    "scan": SCAN,
    "scanReason": nullable(TEXT),
    "generation": COUNT,
    "leftAloneUsers": nullable(COUNT),
    "adoptedUsers": COUNT,
    "totalJobs": COUNT,
    "pendingJobs": COUNT,
    "processingJobs": COUNT,
    "completedJobs": COUNT,
    "failedJobs": COUNT,
    "successRate": nullable(SHARE),
    "averageProcessingTime": nullable(NUMBER),
    "p95ProcessingTime": nullable(NUMBER),
    "paused": FLAG,
    "pause": nullable(
        object_of(
            {
                "by": nullable(TEXT),
                "since": nullable(TIME),
                "reason": nullable(TEXT),
                "until": nullable(TIME),
                "usersLate": COUNT,
            }
        )
    ),
    "health": nullable(ref("Health")),
    "rescanning": FLAG,
    "setup": nullable(object_of({"scheduleSeen": FLAG, "builderRan": FLAG, "workerRan": FLAG, "usersFound": FLAG})),
    "queueLagSeconds": nullable(COUNT),
    "lastRunTime": nullable(TIME),
    "nextScheduledRun": nullable(TIME),
    "builder": object_of(
        {
            "lastRun": nullable(TIME),
            "nextRun": nullable(TIME),
            "completedAt": nullable(TIME),
            "scannedUsers": COUNT,
            "queuedUsers": COUNT,
            "skippedUsers": COUNT,
            "failedUsers": COUNT,
        }
    ),
    "worker": nullable(object_of({"lastRun": nullable(TIME), "nextRun": nullable(TIME)})),
    "users": object_of({"refreshed": COUNT, "skipped": COUNT, "failed": COUNT, "pending": COUNT}),
    "hours": list_of(object_of({"hour": COUNT, "start": TIME, "planned": COUNT, "done": COUNT})),
    "plans": list_of(object_of({"plan": TEXT, "users": COUNT, "share": SHARE})),
    "usersOfUncountedPlans": COUNT,
    "failures": list_of(
        object_of(
            {
                "code": TEXT,
                "users": COUNT,
                "jobs": COUNT,
                "foundByBuilder": COUNT,
                "remedy": TEXT,
                "example": nullable(TEXT),
            }
        )
    ),
    "standingFailures": COUNT,
    "errorsByCode": map_of(COUNT),
    "errors": list_of(ref("Failure")),
    "errorsTotal": COUNT,
    "deadLetters": list_of(
        object_of(
            {
                "jobId": TEXT,
                "runId": nullable(TEXT),
                "users": COUNT,
                "failedUsers": COUNT,
                "code": nullable(TEXT),
                "codes": list_of(TEXT),
                "error": nullable(TEXT),
                "attempts": COUNT,
                "completedAt": nullable(TIME),
            }
        )
    ),
    "recentJobs": list_of(ref("Job")),
    "recentActivity": list_of({"anyOf": [ref("ActionEntry"), ref("JobEntry")]}),
    "slo": object_of(
        {
            "objective": SHARE,
            "days": COUNT,
            "withinMinutes": COUNT,
            "users": COUNT,
            "onTimeUsers": COUNT,
            "share": nullable(SHARE),
            "errorBudgetLeft": nullable(NUMBER),
        }
    ),
    "cost": object_of({**BILL, "usdPer100kUsers": nullable(NUMBER)}),
    "project": TEXT,
    "environment": nullable(TEXT),
    "usersCollection": TEXT,
    "balanceField": TEXT,
    "timezone": TEXT,
    "retentionDays": COUNT,
    "prices": object_of({"read": NUMBER, "write": NUMBER, "operations": COUNT}),
    "generatedAt": TIME,
    "cached": FLAG,
    "mayAct": FLAG,
}
USER: Mapping[str, Schema] = {
    "userId": TEXT,
    "found": FLAG,
    "balance": nullable(NUMBER),
    "plan": nullable(TEXT),
    "paused": FLAG,
    "stamp": nullable({"type": "object"}),
    "lastRefresh": nullable(TIME),
    "lastGranted": nullable(NUMBER),
    "nextRefresh": nullable(TIME),
    "problem": nullable(object_of({"code": TEXT, "message": TEXT})),
    "decision": nullable(
        object_of({"action": one_of("grant", "skip"), "reason": nullable(TEXT), "granted": nullable(NUMBER)})
    ),
    "explanation": TEXT,
    "receipts": list_of(
        object_of(
            {
                "jobId": TEXT,
                "kind": one_of("direct", "request", "signup", None),
                "runId": nullable(TEXT),
                "time": nullable(TIME),
                **RECEIPT,
            }
        )
    ),
    "receiptsFrom": DATE,
    "hasMore": FLAG,
}
OWN_TIME: Mapping[str, Schema] = {"zone": TEXT, "localDate": DATE, "zoneProblem": TEXT}
JOB: Mapping[str, Schema] = {
    **JOB_SUMMARY,
    "users": list_of(object_of({"userId": TEXT, **RECEIPT})),
    "settledUsers": COUNT,
    "kind": one_of("direct", "request", "signup", None),
    "maxAttempts": COUNT,
    "requeues": COUNT,
    "rootId": nullable(TEXT),
    "retryJobId": nullable(TEXT),
    "createdAt": nullable(TIME),
    "startedAt": nullable(TIME),
    "dueAt": nullable(TIME),
    "visibleAt": nullable(TIME),
    "cost": object_of({"reads": COUNT, "writes": COUNT}),
    "logFilter": TEXT,
}
DAYS: Mapping[str, Schema] = {
    "days": list_of(
        object_of(
            {
                "runId": DATE,
                "status": RUN_STATUS_OF_DAY,
                "scan": SCAN,
                "refreshed": COUNT,
                "skipped": COUNT,
                "failed": COUNT,
                "pending": COUNT,
                "onTimeUsers": COUNT,
                "lateUsers": COUNT,
                "deadLetters": COUNT,
                "cost": ref("Bill"),
            }
        )
    ),
    "month": object_of({"month": TEXT, "soFar": ref("Bill"), "forecast": nullable(ref("Bill"))}),
    "cached": FLAG,
}
FAILURES: Mapping[str, Schema] = {
    "runId": DATE,
    "users": list_of(object_of({**FAILURE, "since": nullable(TEXT)})),
    "cursor": nullable(TEXT),
    "unnamedUsers": COUNT,
}
REQUEUE_PREVIEW: Mapping[str, Schema] = {
    "jobs": COUNT,
    "users": COUNT,
    "checkedUsers": COUNT,
    "readyUsers": COUNT,
    "failingUsers": COUNT,
    "cost": ref("Bill"),
}
RESCAN_PREVIEW: Mapping[str, Schema] = {
    "users": COUNT,
    "isAtLeast": FLAG,
    "queuedUsersAtMost": nullable(COUNT),
    "cost": ref("Bill"),
}

# What a GET answers, by what is asked.
VIEWS: Mapping[str, Schema] = {
    "OverviewAnswer": object_of({**OVERVIEW, **TIMES}, description="Without userId, jobId and view: one day."),
    "UserAnswer": object_of(
        {**USER, **TIMES},
        OWN_TIME,
        "With userId: one user. Only who has a time zone of their own has zone and localDate.",
    ),
    "JobAnswer": object_of({**JOB, **TIMES}, description="With jobId: one job."),
    "DaysAnswer": object_of({**DAYS, **TIMES}, description="With view=days: the last thirty days."),
    "FailuresAnswer": object_of({**FAILURES, **TIMES}, description="With view=failures: failed users, page by page."),
    "ActivityAnswer": object_of(
        {"entries": list_of(ref("ActionEntry")), "cursor": nullable(TEXT), **TIMES},
        description="With view=activity: what operators did, page by page.",
    ),
    "RequeuePreviewAnswer": object_of(
        {**REQUEUE_PREVIEW, **TIMES}, description="With view=requeue-preview: what a requeue would do."
    ),
    "RescanPreviewAnswer": object_of(
        {**RESCAN_PREVIEW, **TIMES}, description="With view=rescan-preview: what a rescan would do."
    ),
}

# What a POST answers, by the action.
RESULTS: Mapping[str, Schema] = {
    "PauseAnswer": object_of(
        {"action": one_of(Action.PAUSE, Action.RESUME), "changed": FLAG, "paused": FLAG, **TIMES},
        {"userId": TEXT},
        "To pause and resume. userId is there if it was about one user.",
    ),
    "RequeueAnswer": object_of(
        {
            "action": one_of(Action.REQUEUE),
            "changed": FLAG,
            "requeuedJobs": COUNT,
            "requeuedUsers": COUNT,
            "hasMore": FLAG,
            **TIMES,
        },
        description="To requeue.",
    ),
    "RescanAnswer": object_of(
        {"action": one_of(Action.RESCAN), "changed": FLAG, "runId": DATE, "status": RUN_STATUS, **TIMES},
        description="To rescan.",
    ),
    "RefreshAnswer": object_of(
        {
            "action": one_of(Action.REFRESH),
            "totalUsers": COUNT,
            **dict.fromkeys(("processedUsers", "refreshedUsers", "skippedUsers", "failedUsers"), COUNT),
            "errors": list_of(ref("UserError")),
            "errorsTotal": COUNT,
            **TIMES,
        },
        description="To refresh.",
    ),
}

# What each parameter of a GET asks for.
PARAMETERS: Mapping[str, str] = {
    "asOf": "the clock of the call, on the emulator only",
    "view": "what is asked for beside the overview, a user and a job",
    "runId": "the day; today where none is given. Not with userId or jobId, nor with view=days or view=activity",
    "userId": "one user; without view",
    "jobId": "one job; or, with view=requeue-preview, the job that would be requeued",
    "before": "with userId: receipts before that day, as `receiptsFrom` of the last answer says",
    "code": "with view=failures or view=requeue-preview: only failures of that error code",
    "cursor": "with view=failures or view=activity: the next page, as `cursor` of the last answer says",
    "actor": "with view=activity: only what this e-mail address or uid did",
    "action": "with view=activity: only this action",
}


def action_forms() -> list[Schema]:
    """For each action what it is about, as forms of the body of which one fits."""
    return [
        {
            "properties": {"action": {"const": action.value}},
            "required": ["action", *([] if name is None else [name])],
        }
        for action, names in OBJECTS.items()
        for name in (None if each is None else to_camel(each) for each in names)
    ]
