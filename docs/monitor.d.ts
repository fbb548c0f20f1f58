/**
 * What the monitor answers to a GET and to a POST, as JSON. `make openapi` makes this file. Copy it into your project.
 *
 * Times are texts like "2026-11-22T10:00:00+00:00", days like "2026-11-22". More fields may be added at any time.
 */

/** What an operator did, why, and with what result. */
export interface ActionEntry {
  kind: "action";
  time: string | null;
  action: string | null;
  actor: string | null;
  actorUid: string | null;
  reason: string | null;
  detail: string | null;
  result: string | null;
  failed: boolean;
}

/** With view=activity: what operators did, page by page. */
export interface ActivityAnswer {
  entries: Array<ActionEntry>;
  cursor: string | null;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** Billed reads and writes, and what they cost in dollars. */
export interface Bill {
  reads: number;
  writes: number;
  usd: number;
}

/** With view=days: the last thirty days. */
export interface DaysAnswer {
  days: Array<{
    runId: string;
    status: "not_started" | "in_progress" | "completed" | "superseded";
    scan: "all" | "due" | "adopt" | null;
    refreshed: number;
    skipped: number;
    failed: number;
    pending: number;
    onTimeUsers: number;
    lateUsers: number;
    deadLetters: number;
    cost: Bill;
  }>;
  month: {
    month: string;
    soFar: Bill;
    forecast: Bill | null;
  };
  cached: boolean;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

export interface ErrorAnswer {
  error: {
    code: string;
    message: string;
    field: string | null;
  };
}

/** A failed user. jobId is null for one that the builder found. */
export interface Failure {
  jobId: string | null;
  userId: string | null;
  code: string | null;
  error: string | null;
  timestamp: string | null;
}

/** With view=failures: failed users, page by page. */
export interface FailuresAnswer {
  runId: string;
  users: Array<{
    jobId: string | null;
    userId: string | null;
    code: string | null;
    error: string | null;
    timestamp: string | null;
    since: string | null;
  }>;
  cursor: string | null;
  unnamedUsers: number;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** Whether the refresh does its work, and why not. */
export interface Health {
  status: "ok" | "paused" | "unhealthy";
  reasons: Array<{
    code: "no_worker_heartbeat" | "queue_lag" | "builder_unfinished" | "dead_letters" | "standing_failures" | "index_missing" | "proof_unavailable" | "not_proved" | "paused" | "breaker_open" | "database_unreachable" | "document_unreadable";
    message: string;
    runIds?: Array<string>;
  }>;
}

/** Of /health. checkedAt is there if the database answered. */
export interface HealthAnswer {
  status: "ok" | "paused" | "unhealthy";
  reasons: Array<{
    code: "no_worker_heartbeat" | "queue_lag" | "builder_unfinished" | "dead_letters" | "standing_failures" | "index_missing" | "proof_unavailable" | "not_proved" | "paused" | "breaker_open" | "database_unreachable" | "document_unreadable";
    message: string;
    runIds?: Array<string>;
  }>;
  checkedAt?: string;
}

/** A settled job by its figures. */
export interface Job {
  jobId: string;
  runId: string | null;
  status: string | null;
  users: number;
  refreshedUsers: number;
  skippedUsers: number;
  failedUsers: number;
  retriedUsers: number;
  attempts: number;
  processingMs: number;
  scheduledFor: string | null;
  completedAt: string | null;
}

/** With jobId: one job. */
export interface JobAnswer {
  jobId: string;
  runId: string | null;
  status: string | null;
  users: Array<{
    userId: string;
    outcome: "refreshed" | "skipped" | "failed" | null;
    before: number | null;
    after: number | null;
    granted: number | null;
    reason: "already_granted" | "full" | "paused" | "before_anchor" | "no_balance" | "deleted" | "superseded" | "adopted" | "contended" | null;
    code: string | null;
    error: string | null;
  }>;
  refreshedUsers: number;
  skippedUsers: number;
  failedUsers: number;
  retriedUsers: number;
  attempts: number;
  processingMs: number;
  scheduledFor: string | null;
  completedAt: string | null;
  settledUsers: number;
  kind: "direct" | "request" | "signup" | null;
  maxAttempts: number;
  requeues: number;
  rootId: string | null;
  retryJobId: string | null;
  createdAt: string | null;
  startedAt: string | null;
  dueAt: string | null;
  visibleAt: string | null;
  cost: {
    reads: number;
    writes: number;
  };
  logFilter: string;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** A job that was settled. */
export interface JobEntry {
  kind: "job";
  time: string | null;
  jobId: string;
  status: string | null;
  users: number;
  failedUsers: number;
}

/** Without userId, jobId and view: one day. */
export interface OverviewAnswer {
  runId: string;
  today: string;
  runStatus: "not_started" | "in_progress" | "completed" | "superseded";
  scan: "all" | "due" | "adopt" | null;
  scanReason: string | null;
  generation: number;
  leftAloneUsers: number | null;
  adoptedUsers: number;
  totalJobs: number;
  pendingJobs: number;
  processingJobs: number;
  completedJobs: number;
  failedJobs: number;
  successRate: number | null;
  averageProcessingTime: number | null;
  p95ProcessingTime: number | null;
  paused: boolean;
  pause: {
    by: string | null;
    since: string | null;
    reason: string | null;
    until: string | null;
    usersLate: number;
  } | null;
  health: Health | null;
  rescanning: boolean;
  setup: {
    scheduleSeen: boolean;
    builderRan: boolean;
    workerRan: boolean;
    usersFound: boolean;
  } | null;
  queueLagSeconds: number | null;
  lastRunTime: string | null;
  nextScheduledRun: string | null;
  builder: {
    lastRun: string | null;
    nextRun: string | null;
    completedAt: string | null;
    scannedUsers: number;
    queuedUsers: number;
    skippedUsers: number;
    failedUsers: number;
  };
  worker: {
    lastRun: string | null;
    nextRun: string | null;
  } | null;
  users: {
    refreshed: number;
    skipped: number;
    failed: number;
    pending: number;
  };
  hours: Array<{
    hour: number;
    start: string;
    planned: number;
    done: number;
  }>;
  plans: Array<{
    plan: string;
    users: number;
    share: number;
  }>;
  usersOfUncountedPlans: number;
  failures: Array<{
    code: string;
    users: number;
    jobs: number;
    foundByBuilder: number;
    remedy: string;
    example: string | null;
  }>;
  standingFailures: number;
  errorsByCode: Record<string, number>;
  errors: Array<Failure>;
  errorsTotal: number;
  deadLetters: Array<{
    jobId: string;
    runId: string | null;
    users: number;
    failedUsers: number;
    code: string | null;
    codes: Array<string>;
    error: string | null;
    attempts: number;
    completedAt: string | null;
  }>;
  recentJobs: Array<Job>;
  recentActivity: Array<ActionEntry | JobEntry>;
  slo: {
    objective: number;
    days: number;
    withinMinutes: number;
    users: number;
    onTimeUsers: number;
    share: number | null;
    errorBudgetLeft: number | null;
  };
  cost: {
    reads: number;
    writes: number;
    usd: number;
    usdPer100kUsers: number | null;
  };
  project: string;
  environment: string | null;
  usersCollection: string;
  balanceField: string;
  timezone: string;
  retentionDays: number;
  prices: {
    read: number;
    write: number;
    operations: number;
  };
  generatedAt: string;
  cached: boolean;
  mayAct: boolean;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** To pause and resume. userId is there if it was about one user. */
export interface PauseAnswer {
  action: "pause" | "resume";
  changed: boolean;
  paused: boolean;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
  userId?: string;
}

/** To refresh. */
export interface RefreshAnswer {
  action: "refresh";
  totalUsers: number;
  processedUsers: number;
  refreshedUsers: number;
  skippedUsers: number;
  failedUsers: number;
  errors: Array<UserError>;
  errorsTotal: number;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** To requeue. */
export interface RequeueAnswer {
  action: "requeue";
  changed: boolean;
  requeuedJobs: number;
  requeuedUsers: number;
  hasMore: boolean;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** With view=requeue-preview: what a requeue would do. */
export interface RequeuePreviewAnswer {
  jobs: number;
  users: number;
  checkedUsers: number;
  readyUsers: number;
  failingUsers: number;
  cost: Bill;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** To rescan. */
export interface RescanAnswer {
  action: "rescan";
  changed: boolean;
  runId: string;
  status: "in_progress" | "completed" | "superseded";
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** With view=rescan-preview: what a rescan would do. */
export interface RescanPreviewAnswer {
  users: number;
  isAtLeast: boolean;
  queuedUsersAtMost: number | null;
  cost: Bill;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
}

/** With userId: one user. Only who has a time zone of their own has zone and localDate. */
export interface UserAnswer {
  userId: string;
  found: boolean;
  balance: number | null;
  plan: string | null;
  paused: boolean;
  stamp: Record<string, unknown> | null;
  lastRefresh: string | null;
  lastGranted: number | null;
  nextRefresh: string | null;
  problem: {
    code: string;
    message: string;
  } | null;
  decision: {
    action: "grant" | "skip";
    reason: string | null;
    granted: number | null;
  } | null;
  explanation: string;
  receipts: Array<{
    jobId: string;
    kind: "direct" | "request" | "signup" | null;
    runId: string | null;
    time: string | null;
    outcome: "refreshed" | "skipped" | "failed" | null;
    before: number | null;
    after: number | null;
    granted: number | null;
    reason: "already_granted" | "full" | "paused" | "before_anchor" | "no_balance" | "deleted" | "superseded" | "adopted" | "contended" | null;
    code: string | null;
    error: string | null;
  }>;
  receiptsFrom: string;
  hasMore: boolean;
  startTime: string;
  endTime: string;
  duration: number;
  reads: number;
  writes: number;
  zone?: string;
  localDate?: string;
  zoneProblem?: string;
}

export interface UserError {
  userId: string | null;
  error: string;
  code: string;
}
