// Runs only Firebase's Auth emulator, on loopback, without hub and log-in. It ends when its standard input is closed.
// node auth-emulator.mjs PROJECT PORT

import { once } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { AuthEmulator, SingleProjectMode } = require("firebase-tools/lib/emulator/auth");

const [projectId, port] = process.argv.slice(2);
const emulator = new AuthEmulator({
  host: "127.0.0.1",
  port: Number(port),
  projectId,
  singleProjectMode: SingleProjectMode.NO_WARNING, // a token of another project is one of the cases
});
await emulator.start();

process.stdin.resume();
await once(process.stdin, "end");
process.exit(0);
