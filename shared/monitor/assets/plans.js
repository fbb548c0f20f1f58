/**
 * The users of the day by plan: as many as the day's scans queued, and their share.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { count, percent, plural } = await beside("format.js");

const SHOWN_FIRST = 10; // plans; the others come by a click

/** The section, where anybody was queued. */
export function showPlans({ plans, usersOfUncountedPlans }) {
  byId("plans-card").hidden = !plans.length;
  byId("plans-note").textContent = noteOf(plans, usersOfUncountedPlans);
  const first = plans.slice(0, SHOWN_FIRST);
  const others = plans.slice(SHOWN_FIRST);
  show(byId("plans"), plansTable("Queued users by plan", first), others.length ? more(others) : "");
}

function noteOf(plans, uncounted) {
  const all = plans.reduce((sum, { users }) => sum + users, uncounted);
  const rest = uncounted ? `; ${count(uncounted)} of them are not counted by plan` : "";
  return `${plural(all, "user")} queued by the day's scans${rest}`;
}

function plansTable(caption, plans) {
  const columns = [{ title: "Plan" }, { title: "Users", number: true }, { title: "Share", number: true }];
  return table({ caption, columns, rows: plans.map(({ plan, users, share }) => [plan, count(users), percent(share)]) });
}

function more(plans) {
  const title = `${plural(plans.length, "further plan")}`;
  return make("details", { "data-key": "plans-more" }, make("summary", {}, plural(plans.length, "further plan")), plansTable("Further plans", plans));
}
