/**
 * Speaking to the function this page came from. Its address is the page's own, less the query. It begins with the origin:
 * a path such as `//host/path` alone would be an address on another host.
 */

const TIMEOUT_MS = 30_000;

/** What the page's own address says that every call is to say too: which day, and on the emulator which moment. */
const PASSED_ON = ["asOf", "runId"];

const own = new URLSearchParams(location.search);
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

/** The statistics of the day. */
export function getStatistics() {
  return call(
    "GET",
    Object.fromEntries(PASSED_ON.filter((name) => own.has(name)).map((name) => [name, own.get(name)])),
  );
}

/**
 * One user's story.
 * @param {string} userId
 * @param {string|null} before  only receipts older than this date
 */
export function getStory(userId, before = null) {
  return call("GET", { userId, ...(before && { before }), ...asOf() });
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

function asOf() {
  return own.has("asOf") ? { asOf: own.get("asOf") } : {};
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
