/**
 * The day in figures: the users' bar and the tiles.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show } = await beside("dom.js");
const { clock, count, dollars, milliseconds, percent, plural, span, when, words } = await beside("format.js");
const { usersOfTheDay } = await beside("status.js");

/** How the day's users stand: one bar and its four figures. */
export function showUsers(overview) {
  const all = usersOfTheDay(overview);
  const { users } = overview;
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
  const part = make("span", { class: name, "data-empty": number ? null : "yes" });
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
export function showTiles(overview) {
  show(byId("tiles"), ...tilesOf(overview).map(tile));
}

function tilesOf(overview) {
  return [
    jobsTile(overview),
    successTile(overview),
    overview.queueLagSeconds === null ? null : lagTile(overview),
    durationTile(overview),
    costTile(overview),
    sloTile(overview),
    builderTile(overview),
    overview.worker ? workerTile(overview) : null,
  ].filter(Boolean);
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

function builderTile({ builder, runId, runStatus, leftAloneUsers }) {
  const value = builder.completedAt ? `done ${when(builder.completedAt, runId)}` : words(runStatus);
  return {
    figure: "builder",
    title: "Builder",
    value,
    note: [
      `${count(builder.scannedUsers)} scanned`,
      leftAloneUsers && `${count(leftAloneUsers)} left alone as full`,
      builder.nextRun && `next ${clock(builder.nextRun)}`,
    ]
      .filter(Boolean)
      .join(", "),
  };
}

function workerTile({ worker, runId }) {
  const value = worker.lastRun ? `ran ${when(worker.lastRun, runId)}` : "not yet";
  return { figure: "worker", title: "Worker", value, note: `next ${clock(worker.nextRun)}` };
}
