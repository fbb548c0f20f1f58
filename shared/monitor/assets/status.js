/**
 * The one sentence that says how the day goes.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { clock, count, dayOf, plural, when } = await beside("format.js");

/**
 * Tone, word, sentence and further lines, from the statistics.
 * @returns {{tone: "good"|"paused"|"bad"|"idle", word: string, sentence: string, reasons: string[]}}
 */
export function statusOf(statistics) {
  const { health } = statistics;
  if (!health) return past(statistics);
  const reasons = health.reasons.map((reason) => reason.message);
  if (statistics.paused) return { tone: "paused", word: "Paused", sentence: pausedSentence(statistics), reasons };
  if (health.status !== "ok") return unhealthy(statistics, reasons);
  if (isEmpty(statistics)) return { tone: "idle", word: "Nothing yet", sentence: emptySentence(statistics), reasons };
  return { tone: "good", word: "Healthy", sentence: `${progress(statistics)}${next(statistics)}.`, reasons };
}

/** Health is of now alone: a day that is over has figures, and no state. */
function past(statistics) {
  const sentence =
    statistics.runStatus === "not_started" ? "there was no run on that day." : `${progress(statistics)}.`;
  return { tone: "idle", word: statistics.runId, sentence, reasons: [] };
}

/** How many users the day has, as far as the builder has got. */
export function usersOfTheDay({ users }) {
  return users.refreshed + users.skipped + users.failed + users.pending;
}

function isEmpty(statistics) {
  return statistics.runStatus === "not_started" || usersOfTheDay(statistics) === 0;
}

function unhealthy(statistics, reasons) {
  const sentence = isEmpty(statistics) ? emptySentence(statistics) : `${progress(statistics)}${next(statistics)}.`;
  return { tone: "bad", word: "Unhealthy", sentence, reasons };
}

function progress(statistics) {
  const all = usersOfTheDay(statistics);
  const { refreshed, pending } = statistics.users;
  const still = statistics.runStatus === "in_progress" ? ", still scanning" : "";
  const figures = !pending && refreshed === all ? "all" : `${count(refreshed)} of`;
  return `${figures} ${plural(all, "user")} refreshed ${today(statistics)}${still}`;
}

function today({ runId, generatedAt }) {
  return dayOf(generatedAt) === runId ? "today" : "on that day";
}

function next({ nextScheduledRun }) {
  return nextScheduledRun ? `, next run ${clock(nextScheduledRun)}` : "";
}

function emptySentence(statistics) {
  const builder = statistics.builder;
  if (statistics.runStatus === "not_started")
    return `today's run has not begun; the builder comes at ${clock(builder.nextRun)}.`;
  if (statistics.runStatus === "in_progress") return "the builder is scanning; nobody is due so far.";
  return `${plural(builder.scannedUsers, "user")} scanned and nobody due today${next(statistics)}.`;
}

function pausedSentence(statistics) {
  const action = statistics.recentActivity.find((entry) => entry.kind === "action" && isSwitch(entry));
  const by =
    action?.action === "pause" ? ` by ${action.actor ?? "someone"} since ${when(action.time, statistics.runId)}` : "";
  const why = by && action.reason ? ` (${action.reason})` : "";
  return `no job is begun${by}${why}; ${progress(statistics)}.`;
}

/** Of the whole system: pausing one user is another thing, and has that user as its detail. */
function isSwitch(entry) {
  return (entry.action === "pause" || entry.action === "resume") && !entry.detail;
}
