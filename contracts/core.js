#!/usr/bin/env node
// Writes eigenlayer/artifacts/<Name>.json = { abi, bytecode } of the contracts of EigenLayer's core that
// tests and development networks deploy. They are taken out of the source of a registry package, which
// cargo downloads once and checks against eigenlayer/Cargo.lock. The bytecode is under EigenLayer's own
// licence: it stays on this machine and is never committed. Does nothing when all is up to date.
"use strict";

const { spawnSync } = require("child_process");
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const PACKAGE = "eigen-utils";
// Where each contract stands in the package. `slashing` is core v1.3/1.4; that release has no rewards
// coordinator with bytecode, the one of the release before it works with it.
const SOURCES = {
  AVSDirectory: "slashing/core/avs_directory.rs",
  AllocationManager: "slashing/core/allocation_manager.rs",
  DelegationManager: "slashing/core/delegation_manager.rs",
  EigenPod: "slashing/core/eigen_pod.rs",
  EigenPodManager: "slashing/core/eigen_pod_manager.rs",
  PermissionController: "slashing/core/permission_controller.rs",
  RewardsCoordinator: "rewardsv2/core/rewards_coordinator.rs",
  StrategyManager: "slashing/core/strategy_manager.rs",
};
// Room for the description of a few packages.
const METADATA_BYTES_MAX = 16 << 20;
const HOME = path.join(__dirname, "eigenlayer");
const DIR = path.join(HOME, "artifacts");
const STAMP = path.join(DIR, ".stamp");

// What the artifacts are a function of.
function stamp() {
  const hash = crypto.createHash("sha256");
  for (const file of [__filename, path.join(HOME, "Cargo.lock")]) {
    hash.update(fs.readFileSync(file));
  }
  return `${hash.digest("hex")}\n`;
}

function fileOf(name) {
  return path.join(DIR, `${name}.json`);
}

function isUpToDate() {
  const files = [STAMP, ...Object.keys(SOURCES).map(fileOf)];
  return files.every((file) => fs.existsSync(file)) && fs.readFileSync(STAMP, "utf8") === stamp();
}

// The folder of the package's source. The dependency stands under a target that no platform is, so the
// metadata must not be filtered by platform.
function packageSource() {
  const args = ["metadata", "--locked", "--format-version", "1"];
  const options = { cwd: HOME, encoding: "utf8", maxBuffer: METADATA_BYTES_MAX };
  const { error, status, stdout, stderr } = spawnSync(process.env.CARGO || "cargo", args, options);
  if (error) {
    throw new Error(`cargo did not run (${error.message}); install Rust or set CARGO to its path`);
  }
  if (status !== 0) {
    throw new Error(
      `cargo could not get ${PACKAGE}; is the registry reachable? Try \`cargo ${args.join(" ")}\` in ` +
        `contracts/eigenlayer/:\n${stderr}`,
    );
  }
  const found = JSON.parse(stdout).packages.find(({ name }) => name === PACKAGE);
  if (!found) {
    throw new Error(`${PACKAGE} is not among the packages of contracts/eigenlayer/Cargo.toml`);
  }
  return path.join(path.dirname(found.manifest_path), "src");
}

// The ABI and the creation code stand in comments of the generated source, as JSON and as hexadecimal.
function artifact(name, source) {
  const file = path.join(source, SOURCES[name]);
  const text = fs.readFileSync(file, "utf8");
  const start = text.indexOf(`\npub mod ${name} {`);
  const abi = /JSON ABI:\n```json\n(\[[^]*?\n\])\n```\*\//.exec(text);
  const code =
    /creation \/ init bytecode[^]*?```text\n *\/\/\/(0x(?:[0-9a-f]{2})+)\n/.exec(text.slice(start));
  if (start < 0 || !abi || !code) {
    throw new Error(
      `${file} does not look as core.js expects it: no ABI or creation code of ${name}; was the version ` +
        "in contracts/eigenlayer/Cargo.toml changed?",
    );
  }
  return `${JSON.stringify({ abi: JSON.parse(abi[1]), bytecode: code[1] })}\n`;
}

// By renaming: several runs at a time never see half a file.
function write(file, text) {
  const temporary = `${file}.${process.pid}`;
  fs.writeFileSync(temporary, text);
  fs.renameSync(temporary, file);
}

function main() {
  if (isUpToDate()) {
    return;
  }
  const source = packageSource();
  fs.mkdirSync(DIR, { recursive: true });
  const names = Object.keys(SOURCES);
  names.forEach((name) => write(fileOf(name), artifact(name, source)));
  write(STAMP, stamp());
  console.log(`core: ${names.length} artifacts written to contracts/eigenlayer/artifacts`);
}

try {
  main();
} catch (error) {
  console.error(`core.js: ${error.message}`);
  process.exitCode = 1;
}
