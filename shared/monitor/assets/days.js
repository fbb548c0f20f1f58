/**
 * The days: going from one to another, the strip of the last thirty, and the month's money.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { getView } = await beside("api.js");
const { count, daysFrom, dollars, longDate, plural, shortDate } = await beside("format.js");
const { go } = await beside("place.js");

const EVERY_MS = 3_600_000;

let shown = null;
let readAt = null; // on the page's own clock
let readFor = "";

/** The buttons that lead to other days, for the day of an overview. */
export function showNavigation({ runId, today, retentionDays }) {
  byId("day-nav").hidden = false;
  byId("day-today").hidden = runId === today;
  byId("day-after").disabled = runId >= today;
  byId("day-before").disabled = runId <= daysFrom(today, -retentionDays);
  shown = { runId, today };
  showMarks();
}

/** From now on the buttons work. */
export function listen() {
  byId("day-before").addEventListener("click", () => goTo(daysFrom(shown.runId, -1)));
  byId("day-after").addEventListener("click", () => goTo(daysFrom(shown.runId, 1)));
  byId("day-today").addEventListener("click", () => goTo(shown.today));
}

function goTo(day) {
  go({ runId: day === shown.today ? null : day });
}

/** Read the strip at the first overview, at each new day, and every hour. */
export async function refreshStrip({ today }) {
  if (readFor === today && performance.now() - readAt < EVERY_MS) return;
  readFor = today;
  readAt = performance.now();
  try {
    const { days, month } = await getView("days");
    draw(days, month);
  } catch (error) {
    readFor = "";
    show(byId("strip"), make("p", { class: "empty" }, `The days can't be read: ${error.message}`));
  }
}

/** Read the strip anew at the next overview. */
export function forget() {
  readFor = "";
}

function draw(days, month) {
  const most = Math.max(1, ...days.map(({ refreshed, failed }) => refreshed + failed));
  const strip = { class: "strip", role: "group", "aria-label": "Days", onkeydown: moveAlong };
  show(
    byId("strip"),
    make("div", strip, ...days.map((day) => column(day, most))),
    make("p", { class: "note strip-ends", "aria-hidden": "true" }, ...ends(days)),
    make("details", { "data-key": "days-table" }, make("summary", {}, "Show as table"), daysTable(days)),
  );
  showMoney(month);
  showMarks();
}

/** Mark the day that is shown. It alone is a tab stop: the arrow keys lead from it to the others. */
function showMarks() {
  const columns = [...document.querySelectorAll("#strip [data-day]")];
  const current = columns.find(({ dataset }) => dataset.day === shown?.runId);
  for (const each of columns) {
    if (each === current) each.setAttribute("aria-current", "date");
    else each.removeAttribute("aria-current");
    each.tabIndex = each === (current ?? columns.at(-1)) ? 0 : -1;
  }
  const strip = columns[0]?.parentElement;
  if (strip && current) strip.scrollLeft = current.offsetLeft - strip.clientWidth / 2;
}

function moveAlong(event) {
  const steps = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" };
  const neighbour = event.target[steps[event.key]];
  if (!neighbour) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  neighbour.tabIndex = 0;
  neighbour.focus();
}

function ends(days) {
  return [make("span", {}, shortDate(days[0].runId)), make("span", {}, shortDate(days.at(-1).runId))];
}

/** One day as a button: as high as its users, with what failed on top. */
function column(day, most) {
  const { runId, refreshed, failed, deadLetters } = day;
  const bars = [
    ["failed", failed],
    ["refreshed", refreshed],
  ].map(([name, users]) => {
    const bar = make("span", { class: name });
    bar.style.height = `${users ? Math.max(3, (users / most) * 100) : 0}%`;
    return bar;
  });
  return make(
    "button",
    {
      type: "button",
      class: "column",
      "data-day": runId,
      "data-key": `day-${runId}`,
      "data-waiting": deadLetters ? "yes" : null,
      title: dayWords(day),
      "aria-label": dayWords(day),
      onclick: () => goTo(runId),
    },
    ...bars,
  );
}

function dayWords({ runId, status, refreshed, failed, deadLetters, cost }) {
  if (status === "not_started") return `${longDate(runId)}: no run`;
  const waiting = deadLetters ? `, ${plural(deadLetters, "failed job")} waiting` : "";
  return `${longDate(runId)}: ${count(refreshed)} refreshed, ${count(failed)} failed${waiting}, ${dollars(cost.usd)}`;
}

function daysTable(days) {
  const columns = [
    { title: "Day" },
    { title: "Refreshed", number: true },
    { title: "Failed", number: true },
    { title: "Failed jobs waiting", number: true },
    { title: "On time", number: true },
    { title: "Late", number: true },
    { title: "Cost", number: true },
  ];
  const rows = days.toReversed().map((day) => [
    make("button", { type: "button", class: "link", onclick: () => goTo(day.runId) }, day.runId),
    count(day.refreshed),
    count(day.failed),
    count(day.deadLetters),
    count(day.onTimeUsers),
    count(day.lateUsers),
    dollars(day.cost.usd),
  ]);
  return table({ caption: "Each of the last 30 days", columns, rows, stacks: true });
}

function showMoney({ soFar, forecast }) {
  const pace = forecast ? `; at this pace ${dollars(forecast.usd)} by its end` : "";
  byId("money").textContent = `This month so far ${dollars(soFar.usd)}${pace}`;
}
