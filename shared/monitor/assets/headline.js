/**
 * The headline: whether all is well, or, when the figures can't be had, since when nothing is known.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show } = await beside("dom.js");
const { clockToTheSecond, longDate, span } = await beside("format.js");
const { go } = await beside("place.js");
const { statusOf } = await beside("status.js");

const NAME = "Credit Refresh Monitor";

let word = "";
let identity = "";

/** Show what an overview says. */
export function showStatus(overview) {
  const status = statusOf(overview);
  identity = overview.environment ?? overview.project ?? "";
  draw(status.tone, status.word, status.sentence, status.reasons, overview.runId);
  byId("day").textContent = longDate(overview.runId);
  byId("zone").textContent = `· ${overview.timezone}`;
  const { project, environment, usersCollection } = overview;
  byId("identity").textContent = [environment, project, usersCollection].filter(Boolean).join(" · ");
}

/**
 * Show that nothing is known: since when, what was known last, and what the public health check says.
 * @param {{overview: object|null, at: number, health: object|null}} last  `at`: when the last figures came
 */
export function showUnknown({ overview, at, health }) {
  const known = overview && statusOf(overview);
  const since = overview ? `nothing is known since ${clockToTheSecond(at)}` : "no figures could be read yet";
  const lastKnown = known ? `; last known: ${known.word}: ${known.sentence}` : ".";
  const fails = health?.status === "unhealthy";
  const reasons = fails ? health.reasons : [{ message: healthWords(health) }];
  draw(fails ? "bad" : "unknown", fails ? "Unhealthy" : "Unknown", `${since}${lastKnown}`, reasons);
}

function healthWords(health) {
  if (!health) return "the health check does not answer either";
  return `the health check answers “${health.status}”, so only this page's figures are missing`;
}

function draw(tone, said, sentence, reasons, day) {
  word = said;
  document.body.dataset.tone = tone;
  show(
    byId("status"),
    make("strong", {}, said),
    make("span", { class: "unseen" }, ": "),
    make("span", { class: "sentence" }, sentence),
    reasons.length ? make("ul", { class: "reasons" }, ...reasons.map((reason) => reasonItem(reason, day))) : "",
  );
  showTitle(0);
}

/** A reason, with a link to each other day it is about. */
function reasonItem({ message, runIds = [] }, day) {
  const others = runIds.filter((runId) => runId !== day);
  return make(
    "li",
    {},
    message,
    ...others.flatMap((runId) => [
      " ",
      make("button", { type: "button", class: "link", "data-key": `open-${runId}`, onclick: () => go({ runId }) }, `Open ${runId}`),
    ]),
  );
}

/**
 * The tab's title: state, and how old it is once that matters.
 * @param {number} oldSeconds  0 for figures of now
 */
export function showTitle(oldSeconds) {
  const age = oldSeconds ? ` (${span(Math.floor(oldSeconds / 60) * 60 || oldSeconds)} old)` : "";
  const title = [`${word}${age}`, identity, NAME].filter(Boolean).join(" · ");
  if (document.title !== title) document.title = title;
}

/** Forget it all, as whoever looks next may not see it. */
export function forget() {
  word = identity = "";
  document.body.dataset.tone = "idle";
  document.title = NAME;
}
