/**
 * The steps of a first run, each done or with what to do.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show } = await beside("dom.js");
const { clock } = await beside("format.js");

/** Show them as long as they are not all done. */
export function showSetup(overview) {
  if (!overview.setup) return show(byId("setup"));
  const steps = stepsOf(overview).map(({ done, title, hint }) =>
    make(
      "li",
      { "data-done": done ? "yes" : "no" },
      make("b", {}, `${done ? "✓" : "○"} ${title}`),
      make("span", { class: "unseen" }, done ? " (done)" : " (to do)"),
      done ? "" : make("span", { class: "note" }, ` ${hint}`),
    ),
  );
  return show(byId("setup"), make("ol", { class: "setup", "aria-label": "Steps of a first run" }, ...steps));
}

function stepsOf({ setup, builder, worker, usersCollection, balanceField }) {
  return [
    {
      done: setup.scheduleSeen,
      title: "The schedule calls",
      hint: "No function has been called yet. Look at the jobs of Cloud Scheduler and at their last answer.",
    },
    { done: setup.builderRan, title: "The builder ran", hint: `It is called next at ${clock(builder.nextRun)}.` },
    { done: setup.workerRan, title: "The worker ran", hint: `It is called next at ${clock(worker.nextRun)}.` },
    {
      done: setup.usersFound,
      title: "Users were found",
      hint: `They are looked for in ${usersCollection}, with a number in ${balanceField}. Settings can name others.`,
    },
  ];
}
