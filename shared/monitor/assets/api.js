/**
 * Calls to the function this page came from. Its address is the page's own, without the query. It begins with the origin:
 * a path such as `//host/path` alone would be an address on another host.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { asOf } = await beside("place.js");

const TIMEOUT_MS = 30_000;
const HEALTH_TIMEOUT_MS = 10_000;

let tokenOf = async () => null;

/** A call that didn't succeed: status 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfterSeconds = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * Where each call gets its token from.
 * @param {() => Promise<string|null>} source
 */
export function useTokens(source) {
  tokenOf = source;
}

/**
 * The overview of today, or of another day.
 * @param {string|null} runId
 */
export function getOverview(runId) {
  return call("GET", { ...(runId && { runId }), ...asOf() });
}

/**
 * One user's history.
 * @param {string} userId
 * @param {string|null} before  only receipts older than this date
 */
export function getUser(userId, before = null) {
  return call("GET", { userId, ...(before && { before }), ...asOf() });
}

/**
 * One job.
 * @param {string} jobId
 */
export function getJob(jobId) {
  return call("GET", { jobId, ...asOf() });
}

/**
 * A view beside the overview: failures, days, activity, or what an action would do.
 * @param {string} view
 * @param {Object<string, string|null|undefined>} query  empty values are left out
 */
export function getView(view, query = {}) {
  const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value));
  return call("GET", { view, ...given, ...asOf() });
}

/** What the public health check says: `{status, reasons}`; null if it does not answer either. */
export async function getHealth() {
  const path = `${location.pathname.replace(/\/+$/, "")}/health`;
  const search = new URLSearchParams(asOf()).toString();
  try {
    const options = { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) };
    const body = await (await send(search ? `${path}?${search}` : path, options)).json();
    return Array.isArray(body?.reasons) ? body : null;
  } catch {
    return null;
  }
}

/**
 * One action.
 * @param {{action: string}} body
 */
export function act(body) {
  return call("POST", {}, { ...body, ...asOf() });
}

/** What the page has to know before anyone has signed in. */
export async function getConfig() {
  return read(await send("?asset=config.json", { headers: { Accept: "application/json" } }));
}

async function call(method, query, body) {
  const headers = { Accept: "application/json" };
  const token = await tokenOf();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const search = new URLSearchParams(query).toString();
  const address = location.origin + location.pathname + (search && `?${search}`);
  return read(await send(address, { method, headers, body: body && JSON.stringify(body) }));
}

async function send(address, options) {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(address, {
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal,
      ...options,
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ApiError(
      0,
      late ? "timeout" : "unreachable",
      late ? "the monitor did not answer in time" : "the monitor can't be reached",
    );
  }
}

async function read(answer) {
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  const told = body?.error ?? {};
  const message = told.message ?? `the monitor answered ${answer.status} without saying why`;
  throw new ApiError(answer.status, told.code ?? "unknown", message, retryAfter(answer));
}

function retryAfter(answer) {
  const seconds = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
}
