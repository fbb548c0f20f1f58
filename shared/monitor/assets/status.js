/**
 * The sentence that says how the day goes, worked out from the overview.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { clock, count, plural, when } = await beside("format.js");

/**
 * Tone, word, sentence and reasons of an overview.
 * @returns {{tone: "good"|"busy"|"paused"|"bad"|"idle", word: string, sentence: string, reasons: object[]}}
 */
export function statusOf(overview) {
  const { health } = overview;
  if (!health) return past(overview);
  const reasons = health.reasons.filter(({ code }) => code !== "paused");
  if (overview.paused) return { tone: "paused", word: "Paused", sentence: pausedSentence(overview), reasons };
  if (overview.setup) return settingUp(overview);
  if (health.status === "unhealthy") return { tone: "bad", word: "Unhealthy", sentence: sentenceOf(overview), reasons };
  if (overview.rescanning)
    return { tone: "busy", word: "Scanning again", sentence: `${progress(overview)}${next(overview)}.`, reasons };
  if (isEmpty(overview)) return { tone: "idle", word: "Nothing yet", sentence: emptySentence(overview), reasons };
  return { tone: "good", word: "Healthy", sentence: `${progress(overview)}${next(overview)}.`, reasons };
}

/** Health is of this moment: a day that is over has figures, and no state. */
function past(overview) {
  const sentence = overview.runStatus === "not_started" ? "there was no run on that day." : `${progress(overview)}.`;
  return { tone: "idle", word: overview.runId, sentence, reasons: [] };
}

function settingUp({ setup }) {
  const steps = Object.values(setup);
  const done = steps.filter(Boolean).length;
  const sentence = `${done} of ${steps.length} steps are done; this page follows by itself.`;
  return { tone: "idle", word: "Setting up", sentence, reasons: [] };
}

/** How many users the day has, as far as the builder has got. */
export function usersOfTheDay({ users }) {
  return users.refreshed + users.skipped + users.failed + users.pending;
}

function isEmpty(overview) {
  return overview.runStatus === "not_started" || usersOfTheDay(overview) === 0;
}

function sentenceOf(overview) {
  return isEmpty(overview) ? emptySentence(overview) : `${progress(overview)}${next(overview)}.`;
}

function progress(overview) {
  const all = usersOfTheDay(overview);
  const { refreshed, pending } = overview.users;
  const still = overview.runStatus === "in_progress" && overview.health ? ", still scanning" : "";
  const figures = !pending && refreshed === all ? "all" : `${count(refreshed)} of`;
  return `${figures} ${plural(all, "user")} refreshed ${overview.health ? "today" : "on that day"}${still}`;
}

function next({ nextScheduledRun }) {
  return nextScheduledRun ? `, next run ${clock(nextScheduledRun)}` : "";
}

function emptySentence(overview) {
  const { builder } = overview;
  if (overview.runStatus === "not_started")
    return `today's run has not begun; the builder comes at ${clock(builder.nextRun)}.`;
  if (overview.runStatus === "in_progress") return "the builder is scanning; nobody is due so far.";
  return `${plural(builder.scannedUsers, "user")} scanned and nobody due today${next(overview)}.`;
}

function pausedSentence(overview) {
  const { by, since, reason, until, usersLate } = overview.pause ?? {};
  const parts = [
    by && ` by ${by}`,
    since && ` since ${when(since, overview.runId)}`,
    until && ` until ${when(until, overview.runId)}`,
    reason && ` (${reason})`,
  ];
  const late = usersLate ? ` At least ${plural(usersLate, "user")} ${usersLate === 1 ? "is" : "are"} late so far.` : "";
  return `the refresh is held${parts.filter(Boolean).join("")}; ${progress(overview)}.${late}`;
}
