/** An app in Node beside Credit Refresh: a user signs up, spends, upgrades, and gets the credits. */

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { deleteApp, initializeApp } = require("firebase/app");
const {
  connectFirestoreEmulator, doc, getDoc, getFirestore, increment, onSnapshot, setDoc, terminate, updateDoc,
} = require("firebase/firestore");
const { startCreditRefresh } = require("./local_credit_refresh.cjs");

const WAIT_MS_MAX = 10_000;
let refresh, app, database;

before(async () => {
  refresh = await startCreditRefresh();
  app = initializeApp({ projectId: refresh.projectId });
  database = getFirestore(app);
  const [host, port] = refresh.emulatorHost.split(":");
  connectFirestoreEmulator(database, host, Number(port));
});

after(async () => {
  await terminate(database);
  await deleteApp(app);
  await refresh.stop();
});

const user = (id) => doc(database, "users", id);
const credits = async (id) => (await getDoc(user(id))).data().credits;

/** Wait for a state of the user for which `holds` is true. */
function waitFor(id, holds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { stop(); reject(new Error(`${id}: not within ${WAIT_MS_MAX} ms`)); }, WAIT_MS_MAX);
    const stop = onSnapshot(user(id), (snapshot) => {
      const data = snapshot.data();
      if (!data || !holds(data)) return;
      clearTimeout(timer);
      setTimeout(() => stop());
      resolve(data);
    });
  });
}

test("a new user gets the first credits at once", async () => {
  await setDoc(user("ann"), { credits: 0, plan: "free" });

  await waitFor("ann", (data) => data.credits === 50);
});

test("an upgrade is granted when the app requests it", async () => {
  await setDoc(user("dan"), { credits: 0, plan: "free" });
  await waitFor("dan", (data) => data.credits === 50);
  await updateDoc(user("dan"), { credits: increment(-20) });

  await updateDoc(user("dan"), { plan: "pro", "creditRefresh.refreshRequested": true });

  const upgraded = await waitFor("dan", (data) => data.credits === 2000);
  assert.equal(upgraded.creditRefresh.refreshRequested, undefined);
});

test("credits that were spent come back the next day", async () => {
  await setDoc(user("ben"), { credits: 50, plan: "free" });
  await updateDoc(user("ben"), { credits: increment(-20) });

  await refresh.moveClock(2);

  assert.equal(await credits("ben"), 50);
});

test("an upgrade is granted by a direct call", async () => {
  await setDoc(user("cleo"), { credits: 10, plan: "free" });
  await updateDoc(user("cleo"), { plan: "pro" });

  await refresh.refresh("cleo");

  assert.equal(await credits("cleo"), 2000);
});
