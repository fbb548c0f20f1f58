// Makes calls with Firebase's client SDK, like an app's page. Each input line is a JSON request, each output line an answer.
// node client.mjs PROJECT AUTH_HOST FIRESTORE_HOST
//
// {"as": {"email", "password"} | null, "op", "path", "data"?}  ->  {"outcome": "allowed" | the SDK's error code}

import { createInterface } from "node:readline";

import { deleteApp, initializeApp } from "firebase/app";
import { connectAuthEmulator, getAuth, signInWithEmailAndPassword } from "firebase/auth";
import {
  addDoc,
  collection,
  connectFirestoreEmulator,
  deleteDoc,
  deleteField,
  doc,
  getDocFromServer,
  getDocsFromServer,
  getFirestore,
  increment,
  query,
  serverTimestamp,
  setDoc,
  setLogLevel,
  updateDoc,
  where,
  writeBatch,
} from "firebase/firestore";

const [projectId, authHost, firestoreHost] = process.argv.slice(2);
const SENTINELS = { deleteField, serverTimestamp, increment: () => increment(1000) };

const OPERATIONS = {
  get: (db, path) => getDocFromServer(doc(db, path)),
  list: (db, path) => getDocsFromServer(collection(db, path)),
  find: (db, path, data) => getDocsFromServer(query(collection(db, path), where(...data))),
  add: (db, path, data) => addDoc(collection(db, path), data),
  set: (db, path, data) => setDoc(doc(db, path), data),
  merge: (db, path, data) => setDoc(doc(db, path), data, { merge: true }),
  update: (db, path, data) => updateDoc(doc(db, path), data),
  delete: (db, path) => deleteDoc(doc(db, path)),
  recreate: (db, path, data) => writeBatch(db).delete(doc(db, path)).set(doc(db, path), data).commit(),
};

setLogLevel("silent");
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
process.exit(0);

async function answer({ as, op, path, data }) {
  const app = initializeApp({ apiKey: "any", projectId });
  try {
    const db = await database(app, as);
    await OPERATIONS[op](db, path, replaceSentinels(data));
    return { outcome: "allowed" };
  } catch (error) {
    return { outcome: error.code ?? String(error) };
  } finally {
    await deleteApp(app);
  }
}

async function database(app, as) {
  const auth = getAuth(app);
  connectAuthEmulator(auth, `http://${authHost}`, { disableWarnings: true });
  if (as) await signInWithEmailAndPassword(auth, as.email, as.password);
  const [host, port] = firestoreHost.split(":");
  const db = getFirestore(app);
  connectFirestoreEmulator(db, host, Number(port));
  return db;
}

// Texts like "$increment" stand for sentinels, which JSON can't hold.
function replaceSentinels(value) {
  if (typeof value === "string" && value.startsWith("$")) return SENTINELS[value.slice(1)]();
  if (Array.isArray(value) || value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replaceSentinels(each)]));
}
