/**
 * The user or the job that is looked at: one section at full width, which the page's address follows.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show } = await beside("dom.js");
const { getJob, getUser } = await beside("api.js");
const { jobParts } = await beside("job.js");
const { addressOf, go, place } = await beside("place.js");
const { announce } = await beside("notice.js");
const { userParts } = await beside("story.js");

const JOB_ID = /^\d{4}-\d{2}-\d{2}-[0-9a-f]{4}-/;

const section = byId("detail");
const field = byId("user-id");
const content = byId("story");

let shown = null; // what the section holds: {userId, jobId}
let asked = 0;

/** From now on the form looks up, and the buttons work. */
export function listen() {
  byId("lookup").addEventListener("submit", (event) => {
    event.preventDefault();
    lookUp(field.value.trim());
  });
  byId("detail-close").addEventListener("click", () => {
    go({ userId: null, jobId: null });
    field.focus();
  });
  byId("detail-link").addEventListener("click", copyLink);
}

function lookUp(id) {
  if (!id) return field.focus();
  return go(JOB_ID.test(id) ? { jobId: id, userId: null } : { userId: id, jobId: null });
}

/** Show what the page's address names, and put it where it is seen. */
export async function follow() {
  const { userId, jobId } = place();
  if (!userId && !jobId) return forget();
  if (shown?.userId === userId && shown?.jobId === jobId) return;
  shown = { userId, jobId };
  field.value = userId ?? jobId;
  await load();
  byId("detail-title").focus();
}

/** Read it anew, after something was done. */
export async function reload() {
  if (shown) await load();
}

/** Forget it, as whoever looks next may not see it. */
export function forget() {
  shown = null;
  asked += 1;
  field.value = "";
  section.hidden = true;
  byId("detail-title").textContent = "";
  content.replaceChildren();
}

async function load() {
  const turn = (asked += 1);
  const { userId, jobId } = shown;
  section.hidden = false;
  content.setAttribute("aria-busy", "true");
  byId("detail-title").replaceChildren(make("span", { class: "unseen" }, userId ? "User " : "Job "), userId ?? jobId);
  try {
    const parts = userId ? userParts(await getUser(userId)) : jobParts(await getJob(jobId));
    if (turn === asked) show(content, ...parts);
  } catch (error) {
    if (turn === asked) show(content, make("p", { class: "problem", role: "alert" }, problemWords(error)));
  } finally {
    if (turn === asked) content.removeAttribute("aria-busy");
  }
}

function problemWords(error) {
  const { userId, jobId } = shown;
  if (error.code === "user_not_found") return `There is no user ${userId}, and no receipt of one.`;
  if (error.code === "job_not_found") return `There is no job ${jobId}; it may be past its retention.`;
  return `It can't be read: ${error.message}`;
}

async function copyLink() {
  const address = addressOf({}).href;
  try {
    await navigator.clipboard.writeText(address);
    announce("The link was copied.");
  } catch {
    announce(`The browser does not allow copying here. The link is ${address}`);
  }
}
