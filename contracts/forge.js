#!/usr/bin/env node
// Runs the forge that npm installed and exits as it does. The launcher in node_modules/.bin always
// exits with 0, also when tests fail: no gate may go through it.
"use strict";

const { spawnSync } = require("child_process");
const os = require("os");

const ARCHITECTURES = { arm64: "arm64", x64: "amd64" };
const target = `${os.platform()}-${ARCHITECTURES[os.arch()]}`;

let binary;
try {
  binary = require.resolve(`@foundry-rs/forge-${target}/bin/forge`);
} catch {
  console.error(`forge.js: no forge for ${target} in node_modules; run \`npm ci\` in contracts/`);
  process.exit(1);
}

const { error, status } = spawnSync(binary, process.argv.slice(2), {
  cwd: __dirname,
  stdio: "inherit",
});
if (error) {
  console.error(`forge.js: ${binary} did not run: ${error.message}`);
}
process.exit(status ?? 1);
