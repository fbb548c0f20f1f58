/**
 * One job: where it stands, who is in it, and where to look in the log.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { make, table } = await beside("dom.js");
const { askRequeue } = await beside("actions.js");
const { count, milliseconds, plural, when, words } = await beside("format.js");
const { jobLink, userLink } = await beside("parts.js");
const { facts, outcomeWords } = await beside("receipts.js");

/** The parts of the section for a job. */
export function jobParts(job) {
  return [facts(factsOf(job)), chainOf(job), buttonsOf(job), usersOf(job), logOf(job)];
}

function factsOf(job) {
  return [
    ["Status", words(job.status)],
    ["Attempts", job.maxAttempts ? `${job.attempts} of ${job.maxAttempts}` : job.attempts],
    ["Run", job.runId],
    ["Slot", when(job.scheduledFor, job.runId)],
    ["Begun", when(job.startedAt, job.runId)],
    ["Settled", when(job.completedAt, job.runId)],
    ["Took", job.completedAt ? milliseconds(job.processingMs) : "–"],
    ["Cost", `${count(job.cost.reads)} reads, ${count(job.cost.writes)} writes`],
    ["Requeued", job.requeues ? `${job.requeues} times` : "never"],
  ];
}

function chainOf({ jobId, rootId, retryJobId, kind }) {
  const parts = [];
  if (kind) parts.push(`This is the receipt of a grant outside of a run: ${words(kind)}. `);
  if (rootId && rootId !== jobId) parts.push("It is a retry; the first job was ", jobLink(rootId), ". ");
  if (retryJobId) parts.push("Users that were to be tried again left for ", jobLink(retryJobId), ".");
  return parts.length ? make("p", {}, ...parts) : "";
}

function buttonsOf({ jobId, status, kind }) {
  if (status !== "failed" || kind) return "";
  const onclick = () => askRequeue({ jobId });
  return make(
    "div",
    { class: "buttons acts" },
    make("button", { type: "button", "data-key": "requeue-detail", onclick }, "Requeue this job …"),
  );
}

function usersOf({ jobId, users }) {
  const columns = [
    { title: "User" },
    { title: "Outcome" },
    { title: "Before", number: true },
    { title: "Granted", number: true },
    { title: "After", number: true },
  ];
  const rows = users.map((each) => [
    userLink(each.userId),
    each.outcome || each.code ? outcomeWords(each) : "not settled yet",
    each.before ?? "–",
    each.granted ?? "–",
    each.after ?? "–",
  ].map((cell) => (typeof cell === "number" ? String(cell) : cell)));
  return make(
    "details",
    { "data-key": "job-users", open: users.length <= 25 },
    make("summary", {}, plural(users.length, "user")),
    table({ caption: `Users of ${jobId}`, columns, rows, stacks: true }),
  );
}

function logOf({ logFilter }) {
  return make(
    "div",
    {},
    make("h3", {}, "In Cloud Logging"),
    make("pre", { tabindex: "0", "aria-label": "Filter for Cloud Logging" }, logFilter),
  );
}
