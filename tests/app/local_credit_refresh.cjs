/**
 * Credit Refresh beside an app's own tests in Node. Copy this file into an app.
 *
 * It needs a checkout of Credit Refresh whose `make emulator` has run. REFRESH_CHECKOUT names its folder.
 */

const { spawn } = require("node:child_process");
const { existsSync, mkdtempSync, readFileSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join, resolve } = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

const CHECKOUT = process.env.REFRESH_CHECKOUT ?? resolve(__dirname, "../..");
const START_MS_MAX = 90_000;

/** Start everything on free ports, without users. `environment`: options of `make dev`. */
async function startCreditRefresh(environment = {}) {
  const folder = mkdtempSync(join(tmpdir(), "credit-refresh-"));
  const ready = join(folder, "ready.json");
  const child = spawn(join(CHECKOUT, ".venv/bin/python"), ["-m", "dev.serve", "--ready-file", ready], {
    cwd: CHECKOUT,
    env: { ...process.env, PORT: "0", EMULATOR_PORT: "0", SAMPLES: "0", ...environment },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
  };
  const deadline = Date.now() + START_MS_MAX;
  while (!existsSync(ready)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error("Credit Refresh did not start");
    }
    await sleep(100);
  }
  const { functions, dev, emulatorHost, projectId } = JSON.parse(readFileSync(ready, "utf8"));
  return {
    emulatorHost,
    projectId,
    /** The address of the direct call. */
    url: functions.credit_refresh,
    stop,
    /** Play so many days, hour by hour. It takes seconds. */
    moveClock: (days) => post(`${dev}/clock`, { days }),
    /** Refresh these users now. */
    refresh: (...userIds) => post(functions.credit_refresh, { userIds }),
  };
}

async function post(url, body) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
}

module.exports = { startCreditRefresh };
