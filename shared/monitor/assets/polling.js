/**
 * Asking again and again, but only while someone is looking, and less often while it fails.
 */

export const EVERY_SECONDS = 10;
const WAIT_SECONDS_MAX = 120;

/**
 * Seconds until the next try: twice as long after each failure, and never sooner than the answer asked for.
 * @param {number} failures  in a row
 * @param {number|null} retryAfterSeconds
 */
export function waitSeconds(failures, retryAfterSeconds = null) {
  const backedOff = Math.min(EVERY_SECONDS * 2 ** Math.max(0, failures - 1), WAIT_SECONDS_MAX);
  return Math.max(backedOff, Math.min(retryAfterSeconds ?? 0, 3600));
}

/** Calls `ask` at once, then whenever it is due and the page is visible. One call at a time. */
export class Polling {
  #ask;
  #timer = null;
  #failures = 0;
  #dueAt = 0;
  #running = null;
  #next = null;
  #stopped = true;

  /** @param {() => Promise<{ok: boolean, retryAfterSeconds?: number|null}>} ask */
  constructor(ask) {
    this.#ask = ask;
    document.addEventListener("visibilitychange", () => this.#plan());
  }

  /** Seconds until the next try. */
  get dueInSeconds() {
    return Math.max(0, Math.ceil((this.#dueAt - performance.now()) / 1000));
  }

  /** Begin, or begin anew. */
  start() {
    this.#stopped = false;
    return this.now();
  }

  /** Ask nothing more until started again. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /**
   * Ask now. If a call is under way, ask once more behind it, as that one may have been too early to see a change;
   * however often this is called meanwhile, it is one further call.
   */
  now() {
    if (this.#stopped) return Promise.resolve();
    if (!this.#running) return this.#run();
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#stopped ? undefined : this.#run();
    });
    return this.#next;
  }

  #run() {
    clearTimeout(this.#timer);
    this.#running = this.#ask().then((outcome) => {
      this.#running = null;
      this.#failures = outcome.ok ? 0 : this.#failures + 1;
      this.#dueAt = performance.now() + waitSeconds(this.#failures, outcome.retryAfterSeconds) * 1000;
      this.#plan();
    });
    return this.#running;
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#running || document.hidden) return;
    this.#timer = setTimeout(() => this.now(), Math.max(0, this.#dueAt - performance.now()));
  }
}
