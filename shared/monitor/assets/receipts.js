/**
 * Receipts in words and figures, as users and jobs show them.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { make } = await beside("dom.js");
const { words } = await beside("format.js");

/** "failed: bad balance: the balance is a text". */
export function outcomeWords({ outcome, reason, code, error }) {
  const why = [reason, code].filter(Boolean).map(words).join(", ");
  return [words(outcome ?? "not settled"), why, error].filter(Boolean).join(": ");
}

/** Names and values in columns. */
export function facts(rows) {
  return make(
    "dl",
    { class: "facts" },
    ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value ?? "–")))),
  );
}
