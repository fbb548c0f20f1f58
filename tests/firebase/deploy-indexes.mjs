// Does what `firebase deploy --only firestore:indexes --force` does with an index file, with firebase-tools' own code.
// FIRESTORE_URL=ADDRESS node deploy-indexes.mjs PROJECT FILE

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { setAccessToken } = require("firebase-tools/lib/apiv2");
const { FirestoreApi } = require("firebase-tools/lib/firestore/api");

const [project, file] = process.argv.slice(2);
const { indexes = [], fieldOverrides = [] } = JSON.parse(readFileSync(file, "utf8"));
setAccessToken("made-up");
await new FirestoreApi().deploy({ project, force: true, nonInteractive: true }, indexes, fieldOverrides);
