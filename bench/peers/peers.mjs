// What people write by hand with the Node Admin SDK, each as a step that bench/measure.py starts and measures.
//
// Started with the emulator's address, the step and the plot. Says `ready`, waits for a line, runs the step, and
// prints its measurement as JSON, like bench/child.py.

import { once } from "node:events";

import { initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";

const ALLOWANCE = 50;
const BATCH = 500; // writes that one WriteBatch takes

const [host, step, plot] = process.argv.slice(2);
process.env.FIRESTORE_EMULATOR_HOST = host;
process.env.METADATA_SERVER_DETECTION = "none"; // no credentials are needed, so none are looked for
const app = initializeApp({ projectId: JSON.parse(plot).project });
const firestore = getFirestore(app);

async function findUsers() {
  const found = await firestore.collection("users").where("credits", "<", ALLOWANCE).get();
  return found.docs;
}

async function writeInBulk(options) {
  const writer = firestore.bulkWriter(options);
  const users = await findUsers();
  for (const user of users) {
    writer.update(user.ref, { credits: ALLOWANCE });
  }
  await writer.close();
  return users.length;
}

const STEPS = {
  node_bulk_writer: () => writeInBulk({}),
  node_bulk_writer_unthrottled: () => writeInBulk({ throttling: false }),

  async node_write_batch() {
    const users = await findUsers();
    for (let start = 0; start < users.length; start += BATCH) {
      const batch = firestore.batch();
      for (const user of users.slice(start, start + BATCH)) {
        batch.update(user.ref, { credits: ALLOWANCE });
      }
      await batch.commit();
    }
    return users.length;
  },
};

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

await firestore.doc("warm/0").get(); // the connection is up before the clock runs
console.log("ready");
await once(process.stdin, "data");
const began = Date.now() / 1000;
const cpu = cpuSeconds();
const users = await STEPS[step]();
console.log(
  JSON.stringify({
    began,
    ended: Date.now() / 1000,
    cpu_seconds: cpuSeconds() - cpu,
    peak_mb: process.resourceUsage().maxRSS / 1024,
    figures: { users },
  }),
);
process.exit();
