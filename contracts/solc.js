#!/usr/bin/env node
// Lets forge use the compiler that npm installed (a JavaScript build) as if it were a native solc:
// the two calls that forge makes are `--version` and `--standard-json` on stdin. No compiler is
// ever downloaded. Files outside this folder cannot be imported (there is no import callback).
"use strict";

const solc = require("solc");

const args = process.argv.slice(2);

if (args.includes("--version")) {
  // forge parses the build platform and does not know the JavaScript one.
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${version}`);
} else if (args.includes("--standard-json")) {
  const input = require("fs").readFileSync(0, "utf8");
  process.stdout.write(solc.compile(input));
} else {
  console.error(`solc.js: unsupported arguments ${JSON.stringify(args)}`);
  process.exitCode = 2;
}
