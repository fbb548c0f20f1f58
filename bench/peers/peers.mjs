// What people write by hand with the Node Admin SDK. Each way is a step that bench/measure.py starts and measures.
//
// The process works like bench/child.py. The arguments are the emulator's address, the name of the step and the
// project's spec as JSON. The process prints `ready` and waits for a line. Then it runs the step and prints the
// measurement as JSON.

import { once } from "node:events";

import { initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";

const ALLOWANCE = 50;
const BATCH = 500; // the largest number of writes in one WriteBatch

const [host, step, spec] = process.argv.slice(2);
process.env.FIRESTORE_EMULATOR_HOST = host;
process.env.METADATA_SERVER_DETECTION = "none"; // the emulator needs no credentials
const app = initializeApp({ projectId: JSON.parse(spec).project });
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

await firestore.doc("warm/0").get(); // connect before the measurement begins
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
