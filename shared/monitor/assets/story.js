/**
 * One user's story: why the balance is what it is.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { askPauseUser, askRefresh } = await beside("actions.js");
const { getStory } = await beside("api.js");
const { plural, when, words } = await beside("format.js");

const form = byId("lookup");
const field = byId("user-id");
const place = byId("story");

let current = null;
let asked = 0;

/** From now on the form looks users up; one named in the page's own address at once. */
export function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    lookUp(field.value.trim());
  });
}

/**
 * Show that user's story, and put it where it is seen.
 * @param {string} userId
 */
export async function lookUp(userId) {
  if (!userId) return field.focus();
  field.value = userId;
  await load(userId);
  byId("story-title")?.focus();
}

/** Tell the story shown anew, after something was done. */
export async function reload() {
  if (current) await load(current.userId);
}

/** Forget it, as whoever looks next may not see it. */
export function forget() {
  current = null;
  field.value = "";
  place.replaceChildren();
}

async function load(userId) {
  const turn = (asked += 1);
  place.setAttribute("aria-busy", "true");
  try {
    const story = await getStory(userId);
    if (turn === asked) tell(story);
  } catch (error) {
    if (turn === asked) tellProblem(userId, error);
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function tellProblem(userId, error) {
  current = null;
  const known = error.code === "user_not_found";
  const text = known
    ? `There is no user ${userId}, and no receipt of one.`
    : `The story can't be told: ${error.message}`;
  show(place, make("p", { class: "problem", id: "story-title", tabindex: "-1", role: "alert" }, text));
}

function tell(story) {
  current = story;
  show(
    place,
    heading(story),
    make("p", { class: "explanation" }, story.explanation),
    problemOf(story),
    facts(story),
    buttons(story),
    receiptsOf(story),
    stampOf(story),
  );
}

function heading({ userId }) {
  return make("h3", { id: "story-title", tabindex: "-1" }, make("span", { class: "unseen" }, "User "), userId);
}

function problemOf({ problem }) {
  return problem
    ? make("p", { class: "problem" }, make("b", { class: "code" }, words(problem.code)), ` ${problem.message}`)
    : "";
}

function facts(story) {
  const rows = [
    ["Balance", story.balance ?? "–"],
    ["Plan", story.plan ?? "–"],
    ["Last refresh", when(story.lastRefresh)],
    ["Next refresh", story.paused ? "paused" : when(story.nextRefresh)],
    ["A refresh now would", decision(story.decision)],
  ];
  return make(
    "dl",
    { class: "facts" },
    ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))),
  );
}

function decision(decided) {
  if (!decided) return "–";
  return decided.action === "grant" ? `grant ${decided.granted ?? 0}` : `do nothing: ${words(decided.reason)}`;
}

function buttons({ userId, paused, found }) {
  if (!found) return "";
  return make(
    "div",
    { class: "buttons" },
    make("button", { type: "button", "data-key": "refresh-user", onclick: () => askRefresh(userId) }, "Refresh now"),
    make(
      "button",
      { type: "button", "data-key": "pause-user", onclick: () => askPauseUser(userId, paused) },
      paused ? "Resume this user" : "Pause this user",
    ),
  );
}

function receiptsOf(story) {
  if (!story.receipts.length)
    return make("div", {}, make("p", { class: "empty" }, `No receipt since ${story.receiptsFrom}.`), older(story));
  const columns = [
    { title: "Run" },
    { title: "Outcome" },
    { title: "Before", number: true },
    { title: "After", number: true },
    { title: "Settled", number: true },
    { title: "Job" },
  ];
  const rows = story.receipts.map((each) => [
    each.runId,
    outcome(each),
    balance(each.before),
    balance(each.after),
    when(each.time, each.runId),
    make("code", { class: "id" }, each.jobId),
  ]);
  return make(
    "div",
    {},
    make("h4", {}, plural(story.receipts.length, "receipt")),
    table({ caption: `Receipts of ${story.userId}`, columns, rows }),
    older(story),
  );
}

function outcome({ outcome: kind, reason, code, error }) {
  const why = [reason, code].filter(Boolean).map(words).join(", ");
  return [words(kind), why, error].filter(Boolean).join(": ");
}

function balance(value) {
  return value === null || value === undefined ? "–" : String(value);
}

function older(story) {
  if (!story.hasMore) return "";
  return make(
    "button",
    { type: "button", class: "small", "data-key": "older", onclick: () => more(story) },
    `Older than ${story.receiptsFrom}`,
  );
}

async function more(story) {
  try {
    const next = await getStory(story.userId, story.receiptsFrom);
    tell({
      ...story,
      receipts: [...story.receipts, ...next.receipts],
      receiptsFrom: next.receiptsFrom,
      hasMore: next.hasMore,
    });
  } catch (error) {
    place.append(make("p", { class: "problem", role: "alert" }, `Older receipts can't be had: ${error.message}`));
  }
}

function stampOf({ stamp }) {
  if (!stamp) return "";
  return make(
    "details",
    { "data-key": "stamp" },
    make("summary", {}, "The stamp on the document"),
    make("pre", { tabindex: "0" }, JSON.stringify(stamp, null, 2)),
  );
}
