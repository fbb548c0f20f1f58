/**
 * Where the reader is: the day, and the user or job looked at. The page's address follows, so that it can be sent on.
 */

const KEYS = ["runId", "userId", "jobId"];
const listeners = [];

/** What the address says: `{runId, userId, jobId}`, each a text or null. */
export function place() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(KEYS.map((key) => [key, query.get(key)]));
}

/** The moment that every call is to be made at; only the emulator allows one. */
export function asOf() {
  const moment = new URLSearchParams(location.search).get("asOf");
  return moment === null ? {} : { asOf: moment };
}

/**
 * Go somewhere else: what is not named stays, null takes it out of the address.
 * @param {{runId?: string|null, userId?: string|null, jobId?: string|null}} changes
 */
export function go(changes) {
  const before = location.href;
  const address = addressOf(changes);
  if (address.href !== before) history.pushState(null, "", address);
  for (const listener of listeners) listener(place());
}

/** The address of a place, without going there. */
export function addressOf(changes) {
  const address = new URL(location.href);
  address.hash = "";
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) address.searchParams.delete(key);
    else address.searchParams.set(key, value);
  }
  return address;
}

/**
 * Called with the place after each move, the browser's own back and forward included.
 * @param {(place: object) => void} listener
 */
export function onMove(listener) {
  listeners.push(listener);
}

addEventListener("popstate", () => {
  for (const listener of listeners) listener(place());
});
