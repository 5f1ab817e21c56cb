//! The commented examples in `docs/config` are configuration files that the roles accept.

use std::path::{Path, PathBuf};

use proofgrid_node::config::{self, DispatcherFile, OracleFile, ProverFile, VerifierFile};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config").join(name)
}

#[test]
fn every_example_is_accepted() {
    let dispatcher: DispatcherFile = config::load(&example("dispatcher.toml")).expect("dispatcher");
    dispatcher.dispatcher.check().expect("its values are in range");
    let prover: ProverFile = config::load(&example("prover.toml")).expect("prover");
    prover.prover.check().expect("its values are in range");
    config::load::<VerifierFile>(&example("verifier.toml")).expect("verifier");
    let oracle: OracleFile = config::load(&example("oracle.toml")).expect("oracle");
    oracle.oracle.check().expect("its values are in range");
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("oracle.toml");
    let text = std::fs::read_to_string(example("oracle.toml")).expect("the example");
    std::fs::write(&path, text.replace("scan_blocks_max", "scan_block_max")).expect("written");
    let error = config::load::<OracleFile>(&path).expect_err("a typo is no setting");
    assert!(format!("{error:#}").contains("scan_block_max"), "{error:#}");
}

#[test]
fn a_verifier_keeps_proofs_for_a_day_at_least_and_reads_mirrors_in_plain_text() {
    let load = || config::load::<VerifierFile>(&example("verifier.toml")).expect("verifier");
    let refused = |change: fn(&mut VerifierFile)| {
        let mut file = load();
        change(&mut file);
        format!("{:#}", file.verifier.build(file.chain.network()).expect_err("out of range"))
    };
    load().verifier.build(load().chain.network()).expect("the example is in range");
    let short = refused(|file| file.verifier.proof_retention_hours = 23);
    assert!(short.contains("proof_retention_hours = 23"), "{short}");
    let secret = refused(|file| file.verifier.mirror_urls = vec!["https://mirror".into()]);
    assert!(secret.contains("http://host:port"), "{secret}");
    let many = refused(|file| file.verifier.mirror_urls = vec!["http://mirror".into(); 17]);
    assert!(many.contains("at most 16"), "{many}");
}
