//! The worker's own measurement, from a real proof to the registration.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[allow(dead_code, reason = "shared with the other test binaries, which use the rest")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_prover::backend::{Backend, DeviceKind, OpenError};
use proofgrid_prover::bench::{BenchError, BenchFile, BenchInput, measure};
use support::program::{Behaviour, NAME, registry, registry_of};
use support::{Dispatcher, config, start};

fn bench_input(program: &str) -> BenchInput {
    BenchInput {
        program: program.to_owned(),
        input: Bytes::from_static(b"1 1 256"),
        memory_bytes_max: ByteCount::new(u64::MAX),
        rounds: 2,
    }
}

#[tokio::test]
async fn a_measurement_is_registered_and_gives_the_expected_time() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let settings = config(&dispatcher.url, dir.path());
    let (programs, switch) = registry();
    let programs = Arc::new(programs);
    let threads = settings.num_threads();
    let backend = Backend::open(DeviceKind::Cpu, 1, threads).expect("a backend");
    let measured = measure(&backend, &programs, &bench_input(NAME)).await.expect("measured");
    assert_eq!(switch.num_proofs(), 2);
    assert_eq!(measured.work_units, 256);
    assert!(measured.proof_bytes > 0 && measured.memory_peak_bytes > 0);
    let expected = measured.expected(WorkUnits::new(256)).expect("a time");
    assert!(expected <= Duration::from_millis(measured.total_ms + 1), "{measured:?}");

    let mut file = BenchFile::new(DeviceKind::Cpu, threads);
    file.record(measured.clone());
    file.save(dir.path()).expect("saved");
    let (_handle, _shutdown) = start(settings, registry_of(&switch));
    let peer = dispatcher.welcome().await;
    let offer = peer.capabilities.programs.first().expect("one program");
    assert_eq!(offer.units_per_kilosecond, measured.milli_units_per_s);
}

#[tokio::test]
async fn a_bench_that_fails_measures_nothing() {
    let (programs, switch) = registry();
    let programs = Arc::new(programs);
    let backend = Backend::open(DeviceKind::Cpu, 1, 1).expect("a backend");
    let unknown = measure(&backend, &programs, &bench_input("no such program")).await;
    assert!(matches!(unknown, Err(BenchError::UnknownProgram(_))));
    for behaviour in [Behaviour::Panic, Behaviour::Corrupt] {
        switch.set(behaviour);
        let failed = measure(&backend, &programs, &bench_input(NAME)).await;
        assert!(matches!(failed, Err(BenchError::Prove(_))), "{behaviour:?}");
    }
    // The pool of a failed proof is good for the next.
    switch.set(Behaviour::Prove);
    measure(&backend, &programs, &bench_input(NAME)).await.expect("measured");
}

#[test]
fn a_device_that_is_not_built_is_refused_not_replaced() {
    match Backend::open(DeviceKind::Cuda, 1, 1) {
        Err(OpenError::Device(error)) => assert!(error.to_string().contains("\"cpu\"")),
        other => panic!("{other:?}"),
    }
}
