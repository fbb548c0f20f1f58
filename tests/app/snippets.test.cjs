/** The Node code of docs/app.md works, with the Admin SDK beside the real functions. */

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { join } = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const { deleteApp, initializeApp } = require("firebase-admin/app");
const { getFirestore } = require("firebase-admin/firestore");
const { startCreditRefresh } = require("./local_credit_refresh.cjs");
const app = require("./snippets.cjs");

const WAIT_MS_MAX = 20_000;
let refresh, firebase, db;
let number = 0;

before(async () => {
  refresh = await startCreditRefresh({
    CREDIT_REFRESH_PLANS_FILE: join(__dirname, "plans.toml"),
    CREDIT_REFRESH_PURCHASED_FIELD: "purchased",
  });
  process.env.FIRESTORE_EMULATOR_HOST = refresh.emulatorHost;
  firebase = initializeApp({ projectId: refresh.projectId });
  db = getFirestore(firebase);
});

after(async () => {
  await deleteApp(firebase);
  await refresh.stop();
});

const read = async (uid) => (await db.doc(`users/${uid}`).get()).data();
const served = (data) => data.creditRefresh.refreshRequested === undefined;

/** Wait until that holds for the user, and return the user. */
async function waitFor(uid, holds) {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const data = await read(uid);
    if (data && holds(data)) return data;
    assert.ok(Date.now() < deadline, JSON.stringify(data));
    await sleep(100);
  }
}

/** Create a user, and wait for the first credits. */
async function newUser() {
  const uid = `user-${(number += 1)}`;
  await app.createUser(db, uid, "Ann");
  await waitFor(uid, (data) => data.credits === 50);
  return uid;
}

const today = (moved) => moved.now.slice(0, 10);
const daysFrom = (day, days) => new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10);

test("a new user gets the first credits and knows the next refresh", async () => {
  const uid = await newUser();

  assert.ok(app.nextRefresh(await db.doc(`users/${uid}`).get()) instanceof Date);
});

test("both ways of spending are guarded", async () => {
  const uid = await newUser();

  const spenders = [1, 2, 3, 4].map(() => app.spendCheaply(db, uid, 6));
  assert.deepEqual([await app.spend(db, uid, 6), ...(await Promise.all(spenders))], Array(5).fill(true));

  assert.equal((await read(uid)).credits, 20);
  assert.equal(await app.spend(db, uid, 21), false);
  assert.equal(await app.spendCheaply(db, uid, 21), false);
});

test("bought credits survive the next refresh", async () => {
  const uid = await newUser();
  assert.deepEqual([await app.sell(db, uid, "order-1", 500), await app.sell(db, uid, "order-1", 500)], [true, false]);
  await app.spend(db, uid, 30);

  await refresh.moveClock(2);

  const { credits, purchased } = await read(uid);
  assert.deepEqual([credits, purchased], [550, 500]);
  assert.deepEqual([await app.refund(db, "order-1"), await app.refund(db, "order-1")], [true, false]);
  assert.equal((await read(uid)).credits, 50);
  assert.equal((await waitFor(uid, served)).creditRefresh.dueOn, "when-low");
});

test("an upgrade is granted and a cancellation keeps what was bought", async () => {
  const uid = await newUser();
  await app.changePlan(db, uid, "pro");
  assert.equal((await waitFor(uid, served)).credits, 2000);
  await app.sell(db, uid, "order-2", 100);

  await app.cancel(db, uid, 50);

  assert.equal((await waitFor(uid, served)).credits, 150);
});

test("a user's own allowance holds from the next period on", async () => {
  const uid = await newUser();
  const day = today(await refresh.moveClock(1));
  await app.giveOwnAllowance(db, uid, "free", 700, daysFrom(day, 3));
  await waitFor(uid, served);

  await refresh.moveClock(2);

  assert.equal((await read(uid)).credits, 700);
});

test("a billing date begins a new period", async () => {
  const uid = await newUser();
  await app.changePlan(db, uid, "pro");
  await waitFor(uid, served);
  const yesterday = daysFrom(today(await refresh.moveClock(3)), -1);

  await app.billFrom(db, uid, yesterday);

  const { creditRefresh } = await waitFor(uid, served);
  assert.deepEqual([creditRefresh.anchor, creditRefresh.periods.pro], [yesterday, yesterday]);
});

test("a user who comes back is not granted again", async () => {
  const uid = await newUser();
  await app.spend(db, uid, 40);
  await app.sell(db, uid, "order-3", 100);
  await app.deleteUser(db, uid);

  await app.createAgain(db, uid, { name: "Ann", plan: "free" });
  await refresh.refresh(uid);

  const { credits, purchased } = await read(uid);
  assert.deepEqual([credits, purchased], [110, 100]);
  await refresh.moveClock(2);
  assert.equal((await read(uid)).credits, 150);
});

test("a direct call sends an identity token", async () => {
  const uid = await newUser();

  const answer = await app.refillNow(refresh.url, uid);

  assert.deepEqual([answer.totalUsers, answer.failedUsers], [1, 0]);
});
