//! The committed generated code is what the `.proto` files say.
//!
//! `PROOFGRID_REGENERATE=1 cargo test -p proofgrid-proto --test drift` rewrites it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 8] = [
    "proofgrid/v1/admin.proto",
    "proofgrid/v1/blob.proto",
    "proofgrid/v1/common.proto",
    "proofgrid/v1/job.proto",
    "proofgrid/v1/oracle.proto",
    "proofgrid/v1/prover.proto",
    "proofgrid/v1/session.proto",
    "proofgrid/v1/verifier.proto",
];

const OUTPUTS: [&str; 2] = ["proofgrid.v1.rs", "proofgrid.v1.bin"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate(out: &Path) {
    fs::create_dir_all(out).unwrap();
    let mut compiler = protox::Compiler::new([root()]).unwrap();
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(FILES.map(|file| root().join(file))).unwrap();
    let described = compiler.file_descriptor_set();

    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(true)
        .emit_rerun_if_changed(false)
        .compile_fds(described)
        .unwrap();

    let mut bare = protox::Compiler::new([root()]).unwrap();
    bare.include_imports(true);
    bare.open_files(FILES.map(|file| root().join(file))).unwrap();
    fs::write(out.join("proofgrid.v1.bin"), bare.encode_file_descriptor_set()).unwrap();
}

#[test]
fn generated_code_matches_the_proto_files() {
    let committed = root().join("src/gen");
    if std::env::var_os("PROOFGRID_REGENERATE").is_some() {
        generate(&committed);
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drift");
    generate(&fresh);
    for name in OUTPUTS {
        let want = fs::read(fresh.join(name)).unwrap();
        let got = fs::read(committed.join(name)).unwrap();
        assert!(
            want == got,
            "src/gen/{name} differs from the .proto files; regenerate with PROOFGRID_REGENERATE=1",
        );
    }
}

#[test]
fn every_proto_file_is_compiled() {
    let mut found: Vec<String> = fs::read_dir(root().join("proofgrid/v1"))
        .unwrap()
        .map(|entry| format!("proofgrid/v1/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    found.sort();
    assert_eq!(found, FILES);
}
