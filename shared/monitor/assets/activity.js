/**
 * What happened last, and the log of all that operators did.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show } = await beside("dom.js");
const { getView } = await beside("api.js");
const { count, plural, when, words } = await beside("format.js");
const { jobLink } = await beside("parts.js");

let log = null; // {filters, entries, cursor}

/** What jobs and people did last. */
export function showActivity({ recentActivity, runId }) {
  show(byId("activity"), listOf(recentActivity, runId, "Nothing has happened yet."));
}

function listOf(entries, runId, none) {
  if (!entries.length) return make("p", { class: "empty" }, none);
  return make("ol", {}, ...entries.map((entry) => item(entry, runId)));
}

function item(entry, runId) {
  return make(
    "li",
    { "data-kind": entry.kind, "data-failed": entry.failed ? "yes" : null },
    make("time", { datetime: entry.time }, when(entry.time, runId)),
    make("span", {}, ...(entry.kind === "action" ? actionWords(entry) : jobWords(entry))),
  );
}

function jobWords({ jobId, status, users, failedUsers }) {
  const failed = failedUsers ? `, ${count(failedUsers)} failed` : "";
  return [`Job ${words(status)}: ${plural(users, "user")}${failed} `, jobLink(jobId)];
}

function actionWords({ action, actor, reason: why, detail, result, failed }) {
  const [first, ...rest] = words(action);
  return [
    make("b", {}, first.toUpperCase() + rest.join("")),
    detail ? ` ${detail}` : "",
    ` by ${actor ?? "someone"}`,
    why ? ` (${why})` : "",
    result ? make("span", { class: failed ? "problem" : "note" }, `: ${result}`) : "",
  ];
}

/** From now on the log opens, is filtered, and goes on. */
export function listen() {
  byId("log-open").addEventListener("click", toggleLog);
  byId("log-form").addEventListener("submit", (event) => {
    event.preventDefault();
    readLog();
  });
}

/** Close it and forget what it showed. */
export function forget() {
  log = null;
  setOpen(false);
}

function toggleLog() {
  setOpen(byId("log").hidden);
  if (!byId("log").hidden) readLog();
}

function setOpen(open) {
  byId("log").hidden = !open;
  byId("activity").hidden = open;
  byId("log-open").setAttribute("aria-expanded", String(open));
  byId("log-open").textContent = open ? "Recent activity" : "Log of all actions";
}

function readLog() {
  log = { filters: { actor: byId("log-actor").value.trim(), action: byId("log-action").value }, entries: [], cursor: null };
  return more(log);
}

async function more(wanted) {
  try {
    const page = await getView("activity", { ...wanted.filters, cursor: wanted.cursor });
    if (log !== wanted) return;
    wanted.entries.push(...page.entries);
    wanted.cursor = page.cursor;
    drawLog(wanted);
  } catch (error) {
    if (log === wanted) show(byId("log-entries"), make("p", { class: "problem" }, `The log can't be read: ${error.message}`));
  }
}

function drawLog(shown) {
  const onclick = () => more(shown);
  show(
    byId("log-entries"),
    listOf(shown.entries, null, "No action of that kind is kept."),
    shown.cursor ? make("button", { type: "button", class: "small", "data-key": "older-actions", onclick }, "Older") : "",
  );
}
