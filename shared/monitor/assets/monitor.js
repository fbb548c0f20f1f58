/**
 * The page: asks for the overview every ten seconds while it is looked at, and has each section show its part.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const [
  { byId, make },
  { getConfig, getHealth, getOverview },
  { setZone, span },
  { EVERY_SECONDS, Polling },
  { go, onMove, place },
  headline,
  actions,
  activity,
  charts,
  days,
  detail,
  dialog,
  failures,
  notice,
  plans,
  setup,
  tiles,
  { jobsTable },
] = await Promise.all(
  [
    "dom.js",
    "api.js",
    "format.js",
    "polling.js",
    "place.js",
    "headline.js",
    "actions.js",
    "activity.js",
    "charts.js",
    "days.js",
    "detail.js",
    "dialog.js",
    "failures.js",
    "notice.js",
    "plans.js",
    "setup.js",
    "tiles.js",
    "parts.js",
  ].map(beside),
);

const OLD_SECONDS = 3 * EVERY_SECONDS;

const polling = new Polling(refresh);
let signIn = null; // the module, where one has to sign in
let signedInAs = null;
let overview = null;
let shownAt = 0; // on the page's own clock …
let ageThen = 0; // … when the figures were already so old
let problem = "";

async function refresh() {
  const { runId } = place();
  byId("refresh").setAttribute("aria-busy", "true");
  try {
    const answer = await getOverview(runId);
    if (runId === place().runId) draw(answer);
    return { ok: true };
  } catch (error) {
    return { ok: false, retryAfterSeconds: await failed(error) };
  } finally {
    byId("refresh").removeAttribute("aria-busy");
    showAge();
  }
}

function draw(answer) {
  overview = answer;
  shownAt = performance.now();
  ageThen = Math.max(0, Date.parse(answer.endTime) - Date.parse(answer.generatedAt)) || 0;
  problem = "";
  setZone(answer.timezone);
  dialog.setWhere([answer.environment, answer.project, answer.usersCollection].filter(Boolean).join(" · "), answer.timezone);
  showOnly("figures");
  headline.showStatus(answer);
  setup.showSetup(answer);
  days.showNavigation(answer);
  tiles.showUsers(answer);
  tiles.showTiles(answer);
  plans.showPlans(answer);
  showControls(answer);
  charts.showHours(answer);
  charts.showJobs(answer, jobsTable(answer));
  failures.showFailures(answer);
  activity.showActivity(answer);
  days.refreshStrip(answer);
  dialog.resume();
}

/** What may be done, and what the switch would do now. Nothing is done to a day that is past but requeueing. */
function showControls({ paused, health, mayAct }) {
  const isToday = Boolean(health);
  document.body.dataset.mayAct = mayAct === false ? "no" : "yes";
  byId("read-only").hidden = mayAct !== false;
  byId("controls").hidden = !isToday;
  const button = byId("pause");
  button.textContent = paused ? "Resume" : "Pause";
  button.dataset.action = paused ? "resume" : "pause";
  byId("pause-what").textContent = paused ? "Go on with the refresh" : "Pause the whole refresh";
  byId("pause-note").textContent = paused
    ? "what fell due meanwhile is done then"
    : "who is due waits and loses nothing";
}

/** The last figures stay; the headline says that they are not of now. Returns the seconds the answer asked to wait. */
async function failed(error) {
  if (signIn && error.status === 401) await askAgain();
  else if (signIn && error.status === 403) refuse(error);
  else if (error.status === 400) noSuchDay(error);
  else await unknown(error);
  return error.retryAfterSeconds ?? null;
}

async function unknown(error) {
  problem = error.message;
  const last = { overview, at: Date.now() - ageInSeconds() * 1000 };
  if (!overview) showOnly("unknown");
  headline.showUnknown({ ...last, health: null });
  const health = await getHealth();
  if (problem) headline.showUnknown({ ...last, health });
}

function noSuchDay(error) {
  polling.stop();
  byId("no-day-text").textContent = error.message;
  byId("day-nav").hidden = true;
  showOnly("no-day");
}

async function askAgain() {
  polling.stop();
  dialog.suspend();
  await signIn.signedOutBecause("You were signed out; please sign in again.");
}

function refuse(error) {
  polling.stop();
  dialog.suspend();
  clear();
  const why = error.code === "not_admin" ? "but not as an admin." : `but refused: ${error.message}`;
  byId("refused-text").textContent = `You are signed in as ${signIn.who()}, ${why}`;
  showOnly("refused");
}

/** Nothing of what was shown stays behind for the next one. */
function clear() {
  overview = null;
  problem = "";
  for (const part of [detail, charts, failures, activity, days, headline]) part.forget();
  notice.dismiss();
  byId("day-nav").hidden = true;
  for (const drawn of document.querySelectorAll("[data-drawn]")) drawn.replaceChildren();
  showAge();
}

/** One of the page's parts: figures, sign-in, refused, waiting, unknown or no-day. */
function showOnly(part) {
  for (const each of document.querySelectorAll("[data-part]"))
    each.hidden = !each.dataset.part.split(" ").includes(part);
}

function ageInSeconds() {
  return Math.round((performance.now() - shownAt + ageThen) / 1000);
}

function showAge() {
  const age = ageInSeconds();
  const old = Boolean(overview) && age > OLD_SECONDS;
  byId("age").textContent = overview ? `Updated ${span(age)} ago` : "";
  byId("age").toggleAttribute("data-old", old);
  if (overview || problem) headline.showTitle(old ? age : 0);
  byId("trouble").hidden = !problem;
  const kept = overview ? "These are the last figures there were. " : "";
  tell(byId("trouble-text"), problem && `Not up to date: ${problem}. ${kept}`);
  byId("trouble-next").textContent = problem ? `Next try in ${span(polling.dueInSeconds)}.` : "";
}

/** Only what has changed is read aloud again. */
function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function listen() {
  byId("refresh").addEventListener("click", () => polling.now());
  byId("try-now").addEventListener("click", () => polling.now());
  byId("pause").addEventListener("click", () => actions.askPause(byId("pause").dataset.action === "resume"));
  byId("rescan").addEventListener("click", () => actions.askRescan(overview.runId));
  byId("try-again").addEventListener("click", tryAgain);
  byId("no-day-today").addEventListener("click", () => go({ runId: null }));
  dialog.listen({ changed: afterAction, refused: failed });
  onMove(follow);
  for (const part of [days, detail, activity]) part.listen();
  setInterval(showAge, 1000);
}

async function afterAction() {
  days.forget();
  await Promise.all([polling.now(), detail.reload()]);
}

/** The address has changed: another day, another user, another job. */
async function follow({ runId }) {
  const isOtherDay = !overview || runId !== (overview.runId === overview.today ? null : overview.runId);
  if (isOtherDay) failures.forget();
  await Promise.all([isOtherDay && polling.start(), detail.follow()]);
}

/** The claim may have been granted since the token was made. */
async function tryAgain() {
  await signIn.renew();
  await polling.start();
}

async function enter() {
  await polling.start();
  if (overview) await detail.follow();
}

function signedIn(who) {
  if (who && who !== signedInAs) dialog.forgetDraft();
  if (who) {
    signedInAs = who;
    return enter();
  }
  polling.stop();
  clear();
  showOnly("signin");
  return byId("email").focus();
}

/** Another kind of credit in the project has a monitor of its own. */
function showOthers(others) {
  const links = others.map(({ name, address }) => make("a", { href: address }, name));
  byId("others").replaceChildren(...links.flatMap((link) => [link, " "]));
  byId("others").hidden = links.length === 0;
}

async function begin() {
  const config = await getConfig();
  showOthers(config.otherMonitors ?? []);
  if (config.auth !== "on") return enter();
  signIn = await beside("signin.js");
  return signIn.begin(config, signedIn);
}

listen();
await begin().catch((error) => {
  byId("waiting").textContent = `The page can't begin: ${error.message}. Load it again.`;
});
