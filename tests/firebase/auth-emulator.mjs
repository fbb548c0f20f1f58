// Firebase's Auth emulator, by itself: no hub, no log-in, no network. Ends when its standard input does.
import { createRequire } from "node:module";
import { once } from "node:events";

const require = createRequire(import.meta.url);
const [projectId, port] = process.argv.slice(2);
const { AuthEmulator, SingleProjectMode } = require("firebase-tools/lib/emulator/auth");

const emulator = new AuthEmulator({
  host: "127.0.0.1",
  port: Number(port),
  projectId,
  singleProjectMode: SingleProjectMode.NO_WARNING,
});
await emulator.start();
process.stdin.resume();
await once(process.stdin, "end");
process.exit(0);
