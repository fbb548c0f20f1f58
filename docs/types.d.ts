/**
 * What Credit Refresh keeps in Firestore, as far as an app may read it. Copy this file into your project.
 *
 * `Timestamp` is that of your SDK: `firebase-admin/firestore`, `@google-cloud/firestore` or `firebase/firestore`. Field
 * and collection names are the defaults; settings can change them.
 */

export interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
  toDate(): Date;
}

/** A date like "2026-11-22". */
export type IsoDate = string;

/** `users/{uid}.creditRefresh`. A user who was never granted anything has few of these fields, or no stamp. */
export interface CreditRefreshStamp {
  /** The plan of the last grant. */
  plan?: string;
  /** By plan: the first day of the last period that was granted. */
  periods?: Record<string, IsoDate>;
  /** The day that periods with `anchor = "signup"` count from. */
  anchor?: IsoDate;
  /** The day of the next refresh, or "when-low" for a user who is found by balance. */
  dueOn?: IsoDate | "when-low";
  /** When the last grant was written. */
  refreshedAt?: Timestamp;
  /** When the next refresh is due. */
  nextAt?: Timestamp;
  /** How much the last grant added. */
  granted?: number;
  /** The balance before the last grant. */
  before?: number;
  /** The job of the last grant. */
  jobId?: string;
  /** With STAGGER=quiet: at which hours the user was seen active, 24 digits from 0 to z. */
  activity?: string;

  // Written by the app, or by an operator.

  /** True: this user is left out. */
  paused?: boolean;
  /** True: refresh this user with the next call of the worker. */
  refreshRequested?: boolean;
  /** This user's own allowance. */
  override?: CreditRefreshOverride;
  /** True: the next scan counts the present period as granted. */
  adopt?: boolean;
}

/** `creditRefresh.override`: for one user, on one plan. */
export interface CreditRefreshOverride {
  plan: string;
  allowance?: number;
  cap?: number;
  until?: IsoDate;
}

/** One user's entry in `receipts` of a settled job. */
export interface CreditRefreshReceipt {
  userId: string;
  outcome: "refreshed" | "skipped" | "failed";
  /** The balance before; null where nothing was granted. */
  before: number | null;
  /** The balance after; null where nothing was granted. */
  after: number | null;
  /** Why a user was skipped. */
  reason?: string;
}

/** One user's entry in `errors` of a job. */
export interface CreditRefreshError {
  userId: string;
  error: string | null;
  code: string | null;
}

/** `credit_refresh_jobs/{jobId}`: its users, and once settled what became of them. It has more fields than these. */
export interface CreditRefreshJob {
  v: number;
  status: "pending" | "processing" | "completed" | "failed";
  /** What brought it about, if no scan did. */
  kind?: "request" | "direct" | "signup";
  /** The day's run whose scan made it. */
  runId?: IsoDate;
  scheduledFor: Timestamp;
  /** When a worker may take it; a settled job has none. */
  visibleAt?: Timestamp;
  userIds: string[];
  attempts: number;
  maxAttempts: number;
  createdAt: Timestamp;
  startedAt?: Timestamp;
  completedAt?: Timestamp;
  /** When Firestore deletes it. */
  expireAt?: Timestamp;
  errors: CreditRefreshError[];
  receipts?: CreditRefreshReceipt[];
  refreshedUsers?: number;
  skippedUsers?: number;
  failedUsers?: number;
}
