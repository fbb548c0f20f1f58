/**
 * The page: asks for the statistics every ten seconds while it is looked at, and shows them.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const [
  { byId, make },
  { getConfig, getStatistics },
  { setZone, span },
  { EVERY_SECONDS, Polling },
  actions,
  charts,
  story,
  views,
] = await Promise.all(
  ["dom.js", "api.js", "format.js", "polling.js", "actions.js", "charts.js", "story.js", "views.js"].map(beside),
);

const OLD_SECONDS = 3 * EVERY_SECONDS;

const polling = new Polling(refresh);
let signIn = null; // the module, where one has to sign in
let statistics = null;
let shownAt = 0; // on the page's own clock …
let ageThen = 0; // … when the figures were already so old
let problem = "";

async function refresh() {
  byId("refresh").setAttribute("aria-busy", "true");
  try {
    draw(await getStatistics());
    return { ok: true };
  } catch (error) {
    return { ok: false, retryAfterSeconds: await failed(error) };
  } finally {
    byId("refresh").removeAttribute("aria-busy");
    showAge();
  }
}

function draw(answer) {
  statistics = answer;
  shownAt = performance.now();
  ageThen = Math.max(0, Date.parse(answer.endTime) - Date.parse(answer.generatedAt)) || 0;
  problem = "";
  setZone(answer.timezone);
  showOnly("figures");
  views.showStatus(answer);
  views.showUsers(answer);
  views.showTiles(answer);
  views.showControls(answer);
  charts.showHours(answer);
  charts.showJobs(answer, views.jobsTable(answer));
  views.showFailures(answer, actions.askRequeue, story.lookUp);
  views.showActivity(answer);
}

/** The last figures stay; what failed is said beside them. Returns the seconds the answer asked to wait. */
async function failed(error) {
  problem = error.message;
  if (signIn && error.status === 401) await askAgain();
  if (signIn && error.status === 403) refuse(error);
  return error.retryAfterSeconds ?? null;
}

async function askAgain() {
  polling.stop();
  await signIn.signedOutBecause("You were signed out; please sign in again.");
}

function refuse(error) {
  polling.stop();
  clear();
  const why = error.code === "not_admin" ? "but not as an admin." : `but refused: ${error.message}`;
  byId("refused-text").textContent = `You are signed in as ${signIn.who()}, ${why}`;
  showOnly("refused");
}

/** Nothing of what was shown stays behind for the next one. */
function clear() {
  statistics = null;
  problem = "";
  story.forget();
  charts.clear();
  for (const place of document.querySelectorAll("[data-drawn]")) place.replaceChildren();
  document.body.dataset.tone = "idle";
  showAge();
}

/** One of the page's parts: figures, sign-in, refused or waiting. */
function showOnly(part) {
  for (const each of document.querySelectorAll("[data-part]")) each.hidden = each.dataset.part !== part;
}

function showAge() {
  const age = Math.round((performance.now() - shownAt + ageThen) / 1000);
  const old = statistics && age > OLD_SECONDS;
  byId("age").textContent = statistics ? `Updated ${span(age)} ago` : "";
  byId("age").toggleAttribute("data-old", Boolean(old));
  byId("trouble").hidden = !problem;
  const kept = statistics ? "These are the last figures there were. " : "";
  tell(byId("trouble-text"), problem && `Not up to date: ${problem}. ${kept}`);
  byId("trouble-next").textContent = problem ? `Next try in ${span(polling.dueInSeconds)}.` : "";
}

/** Only what has changed is read aloud again. */
function tell(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function listen() {
  byId("refresh").addEventListener("click", () => polling.now());
  byId("try-now").addEventListener("click", () => polling.now());
  byId("pause").addEventListener("click", () => actions.askPause(byId("pause").dataset.action === "resume"));
  byId("rescan").addEventListener("click", () => actions.askRescan(statistics.runId));
  byId("try-again").addEventListener("click", tryAgain);
  actions.onChanged(() => Promise.all([polling.now(), story.reload()]));
  story.listen();
  setInterval(showAge, 1000);
}

/** The claim may have been granted since the token was made. */
async function tryAgain() {
  await signIn.renew();
  await polling.start();
}

async function enter() {
  await polling.start();
  const userId = new URLSearchParams(location.search).get("userId");
  if (userId && statistics) await story.lookUp(userId);
}

function signedIn(yes) {
  if (yes) return enter();
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
