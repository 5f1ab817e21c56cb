#!/usr/bin/env node
// Writes abi/<Name>.json = { abi, bytecode } of every contract that Rust deploys or calls, from
// forge's output in out/. The bytes are stable: sorted ABI, no compiler metadata. A contract that no
// chain would take is an error here (`forge build --sizes` leaves out what it takes for a test).
//   node abi.js          write
//   node abi.js --check  fail if a committed file differs from what forge built
"use strict";

const fs = require("fs");
const path = require("path");

const NAMES = [
  "AvsManagerV14",
  "AvsManagerV19",
  "Bonds",
  "ChallengeGame",
  "DevPauserRegistry",
  "DevPlaceholder",
  "DevStrategy",
  "DevToken",
  "DevWrappedCoin",
  "EpochTable",
  "FeeVault",
  "Groth16Verifier",
  "OperatorRegistrar",
  "ProofRegistry",
  "ProxyAdmin",
  "RaceRounds",
  "SlashingCourt",
  "SpecHarness",
  "TaskManager",
  "TransparentUpgradeableProxy",
  "UpgradeableBeacon",
];
// EIP-170 and EIP-3860, in bytes.
const CODE_BYTES_MAX = 24576;
const INITCODE_BYTES_MAX = 49152;
const DIR = path.join(__dirname, "abi");

function rank(entry) {
  const types = (entry.inputs || []).map((input) => input.type).join(",");
  return `${entry.type}:${entry.name || ""}(${types})`;
}

function bytesOf(code) {
  return (code.object.length - 2) / 2;
}

function artifact(name) {
  const file = path.join(__dirname, "out", `${name}.sol`, `${name}.json`);
  const { abi, bytecode, deployedBytecode } = JSON.parse(fs.readFileSync(file, "utf8"));
  if (Object.keys(bytecode.linkReferences).length > 0) {
    throw new Error(`${name} needs linked libraries; make their functions internal`);
  }
  if (bytesOf(deployedBytecode) > CODE_BYTES_MAX || bytesOf(bytecode) > INITCODE_BYTES_MAX) {
    throw new Error(`${name} is too large: ${bytesOf(deployedBytecode)} bytes of code`);
  }
  abi.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return `${JSON.stringify({ abi, bytecode: bytecode.object }, null, 1)}\n`;
}

function committed(name) {
  const file = path.join(DIR, `${name}.json`);
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

const check = process.argv.includes("--check");
const stale = NAMES.filter((name) => artifact(name) !== committed(name));
const extra = fs.existsSync(DIR)
  ? fs.readdirSync(DIR).filter((file) => !NAMES.includes(path.basename(file, ".json")))
  : [];
if (!check) {
  fs.mkdirSync(DIR, { recursive: true });
  stale.forEach((name) => fs.writeFileSync(path.join(DIR, `${name}.json`), artifact(name)));
  extra.forEach((file) => fs.unlinkSync(path.join(DIR, file)));
  console.log(`abi: ${stale.length} written, ${extra.length} removed`);
} else if (stale.length + extra.length > 0) {
  console.error(`abi/ differs from the build: ${[...stale, ...extra].join(", ")}`);
  console.error("run `forge build && node abi.js` in contracts/ and commit the result");
  process.exitCode = 1;
}
