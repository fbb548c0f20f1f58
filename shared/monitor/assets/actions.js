/**
 * What an operator can do, each after a question. A refusal is told inside the question, which stays open.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId } = await beside("dom.js");
const { act } = await beside("api.js");
const { plural, words } = await beside("format.js");

const REQUEUE_CALLS_MAX = 20;

const dialog = byId("confirm");
const form = byId("confirm-form");
const why = byId("confirm-reason");
const problem = byId("confirm-problem");
const verbButton = byId("confirm-yes");

let wanted = null;
let opener = null;
let changed = async () => {};

/**
 * Called after each action that went through.
 * @param {(body: object) => Promise<void>} listener
 */
export function onChanged(listener) {
  changed = listener;
}

/**
 * Ask, and act if the answer is yes.
 * @param {{title: string, text: string, verb: string, danger?: boolean, body: object,
 *   told: (answer: object) => string}} question
 */
export function ask(question) {
  wanted = question;
  opener = document.activeElement;
  byId("confirm-title").textContent = question.title;
  byId("confirm-text").textContent = question.text;
  verbButton.textContent = question.verb;
  verbButton.classList.toggle("danger", Boolean(question.danger));
  why.value = "";
  problem.textContent = "";
  dialog.showModal();
}

byId("confirm-no").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", returnFocus);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  carryOut();
});

/** To where it was, or, if that is gone, to the heading of the section it was in. */
function returnFocus() {
  if (opener?.isConnected) return;
  const key = opener?.dataset.key;
  const successor = key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  (successor || byId("failures-title")).focus();
}

async function carryOut() {
  setBusy(true);
  problem.textContent = "";
  try {
    const reason = why.value.trim();
    const answer = await actAll({ ...wanted.body, ...(reason && { reason }) });
    announce(wanted.told(answer), Boolean(answer.failedUsers));
    await changed(wanted.body);
    dialog.close();
  } catch (error) {
    problem.textContent = `That did not work: ${error.message}`;
  } finally {
    setBusy(false);
  }
}

/** Requeueing goes in portions: go on until the answer says there is no more, up to a limit. */
async function actAll(body) {
  const answer = await act(body);
  for (let call = 1; answer.hasMore && answer.changed && call < REQUEUE_CALLS_MAX; call += 1) {
    const more = await act(body);
    answer.requeuedJobs += more.requeuedJobs;
    answer.requeuedUsers += more.requeuedUsers;
    answer.hasMore = more.hasMore;
  }
  return answer;
}

function setBusy(busy) {
  form.toggleAttribute("aria-busy", busy);
  for (const button of form.querySelectorAll("button")) button.disabled = busy;
}

/** Say it, to eye and ear. */
function announce(text, isBad) {
  byId("notice").textContent = text;
  byId("notice").toggleAttribute("data-bad", isBad);
}

/** Pause or resume everything. */
export function askPause(paused) {
  const action = paused ? "resume" : "pause";
  const text = paused
    ? "Builder and worker go on at their next run; what fell due meanwhile is done then."
    : "Builder and worker finish what they have begun and start nothing new until resumed.";
  const told = (answer) => (answer.paused ? "Paused." : "Resumed.");
  ask({
    title: paused ? "Resume the refresh?" : "Pause the refresh?",
    text,
    verb: paused ? "Resume" : "Pause",
    danger: !paused,
    body: { action },
    told,
  });
}

/** Scan the day's users once more. */
export function askRescan(runId) {
  ask({
    title: `Scan ${runId} again?`,
    verb: "Rescan",
    body: { action: "rescan", runId },
    told: rescanTold,
    text: "The builder reads all users once more and queues those who are due. Nobody is granted twice.",
  });
}

function rescanTold(answer) {
  return answer.changed
    ? "The builder will scan again at its next run."
    : `Nothing changed: the run is ${words(answer.status)}.`;
}

/** Give failed jobs another chance: one, or all of a run. */
export function askRequeue(target) {
  const title = target.jobId ? "Requeue this job?" : "Requeue all failed jobs?";
  const text = target.jobId
    ? `Job ${target.jobId} is tried again, with attempts from 0.`
    : `Every failed job of ${target.runId} is tried again, with attempts from 0.`;
  ask({ title, text, verb: "Requeue", body: { action: "requeue", ...target }, told: requeueTold });
}

function requeueTold({ requeuedJobs, requeuedUsers, hasMore }) {
  if (!requeuedJobs) return "There was nothing left to requeue.";
  const rest = hasMore ? "; more are left" : "";
  return `Requeued ${plural(requeuedJobs, "job")} with ${plural(requeuedUsers, "user")}${rest}.`;
}

/** Refresh one user now. */
export function askRefresh(userId) {
  ask({
    title: "Refresh this user now?",
    verb: "Refresh now",
    body: { action: "refresh", userIds: [userId] },
    told: refreshTold,
    text: `${userId} gets what is due for the current period, if anything is. A period is never granted twice.`,
  });
}

function refreshTold({ refreshedUsers, failedUsers, errors }) {
  if (failedUsers) return `The refresh failed: ${errors[0]?.error ?? words(errors[0]?.code)}`;
  return refreshedUsers ? "The user was refreshed." : "Nothing was due.";
}

/** Pause or resume one user. */
export function askPauseUser(userId, paused) {
  const action = paused ? "resume" : "pause";
  const text = paused
    ? `${userId} is refreshed again from the next run on.`
    : `${userId} is left out of every refresh until resumed.`;
  const told = (answer) => (answer.paused ? "The user is paused." : "The user is no longer paused.");
  ask({
    title: paused ? "Resume this user?" : "Pause this user?",
    text,
    verb: paused ? "Resume" : "Pause",
    danger: !paused,
    body: { action, userId },
    told,
  });
}
