/**
 * The question before each action. A question belongs to one request: while that is under way it can't be closed or
 * replaced, and its answer is told in its own words.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, show } = await beside("dom.js");
const { announce } = await beside("notice.js");

const UPDATE_MS_MAX = 5000; // for the figures to follow, before the question closes all the same

const dialog = byId("confirm");
const form = byId("confirm-form");
const reason = byId("confirm-reason");
const until = byId("confirm-until-at");
const problem = byId("confirm-problem");
const verbButton = byId("confirm-yes");

let current = null; // the question that is open
let busy = false;
let draft = null; // a question that the end of the session closed
let opener = null;
let changed = async () => {};
let refused = async () => {};
let where = "";

/**
 * @param {{changed: () => Promise<void>, refused: (error: Error) => Promise<void>}} listeners  `changed` is called
 *   after each action that went through; `refused` when the session has ended
 */
export function listen(listeners) {
  changed = listeners.changed;
  refused = listeners.refused;
}

/** What every question says of where it acts: environment, project and collection. */
export function setWhere(text, zone) {
  where = text;
  byId("confirm-zone").textContent = zone;
}

/**
 * Ask, and act if the answer is yes.
 * @param {{title: string, text: string, verb: string, danger?: boolean, asksUntil?: boolean,
 *   preview?: () => Promise<Array<Node|string>>, perform: (given: {reason?: string, until?: string}) => Promise<object>,
 *   told: (answer: object) => string, isBad?: (answer: object) => boolean}} question
 */
export function ask(question) {
  if (busy || dialog.open) return;
  current = question;
  opener = document.activeElement;
  draw(question, { reason: "", until: "" });
  dialog.showModal();
  preview(question);
}

function draw(question, given) {
  byId("confirm-title").textContent = question.title;
  byId("confirm-where").textContent = where;
  byId("confirm-text").textContent = question.text;
  byId("confirm-until").hidden = !question.asksUntil;
  verbButton.textContent = question.verb;
  verbButton.classList.toggle("danger", Boolean(question.danger));
  reason.value = given.reason;
  until.value = given.until;
  problem.textContent = "";
  show(byId("confirm-preview"));
}

/** Say beforehand what it comes to. That takes a call of its own, which may fail without stopping the action. */
async function preview(question) {
  if (!question.preview) return;
  show(byId("confirm-preview"), "Counting …");
  try {
    const lines = await question.preview();
    if (current === question) show(byId("confirm-preview"), ...lines);
  } catch (error) {
    if (current === question) show(byId("confirm-preview"), `It could not be counted: ${error.message}`);
  }
}

async function carryOut(question) {
  if (busy) return undefined;
  setBusy(true);
  problem.textContent = "";
  try {
    const given = { ...(reason.value.trim() && { reason: reason.value.trim() }), ...untilGiven(question) };
    const answer = await question.perform(given);
    announce(question.told(answer), Boolean(question.isBad?.(answer)));
    await Promise.race([changed(), new Promise((late) => setTimeout(late, UPDATE_MS_MAX))]);
    setBusy(false);
    return close();
  } catch (error) {
    setBusy(false);
    if (error.status === 401) return refused(error);
    problem.textContent = `That did not work: ${error.message}`;
    return verbButton.focus();
  }
}

function untilGiven(question) {
  return question.asksUntil && until.value ? { until: until.value } : {};
}

function setBusy(yes) {
  busy = yes;
  form.toggleAttribute("aria-busy", yes);
  if (yes) byId("confirm-title").focus(); // what is disabled would lose it to the page behind
  for (const element of form.elements) element.disabled = yes;
}

function close() {
  current = null;
  dialog.close();
}

/** Close the question for somebody who has to sign in first, and keep what was written. */
export function suspend() {
  if (!dialog.open || !current) return;
  draft = { question: current, reason: reason.value, until: until.value };
  setBusy(false);
  close();
}

/** Ask again what the end of the session has interrupted. */
export function resume() {
  if (!draft || dialog.open) return;
  const { question, ...given } = draft;
  draft = null;
  ask(question);
  reason.value = given.reason;
  until.value = given.until;
}

/** Another person signed in: what was written is not theirs. */
export function forgetDraft() {
  draft = null;
}

/** Back to what opened it; if that is gone, to what took its place, or to the heading of its section. */
function returnFocus() {
  current = null;
  if (opener?.isConnected && opener.checkVisibility()) return opener.focus();
  const key = opener?.dataset.key;
  const successor = key && document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const heading = key?.startsWith("requeue") ? byId("failures-title") : byId("controls-title");
  return (successor?.checkVisibility() ? successor : heading).focus();
}

byId("confirm-no").addEventListener("click", close);
dialog.addEventListener("close", returnFocus);
dialog.addEventListener("cancel", (event) => busy && event.preventDefault());
dialog.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
// A browser lets a second Escape through whatever the dialog says, unless the key itself is held.
document.addEventListener("keydown", (event) => busy && event.key === "Escape" && event.preventDefault(), true);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (current) carryOut(current);
});
