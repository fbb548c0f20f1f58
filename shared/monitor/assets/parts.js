/**
 * Small parts that several sections share: ids that open what they name, reasons, the table of jobs.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { make, table } = await beside("dom.js");
const { throughput } = await beside("charts.js");
const { count, milliseconds, when, words } = await beside("format.js");
const { go } = await beside("place.js");

/** A job's id that opens the job. It is shortened in the eye alone: all of it can be read, searched and copied. */
export function jobLink(jobId) {
  if (!jobId) return "–";
  const open = () => go({ jobId, userId: null });
  return make("button", { type: "button", class: "link", "data-key": `job-${jobId}`, onclick: open }, identifier(jobId));
}

/** A user's id that opens the user. */
export function userLink(userId) {
  if (!userId) return "–";
  const open = () => go({ userId, jobId: null });
  return make("button", { type: "button", class: "link", "data-key": `user-${userId}`, onclick: open }, userId);
}

/** An id as text. */
export function identifier(id) {
  return make("code", { class: "id", title: id }, id ?? "–");
}

/** A failure's code and message. */
export function reasonOf({ code, error }) {
  return make("span", {}, make("b", { class: "code" }, words(code)), error ? ` ${error}` : "");
}

/** The last jobs as a table. */
export function jobsTable({ recentJobs, runId }) {
  const columns = [
    { title: "Job" },
    { title: "Status" },
    { title: "Users", number: true },
    { title: "Failed", number: true },
    { title: "Retried", number: true },
    { title: "Time", number: true },
    { title: "Users/s", number: true },
    { title: "Settled", number: true },
  ];
  const rows = recentJobs.map((job) => [
    jobLink(job.jobId),
    words(job.status),
    count(job.users),
    count(job.failedUsers),
    count(job.retriedUsers),
    milliseconds(job.processingMs),
    count(throughput(job)),
    when(job.completedAt, runId),
  ]);
  return table({ caption: "The last settled jobs", columns, rows, stacks: true });
}
