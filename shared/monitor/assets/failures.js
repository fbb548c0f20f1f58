/**
 * Failures by cause: how many, what to do, who they are, and sending them back.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { askRequeue } = await beside("actions.js");
const { count, plural, when, words } = await beside("format.js");
const { jobLink, reasonOf } = await beside("parts.js");
const { showFailedUsers, forget: forgetUsers } = await beside("failed-users.js");

/** Show them for an overview's day. */
export function showFailures(overview) {
  const { deadLetters, errorsTotal, failedJobs, failures, runId } = overview;
  byId("failures-count").textContent = [
    failedJobs && plural(failedJobs, "job"),
    errorsTotal && plural(errorsTotal, "user"),
  ]
    .filter(Boolean)
    .join(", ");
  byId("requeue-all").hidden = failedJobs === 0;
  byId("requeue-all").textContent = `Requeue all failed (${count(failedJobs)}) …`;
  byId("requeue-all").onclick = () => askRequeue({ runId });
  if (!failures.length && !deadLetters.length)
    return show(byId("failures"), make("p", { class: "empty" }, "Nobody failed."));
  return show(
    byId("failures"),
    failures.length ? causesTable(failures, runId) : "",
    deadLetters.length ? deadLettersTable(deadLetters, runId) : "",
    moreLetters(failedJobs - deadLetters.length),
  );
}

/** Take the list of users away. */
export function forget() {
  forgetUsers();
}

function causesTable(failures, runId) {
  const columns = [
    { title: "Cause" },
    { title: "Users", number: true },
    { title: "Jobs", number: true },
    { title: "What to do" },
    { title: "Actions", hidden: true },
  ];
  const rows = failures.map((cause) => [
    reasonOf({ code: cause.code, error: cause.example }),
    count(cause.users),
    cause.jobs ? count(cause.jobs) : "–",
    cause.remedy,
    buttons(cause, runId),
  ]);
  return table({ caption: "Failures by cause", columns, rows, stacks: true });
}

function buttons({ code, jobs }, runId) {
  const of = words(code);
  const open = () => showFailedUsers(runId, code);
  return make(
    "span",
    { class: "buttons" },
    make(
      "button",
      { type: "button", class: "small", "data-key": `users-${code}`, "aria-label": `Show users: ${of}`, onclick: open },
      "Show users",
    ),
    jobs
      ? requeueButton({ runId, code }, `requeue-code-${code}`, `Requeue these: ${of}`, "Requeue these …")
      : "",
  );
}

function requeueButton(target, key, label, text) {
  const onclick = () => askRequeue(target);
  return make("button", { type: "button", class: "small acts", "data-key": key, "aria-label": label, onclick }, text);
}

function deadLettersTable(deadLetters, day) {
  const columns = [
    { title: "Failed job" },
    { title: "Reasons" },
    { title: "Users", number: true },
    { title: "Attempts", number: true },
    { title: "Failed at", number: true },
    { title: "Requeue", hidden: true },
  ];
  const rows = deadLetters.map((letter) => [
    jobLink(letter.jobId),
    reasonsOf(letter),
    count(letter.failedUsers ?? letter.users),
    count(letter.attempts),
    when(letter.completedAt, day),
    requeueButton({ jobId: letter.jobId }, `requeue-${letter.jobId}`, `Requeue job ${letter.jobId}`, "Requeue"),
  ]);
  return table({ caption: "Failed jobs", columns, rows, stacks: true });
}

function reasonsOf({ code, codes, error }) {
  const others = (codes ?? []).filter((other) => other !== code).map(words);
  const more = others.length ? ` (and ${others.join(", ")})` : "";
  return make("span", {}, reasonOf({ code, error }), more);
}

function moreLetters(more) {
  return more > 0
    ? make("p", { class: "note" }, `and ${plural(more, "more failed job")}; the causes above count them too.`)
    : "";
}
