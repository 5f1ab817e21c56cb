//! Every decoder and every verifier of the network; what is checked is said in the library.

mod bls;
mod certificate;
mod files;
mod groth16;
mod proofs;
mod records;
mod sandbox;
mod signed;
mod wire;

/// Counts what each thread holds.
#[global_allocator]
static METER: proofgrid_fuzz::meter::Meter = proofgrid_fuzz::meter::Meter;

#[test]
fn the_meter_sees_an_allocation_that_is_gone_again() {
    let (_, peak) =
        proofgrid_fuzz::meter::peak_of(|| drop(std::hint::black_box(vec![1u8; 1 << 20])));
    assert!((1 << 20..2 << 20).contains(&peak), "{peak}");
}
