/**
 * What an operator can do: each action with its question, what it will cost, and the words for what came of it.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { make } = await beside("dom.js");
const { act, getView } = await beside("api.js");
const { ask } = await beside("dialog.js");
const { count, dollars, instantOf, plural, words } = await beside("format.js");

const REQUEUE_CALLS_MAX = 20;

/** Pause or resume everything. */
export function askPause(paused) {
  if (paused) return askResume();
  return ask({
    title: "Pause the refresh?",
    text: "Builder and worker finish what they have begun, and begin nothing new. Whoever is due waits and loses nothing.",
    verb: "Pause",
    danger: true,
    asksUntil: true,
    preview: async () => ["Costs nothing: 0 reads, 2 writes."],
    perform: ({ reason, until }) =>
      act({ action: "pause", ...(reason && { reason }), ...(until && { until: instantOf(until) }) }),
    told: (answer) => (answer.changed ? "Paused." : "It was paused already; nothing changed."),
  });
}

function askResume() {
  return ask({
    title: "Resume the refresh?",
    text: "Builder and worker go on at their next run. What fell due meanwhile is done then.",
    verb: "Resume",
    preview: async () => ["Costs nothing: 0 reads, 2 writes."],
    perform: ({ reason }) => act({ action: "resume", ...(reason && { reason }) }),
    told: (answer) => (answer.changed ? "Resumed." : "It was not paused any more; nothing changed."),
  });
}

/** Scan the day's users once more. */
export function askRescan(runId) {
  return ask({
    title: `Scan ${runId} again?`,
    text: "The builder reads all users once more and queues those who are due and not refreshed yet, in place of the jobs that wait. Nobody is granted twice.",
    verb: "Rescan",
    preview: async () => rescanPreview(await getView("rescan-preview", { runId })),
    perform: ({ reason }) => act({ action: "rescan", runId, ...(reason && { reason }) }),
    told: rescanTold,
  });
}

function rescanPreview({ users, isAtLeast, queuedUsersAtMost, cost }) {
  const read = `${isAtLeast ? "At least " : ""}${plural(users, "user")} will be read: ${costOf(cost)}.`;
  return [make("p", {}, read), make("p", {}, queuedWords(queuedUsersAtMost))];
}

function queuedWords(users) {
  if (users === null) return "How many of them will be queued can't be counted.";
  if (!users) return "Nobody will be queued, as far as stamps tell.";
  return `At most ${plural(users, "user")} will be queued.`;
}

function rescanTold(answer) {
  return answer.changed
    ? "The builder will scan again at its next run."
    : `Nothing changed: the run is ${words(answer.status)}.`;
}

/**
 * Give failed jobs another chance: one, all of a run, or those of a run with failures of one cause.
 * @param {{jobId?: string, runId?: string, code?: string}} target
 */
export function askRequeue(target) {
  return ask({
    title: requeueTitle(target),
    text: `${requeueText(target)} Only users that failed are tried again, with attempts from 0.`,
    verb: "Requeue",
    preview: async () => requeuePreview(await getView("requeue-preview", target)),
    perform: ({ reason }) => requeueAll({ action: "requeue", ...target, ...(reason && { reason }) }),
    told: requeueTold,
  });
}

function requeueTitle({ jobId, code }) {
  if (jobId) return "Requeue this job?";
  return code ? `Requeue what failed with “${words(code)}”?` : "Requeue all failed jobs?";
}

function requeueText({ jobId, runId, code }) {
  if (jobId) return `Job ${jobId}.`;
  return code ? `Every failed job of ${runId} with such a failure.` : `Every failed job of ${runId}.`;
}

function requeuePreview({ jobs, users, checkedUsers, readyUsers, failingUsers, cost }) {
  const lines = [make("p", {}, `${plural(jobs, "job")}, ${plural(users, "user")}: ${costOf(cost)}.`)];
  if (!checkedUsers) return lines;
  const of = checkedUsers < users ? ` of ${count(checkedUsers)} looked at` : "";
  lines.push(make("p", {}, `${plural(readyUsers, "user")}${of} can be refreshed now.`));
  const failing = failingUsers === 1 ? "is not corrected and will fail" : "are not corrected and will fail";
  if (failingUsers)
    lines.push(make("p", { class: "problem" }, `${plural(failingUsers, "user")}${of} ${failing} again.`));
  return lines;
}

/** Requeueing goes in portions: go on until the answer says there is no more, up to a limit. */
async function requeueAll(body) {
  const answer = await act(body);
  for (let call = 1; answer.hasMore && answer.changed && call < REQUEUE_CALLS_MAX; call += 1) {
    const more = await act(body);
    answer.requeuedJobs += more.requeuedJobs;
    answer.requeuedUsers += more.requeuedUsers;
    answer.hasMore = more.hasMore;
  }
  return answer;
}

function requeueTold({ requeuedJobs, requeuedUsers, hasMore }) {
  if (!requeuedJobs) return "There was nothing left to requeue.";
  const rest = hasMore ? "; more are left" : "";
  return `Requeued ${plural(requeuedJobs, "job")} with ${plural(requeuedUsers, "user")}${rest}.`;
}

/** Refresh one user now. */
export function askRefresh(userId) {
  return ask({
    title: "Refresh this user now?",
    text: `${userId} gets what is due for the current period, if anything is. A period is never granted twice.`,
    verb: "Refresh now",
    preview: async () => ["Costs at most 2 reads and 2 writes."],
    perform: ({ reason }) => act({ action: "refresh", userIds: [userId], ...(reason && { reason }) }),
    told: refreshTold,
    isBad: ({ failedUsers }) => failedUsers > 0,
  });
}

function refreshTold({ refreshedUsers, failedUsers, errors }) {
  if (failedUsers) return `The refresh failed: ${errors[0]?.error ?? words(errors[0]?.code)}`;
  return refreshedUsers ? "The user was refreshed." : "Nothing was due.";
}

/** Pause or resume one user. */
export function askPauseUser(userId, paused) {
  const action = paused ? "resume" : "pause";
  return ask({
    title: paused ? "Resume this user?" : "Pause this user?",
    text: paused
      ? `${userId} is refreshed again from the next run on.`
      : `${userId} is left out of every refresh until resumed.`,
    verb: paused ? "Resume" : "Pause",
    danger: !paused,
    preview: async () => ["Costs 1 read and 2 writes."],
    perform: ({ reason }) => act({ action, userId, ...(reason && { reason }) }),
    told: (answer) => (answer.paused ? "The user is paused." : "The user is no longer paused."),
  });
}

function costOf({ reads, writes, usd }) {
  return `about ${count(reads)} reads, ${count(writes)} writes, ${dollars(usd)}`;
}
