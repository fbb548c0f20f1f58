/**
 * One user: why the balance is what it is, what comes next, and what past jobs did.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, table } = await beside("dom.js");
const { askPauseUser, askRefresh } = await beside("actions.js");
const { getUser } = await beside("api.js");
const { plural, when, whenIn, words } = await beside("format.js");
const { announce } = await beside("notice.js");
const { jobLink } = await beside("parts.js");
const { facts, outcomeWords } = await beside("receipts.js");

const SHOWN_FIRST = 25; // receipts; the others come by a button

/** The parts of the section for a user. */
export function userParts(user) {
  return [
    make("p", { class: "explanation" }, user.explanation),
    ...problemsOf(user),
    facts(factsOf(user)),
    buttonsOf(user),
    receiptsOf(user, SHOWN_FIRST),
    stampOf(user),
  ];
}

function problemsOf({ problem, zoneProblem }) {
  const found = [problem, zoneProblem && { code: "bad_zone", message: zoneProblem }].filter(Boolean);
  return found.map(({ code, message }) =>
    make("p", { class: "problem" }, make("b", { class: "code" }, words(code)), ` ${message}`),
  );
}

function factsOf(user) {
  return [
    ["Balance", user.balance],
    ["Plan", user.plan],
    ["Last refresh", moment(user, user.lastRefresh)],
    ["Granted then", user.lastGranted],
    ["Next refresh", user.paused ? "paused" : moment(user, user.nextRefresh)],
    ["A refresh now would", decision(user.decision)],
    ...(user.zone ? [["The user's day", `${user.localDate} in ${user.zone}`]] : []),
  ];
}

/** A moment in the schedule's zone, and beside it in the user's own, if there is one. */
function moment({ zone }, value) {
  const own = zone && value ? whenIn(zone, value) : null;
  return own ? `${when(value)} (${own} in ${zone})` : when(value);
}

function decision(decided) {
  if (!decided) return "–";
  return decided.action === "grant" ? `grant ${decided.granted ?? 0}` : `do nothing: ${words(decided.reason)}`;
}

function buttonsOf({ userId, paused, found }) {
  if (!found) return "";
  return make(
    "div",
    { class: "buttons acts" },
    make("button", { type: "button", "data-key": "refresh-user", onclick: () => askRefresh(userId) }, "Refresh now"),
    make(
      "button",
      { type: "button", "data-key": "pause-user", onclick: () => askPauseUser(userId, paused) },
      paused ? "Resume this user" : "Pause this user",
    ),
  );
}

function receiptsOf(user, shown) {
  if (!user.receipts.length)
    return make("div", { id: "receipts" }, make("p", { class: "empty" }, `No receipt since ${user.receiptsFrom}.`), older(user));
  const columns = [
    { title: "Run" },
    { title: "Outcome" },
    { title: "Before", number: true },
    { title: "Granted", number: true },
    { title: "After", number: true },
    { title: "Settled", number: true },
    { title: "Job" },
  ];
  const rows = user.receipts.slice(0, shown).map((each) => [
    each.runId ?? "–",
    each.kind ? `${outcomeWords(each)} (${words(each.kind)})` : outcomeWords(each),
    number(each.before),
    number(each.granted),
    number(each.after),
    when(each.time, each.runId),
    jobLink(each.jobId),
  ]);
  return make(
    "div",
    { id: "receipts" },
    make("h3", {}, plural(user.receipts.length, "receipt")),
    table({ caption: `Receipts of ${user.userId}`, columns, rows, stacks: true }),
    user.receipts.length > shown ? all(user) : older(user),
  );
}

function number(value) {
  return value === null || value === undefined ? "–" : String(value);
}

function all(user) {
  const onclick = () => byId("receipts").replaceWith(receiptsOf(user, user.receipts.length));
  return make("button", { type: "button", class: "small", onclick }, `Show all ${user.receipts.length}`);
}

function older(user) {
  if (!user.hasMore) return "";
  return make(
    "button",
    { type: "button", class: "small", "data-key": "older", onclick: () => more(user) },
    `Older than ${user.receiptsFrom}`,
  );
}

async function more(user) {
  try {
    const next = await getUser(user.userId, user.receiptsFrom);
    const receipts = [...user.receipts, ...next.receipts];
    const together = { ...user, receipts, receiptsFrom: next.receiptsFrom, hasMore: next.hasMore };
    byId("receipts").replaceWith(receiptsOf(together, receipts.length));
  } catch (error) {
    announce(`Older receipts can't be read: ${error.message}`, true);
  }
}

function stampOf({ stamp }) {
  if (!stamp) return "";
  return make(
    "details",
    { "data-key": "stamp" },
    make("summary", {}, "The stamp on the document"),
    make("pre", { tabindex: "0", "aria-label": "The stamp on the document" }, JSON.stringify(stamp, null, 2)),
  );
}
