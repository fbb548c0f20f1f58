/**
 * The failed users of one cause: all of them, page by page; to copy, and as a file.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { getView } = await beside("api.js");
const { count, plural, when, words } = await beside("format.js");
const { announce } = await beside("notice.js");
const { jobLink, userLink } = await beside("parts.js");

const PAGES_MAX = 500; // of one list, at a hundred users or more each
const COLUMNS = ["userId", "code", "error", "jobId", "since", "timestamp"];

let list = null; // {runId, code, users, cursor, unnamed}

/** Show the first of them. */
export async function showFailedUsers(runId, code) {
  list = { runId, code, users: [], cursor: null, unnamed: 0 };
  await more(list);
  byId("failed-users-title")?.focus();
}

/** Take the list away. */
export function forget() {
  list = null;
  show(byId("failed-users"));
}

/** Read one more page of the list; false if somebody asked for another list meanwhile, or it failed. */
async function more(wanted) {
  try {
    const { runId, code, cursor } = wanted;
    const page = await getView("failures", { runId, code, cursor });
    if (list !== wanted) return false;
    wanted.users.push(...page.users);
    wanted.cursor = page.cursor;
    wanted.unnamed += page.unnamedUsers;
    draw(wanted);
    return true;
  } catch (error) {
    if (list === wanted) announce(`The users can't be read: ${error.message}`, true);
    return false;
  }
}

function draw(shown) {
  const { code, users, cursor, unnamed, runId } = shown;
  const columns = [{ title: "User" }, { title: "Reason" }, { title: "Job" }, { title: "At", number: true }];
  const rows = users.map((each) => [
    userLink(each.userId),
    each.error ?? words(each.code),
    each.jobId ? jobLink(each.jobId) : foundWords(each),
    when(each.timestamp, runId),
  ]);
  const title = `${cursor ? "The first " : ""}${plural(users.length, "user")} failed with “${words(code)}”`;
  show(
    byId("failed-users"),
    make("h3", { id: "failed-users-title", tabindex: "-1" }, title),
    make("p", { class: "buttons" }, ...buttonsOf(shown)),
    table({ caption: title, columns, rows, stacks: true }),
    unnamed ? make("p", { class: "note" }, `${plural(unnamed, "further user")}, found by the builder, are not kept by name.`) : "",
    cursor ? button("more-users", "Show more", () => more(shown)) : "",
  );
}

function foundWords({ since }) {
  return since ? `found by the builder each day since ${since}` : "found by the builder";
}

function buttonsOf(shown) {
  return [
    button("copy-users", "Copy ids", () => withAll(shown, copyIds)),
    button("csv-users", "Download CSV", () => withAll(shown, download)),
    button("close-users", "Close", close),
  ];
}

function button(key, text, onclick) {
  return make("button", { type: "button", class: "small", "data-key": key, onclick }, text);
}

function close() {
  const { code } = list;
  forget();
  document.querySelector(`[data-key="${CSS.escape(`users-${code}`)}"]`)?.focus();
}

/** Read what is left of the list, then do something with all of it. */
async function withAll(shown, use) {
  for (let page = 0; shown.cursor && page < PAGES_MAX; page += 1) if (!(await more(shown))) return;
  await use(shown);
}

async function copyIds({ users }) {
  const ids = users.map(({ userId }) => userId).filter(Boolean);
  try {
    await navigator.clipboard.writeText(ids.join("\n"));
    announce(`${count(ids.length)} ids were copied.`);
  } catch {
    announce("The browser does not allow copying here; download the CSV instead.", true);
  }
}

function download({ runId, code, users }) {
  const lines = [COLUMNS, ...users.map((user) => COLUMNS.map((name) => user[name] ?? ""))];
  const text = lines.map((cells) => cells.map(cellOf).join(",")).join("\r\n");
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: address, download: `failed-${runId}-${code}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Quoted; and a text that a spreadsheet would take for a formula stays a text. */
function cellOf(value) {
  const text = String(value).replaceAll('"', '""');
  return `"${/^[=+\-@\t\r]/.test(text) ? "'" : ""}${text}"`;
}
