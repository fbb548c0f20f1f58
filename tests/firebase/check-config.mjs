// Checks a firebase.json with Firebase's own schema, and prints the rewrite of each path from standard input.
// node check-config.mjs FILE < JSON array of paths  ->  {"problems": [], "rewrites": {path: the rewrite or null}}

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const Ajv = require("ajv");
const addFormats = require("ajv-formats");
const { configMatcher } = require("superstatic/lib/utils/patterns");

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ajv = new Ajv({ allowUnionTypes: true, allErrors: true });
addFormats(ajv);
const validate = ajv.compile(require("firebase-tools/schema/firebase-config.json"));
const problems = validate(config) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message}`);

const paths = JSON.parse(readFileSync(0, "utf8"));
const first = (path) => config.hosting.rewrites.find((rewrite) => configMatcher(path, rewrite)) ?? null;
process.stdout.write(JSON.stringify({ problems, rewrites: Object.fromEntries(paths.map((path) => [path, first(path)])) }));
