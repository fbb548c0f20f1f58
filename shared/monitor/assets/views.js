/**
 * The figures, tables and lists of the page, each drawn from the statistics.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const format = await beside("format.js");
const { statusOf, usersOfTheDay } = await beside("status.js");
const { throughput } = await beside("charts.js");
const { clock, count, dollars, milliseconds, percent, plural, span, when, words } = format;

/** The line in words, and why, if all is not well. */
export function showStatus(statistics) {
  const { tone, word, sentence, reasons } = statusOf(statistics);
  document.body.dataset.tone = tone;
  document.title = `${word} · Credit Refresh Monitor`;
  show(
    byId("status"),
    make("strong", {}, word),
    make("span", { class: "unseen" }, ": "),
    make("span", { class: "sentence" }, sentence),
    (reasons.length > 0 && make("ul", { class: "reasons" }, ...reasons.map((reason) => make("li", {}, reason)))) || "",
  );
  byId("day").textContent = format.longDate(statistics.runId);
  byId("zone").textContent = `· ${statistics.timezone}`;
}

/** How the day's users stand: one bar and its four figures. */
export function showUsers(statistics) {
  const all = usersOfTheDay(statistics);
  const { users } = statistics;
  const parts = [
    ["refreshed", "Refreshed"],
    ["skipped", "Skipped"],
    ["failed", "Failed"],
    ["pending", "Pending"],
  ];
  const bar = make(
    "div",
    { class: "bar", "aria-hidden": "true" },
    ...parts.map(([name]) => segment(name, users[name], all)),
  );
  show(
    byId("users"),
    bar,
    make("dl", { class: "legend" }, ...parts.map(([name, title]) => legend(name, title, users[name], all))),
  );
}

function segment(name, number, all) {
  const part = make("span", { class: name });
  part.style.flexGrow = String(all ? number / all : 0);
  return part;
}

function legend(name, title, number, all) {
  return make(
    "div",
    {},
    make("dt", {}, make("i", { class: `dot ${name}`, "aria-hidden": "true" }), title),
    make("dd", { class: "big", "data-figure": name }, count(number)),
    make("dd", { class: "note" }, all ? percent(number / all) : "–"),
  );
}

/** The tiles. */
export function showTiles(statistics) {
  show(byId("tiles"), ...tilesOf(statistics).map(tile));
}

function tilesOf(statistics) {
  return [
    jobsTile(statistics),
    successTile(statistics),
    lagTile(statistics),
    durationTile(statistics),
    costTile(statistics),
    sloTile(statistics),
    builderTile(statistics),
    workerTile(statistics),
  ];
}

function tile({ figure, title, value, note, tone }) {
  return make(
    "div",
    { class: "tile", "data-tone": tone ?? null },
    make("dt", {}, title),
    make("dd", { class: "big", "data-figure": figure }, value),
    make("dd", { class: "note" }, note),
  );
}

function jobsTile({ totalJobs, pendingJobs, processingJobs, completedJobs, failedJobs }) {
  const note =
    counted([
      [pendingJobs, "pending"],
      [processingJobs, "running"],
      [failedJobs, "failed"],
    ]) || "none is waiting";
  return {
    figure: "jobs",
    title: "Jobs done",
    value: `${count(completedJobs)} of ${count(totalJobs)}`,
    note,
    tone: failedJobs ? "bad" : null,
  };
}

/** Only what there is: "3 pending, 1 failed". */
function counted(pairs) {
  return pairs
    .filter(([number]) => number > 0)
    .map(([number, what]) => `${count(number)} ${what}`)
    .join(", ");
}

function successTile({ successRate, users }) {
  const note = users.failed ? `${plural(users.failed, "user")} failed` : "of settled users";
  return {
    figure: "success",
    title: "Success rate",
    value: percent(successRate),
    note,
    tone: users.failed ? "bad" : null,
  };
}

function lagTile({ queueLagSeconds, health }) {
  const lagging = health?.reasons.some(({ code }) => code === "queue_lag");
  const note = queueLagSeconds ? "the oldest due job has waited" : "no due job is waiting";
  return { figure: "lag", title: "Queue lag", value: span(queueLagSeconds), note, tone: lagging ? "bad" : null };
}

function durationTile({ averageProcessingTime, p95ProcessingTime }) {
  return {
    figure: "duration",
    title: "Time per job",
    value: milliseconds(averageProcessingTime),
    note: `95% within ${milliseconds(p95ProcessingTime)}`,
  };
}

function costTile({ cost }) {
  const note =
    cost.usdPer100kUsers === null
      ? `${count(cost.reads)} reads, ${count(cost.writes)} writes`
      : `${dollars(cost.usdPer100kUsers)} per 100K users`;
  return { figure: "cost", title: "Cost of the day", value: dollars(cost.usd), note };
}

function sloTile({ slo }) {
  const title = `On time, ${count(slo.days)} days`;
  const left = slo.errorBudgetLeft;
  const note =
    left === null ? `goal ${percent(slo.objective, 2)} within ${slo.withinMinutes} min` : budget(left, slo.objective);
  return { figure: "slo", title, value: percent(slo.share, 2), note, tone: left !== null && left < 0 ? "bad" : null };
}

function budget(left, objective) {
  const rest = left < 0 ? "error budget overspent" : `${percent(left, 0)} of budget left`;
  return `goal ${percent(objective, 2)}, ${rest}`;
}

function builderTile({ builder, runId, runStatus }) {
  const value = builder.completedAt ? `done ${when(builder.completedAt, runId)}` : words(runStatus);
  return {
    figure: "builder",
    title: "Builder",
    value,
    note: `${count(builder.scannedUsers)} scanned, next ${clock(builder.nextRun)}`,
  };
}

function workerTile({ worker, runId }) {
  const value = worker.lastRun ? `ran ${when(worker.lastRun, runId)}` : "not yet";
  return { figure: "worker", title: "Worker", value, note: `next ${clock(worker.nextRun)}` };
}

/**
 * Who failed and why, and what can be done about it.
 * @param {(opener: {jobId?: string, runId?: string}) => void} requeue
 * @param {(userId: string) => void} lookUp
 */
export function showFailures(statistics, requeue, lookUp) {
  const { deadLetters, errors, errorsTotal, failedJobs, runId } = statistics;
  byId("failures-count").textContent = [
    failedJobs && plural(failedJobs, "job"),
    errorsTotal && plural(errorsTotal, "user"),
  ]
    .filter(Boolean)
    .join(", ");
  byId("requeue-all").hidden = failedJobs === 0;
  byId("requeue-all").onclick = () => requeue({ runId });
  if (!deadLetters.length && !errors.length)
    return show(byId("failures"), make("p", { class: "empty" }, "Nobody failed."));
  return show(
    byId("failures"),
    deadLetters.length ? deadLettersTable(deadLetters, runId, requeue) : "",
    moreLetters(failedJobs - deadLetters.length),
    codes(statistics),
    errors.length ? failedUsers(statistics, lookUp) : "",
  );
}

function moreLetters(more) {
  return more > 0
    ? make("p", { class: "note" }, `and ${plural(more, "more failed job")}; "Requeue all failed" takes them too.`)
    : "";
}

function deadLettersTable(deadLetters, day, requeue) {
  const columns = [
    { title: "Failed job" },
    { title: "Reason" },
    { title: "Users", number: true },
    { title: "Attempts", number: true },
    { title: "Failed at", number: true },
    { title: "Requeue", hidden: true },
  ];
  const rows = deadLetters.map((letter) => [
    identifier(letter.jobId),
    reason(letter),
    count(letter.failedUsers ?? letter.users),
    count(letter.attempts),
    when(letter.completedAt, day),
    requeueButton(letter, requeue),
  ]);
  return table({ caption: "Failed jobs", columns, rows, stacks: true });
}

function requeueButton({ jobId }, requeue) {
  return make(
    "button",
    {
      type: "button",
      class: "small",
      "data-key": `requeue-${jobId}`,
      "aria-label": `Requeue job ${jobId}`,
      onclick: () => requeue({ jobId }),
    },
    "Requeue",
  );
}

function reason({ code, error }) {
  return make("span", {}, make("b", { class: "code" }, words(code)), error ? ` ${error}` : "");
}

function codes({ errorsByCode }) {
  const items = Object.entries(errorsByCode).map(([code, number]) =>
    make("li", {}, `${words(code)} `, make("b", {}, count(number))),
  );
  return items.length ? make("ul", { class: "codes", "aria-label": "Failed users by code" }, ...items) : "";
}

function failedUsers({ errors, errorsTotal, runId }, lookUp) {
  const columns = [{ title: "User" }, { title: "Reason" }, { title: "At", number: true }];
  const rows = errors.map((each) => [userButton(each.userId, lookUp), reason(each), when(each.timestamp, runId)]);
  const title =
    errorsTotal > errors.length ? `Failed users, ${errors.length} of ${count(errorsTotal)}` : "Failed users";
  return make(
    "details",
    { "data-key": "errors" },
    make("summary", {}, title),
    table({ caption: "Failed users", columns, rows }),
  );
}

/** An id, shortened in the eye alone: all of it can be read, searched and copied. */
function identifier(id) {
  return make("code", { class: "id", title: id }, id ?? "–");
}

function userButton(userId, lookUp) {
  if (!userId) return "–";
  return make("button", { type: "button", class: "link", onclick: () => lookUp(userId) }, userId);
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
    identifier(job.jobId),
    words(job.status),
    count(job.users),
    count(job.failedUsers),
    count(job.retriedUsers),
    milliseconds(job.processingMs),
    count(throughput(job)),
    when(job.completedAt, runId),
  ]);
  return table({ caption: "The last settled jobs", columns, rows });
}

/** What happened last: jobs, and what people did. */
export function showActivity({ recentActivity, runId }) {
  const entries = recentActivity.map((entry) =>
    make(
      "li",
      { "data-kind": entry.kind },
      make("time", { datetime: entry.time }, when(entry.time, runId)),
      make("span", {}, ...activity(entry)),
    ),
  );
  show(
    byId("activity"),
    entries.length ? make("ol", {}, ...entries) : make("p", { class: "empty" }, "Nothing has happened yet."),
  );
}

function activity(entry) {
  return entry.kind === "action" ? actionWords(entry) : jobWords(entry);
}

function jobWords({ jobId, status, users, failedUsers }) {
  const failed = failedUsers ? `, ${count(failedUsers)} failed` : "";
  return [`Job ${words(status)}: ${plural(users, "user")}${failed} `, identifier(jobId)];
}

function actionWords({ action, actor, reason: why, detail }) {
  const [first, ...rest] = words(action);
  return [
    make("b", {}, first.toUpperCase() + rest.join("")),
    detail ? ` ${detail}` : "",
    ` by ${actor ?? "someone"}`,
    why ? ` (${why})` : "",
  ];
}

/** The switch says what it would do now. */
export function showControls({ paused }) {
  const button = byId("pause");
  button.textContent = paused ? "Resume" : "Pause";
  button.dataset.action = paused ? "resume" : "pause";
  byId("pause-what").textContent = paused ? "Go on with the refresh" : "Pause the whole refresh";
  byId("pause-note").textContent = paused
    ? "what fell due meanwhile is done then"
    : "who is due waits and loses nothing";
}
