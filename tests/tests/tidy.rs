//! Rules about the tree itself: which crate may depend on which, where heavy libraries live, and
//! what a committed file may not contain. `ARCHITECTURE.md` explains them; this test enforces them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Which of our crates each crate may use outside its tests.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("gpu-kernels", &[]),
    ("proofs", &["core"]),
    ("programs", &["core", "proofs"]),
    ("judge", &["core", "proofs"]),
    ("proto", &["core"]),
    ("store", &["core"]),
    ("prover", &["core", "proofs", "programs", "proto", "store", "gpu-kernels"]),
    ("verifier", &["core", "proofs", "programs", "judge", "proto", "store"]),
    ("dispatcher", &["core", "proofs", "programs", "judge", "proto", "store"]),
    ("oracle", &["core", "proto", "store"]),
    (
        "node",
        &[
            "core",
            "proofs",
            "programs",
            "judge",
            "proto",
            "store",
            "prover",
            "verifier",
            "dispatcher",
            "oracle",
        ],
    ),
];

/// The only homes of heavy libraries; a name ending in `*` is a prefix.
const HEAVY_HOMES: &[(&str, &[&str])] = &[
    ("alloy", &["oracle"]),
    ("sled", &["store"]),
    ("redb", &["store"]),
    ("object_store", &["store"]),
    ("clap*", &["node"]),
    ("prometheus-client", &["node"]),
    ("cudarc", &["gpu-kernels"]),
    ("p3-*", &["proofs", "programs", "gpu-kernels"]),
    ("halo2*", &["proofs", "programs"]),
    ("prost", &["proto"]),
    ("prost-types", &["proto"]),
    ("tokio", &["store", "judge", "proto", "prover", "verifier", "dispatcher", "oracle", "node"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_path_buf()
}

fn short_name(package: &Package) -> Option<&str> {
    package.name.strip_prefix("proofgrid-")
}

fn members() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata runs in the workspace");
    metadata.packages
}

/// Names of the normal and build dependencies.
fn production_dependencies(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.clone())
        .collect()
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<_, _> = ALLOWED_EDGES.iter().copied().collect();
    let mut faults = Vec::new();
    for package in members() {
        let Some(name) = short_name(&package) else { continue };
        let Some(edges) = allowed.get(name) else { continue };
        for dependency in production_dependencies(&package) {
            if let Some(other) = dependency.strip_prefix("proofgrid-")
                && !edges.contains(&other)
            {
                faults.push(format!("{name} -> {other}"));
            }
        }
    }
    assert!(faults.is_empty(), "forbidden edges (ARCHITECTURE.md, direction): {faults:?}");
}

#[test]
fn every_crate_is_in_the_table() {
    let listed: BTreeSet<_> = ALLOWED_EDGES.iter().map(|(name, _)| *name).collect();
    for package in members() {
        let name = short_name(&package).expect("packages are named proofgrid-<folder>");
        let folder = package.manifest_path.parent().and_then(|path| path.file_name());
        assert_eq!(folder, Some(name), "package and folder have one name");
        assert!(
            listed.contains(name)
                || ["tests", "fuzz", "objects", "simulator", "benches"].contains(&name),
            "{name} is new"
        );
    }
}

#[test]
fn heavy_libraries_have_one_home() {
    let mut faults = Vec::new();
    for package in members() {
        let Some(name) = short_name(&package) else { continue };
        if ["tests", "fuzz", "objects", "simulator", "benches"].contains(&name) {
            continue;
        }
        for dependency in production_dependencies(&package) {
            for (heavy, homes) in HEAVY_HOMES {
                let hit = heavy
                    .strip_suffix('*')
                    .map_or(dependency == *heavy, |prefix| dependency.starts_with(prefix));
                if hit && !homes.contains(&name) {
                    faults.push(format!("{name} uses {dependency}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "a heavy library left its home: {faults:?}");
}

#[test]
fn the_core_and_the_proof_crates_do_no_io() {
    let banned = [
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "std::env",
        "tokio::",
        "println!",
        "eprintln!",
        "HashMap",
        "HashSet",
    ];
    let mut faults = Vec::new();
    for folder in ["core/src", "programs/src", "proofs/src"] {
        for file in rust_files(&root().join(folder)) {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let in_tests =
                name.contains("tests") || file.components().any(|part| part.as_os_str() == "tests");
            if in_tests {
                continue;
            }
            let text = fs::read_to_string(&file).expect("source files are UTF-8");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in banned {
                let pure_only = ["HashMap", "HashSet"].contains(&word) && folder != "core/src";
                let used = code
                    .lines()
                    .any(|line| !line.trim_start().starts_with("//") && line.contains(word));
                if used && !pure_only {
                    faults.push(format!("{}: {word}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "IO, clocks or unordered maps in a pure crate: {faults:#?}");
}

#[test]
fn sources_hold_no_unfinished_work() {
    let banned = ["todo!(", "unimplemented!(", "#[ignore", "dbg!(", "FIXME", "XXX"];
    let mut faults = Vec::new();
    for file in tracked_files() {
        let text_file = ["rs", "sol", "proto", "js", "toml", "md"]
            .iter()
            .any(|extension| file.extension().is_some_and(|found| found == *extension));
        if !text_file || file.ends_with("tests/tests/tidy.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for word in banned {
            if text.contains(word) {
                faults.push(format!("{}: {word}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "unfinished work: {faults:#?}");
}

#[test]
fn main_stays_small() {
    let text = fs::read_to_string(root().join("node/src/main.rs")).expect("node has a main.rs");
    assert!(text.lines().count() < 80, "main.rs composes nothing itself");
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut faults = Vec::new();
    for file in tracked_files() {
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).expect("documents are UTF-8");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            let folder = file.parent().unwrap_or_else(|| Path::new(""));
            if !root().join(folder).join(path).exists() {
                faults.push(format!("{} -> {target}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "dead links: {faults:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("the folder exists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn tracked_files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the tracked files");
    String::from_utf8_lossy(&output.stdout)
        .split('\0')
        .filter(|name| !name.is_empty() && !name.contains("/gen/"))
        .map(PathBuf::from)
        .filter(|path| root().join(path).exists())
        .collect()
}

/// Every function of a source file that could be a test, Rust or Solidity.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let name = |rest: &'_ str| rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    ["fn ", "function "].into_iter().flat_map(move |word| {
        text.split(word).skip(1).filter_map(move |rest| rest.get(..name(rest)?))
    })
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let mut known = BTreeSet::new();
    for path in tracked_files() {
        let is_source = path.extension().is_some_and(|end| end == "rs" || end == "sol");
        let Some(text) = fs::read_to_string(root().join(&path)).ok().filter(|_| is_source) else {
            continue;
        };
        known.extend(functions(&text).map(str::to_owned));
        if path.ends_with("scenarios/main.rs") {
            // Scenarios are known by the names under which they are run.
            known.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let document = fs::read_to_string(root().join("docs/threat-model.md")).expect("is there");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 40, "the table is gone");
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "a row without a test is not a defence: {row}");
        for name in named {
            assert!(known.contains(name), "docs/threat-model.md names {name}, which is no test");
        }
    }
}
