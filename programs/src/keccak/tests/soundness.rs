//! The security figures, from the real tables, and the digest of the verifying key.

use proofgrid_proofs::stark::parameters::HashKind;
use proofgrid_proofs::stark::soundness::Soundness;

use super::*;
use crate::keccak::program::{table_shapes, verifying_key};

#[test]
fn standard_profiles_have_100_proven_bits_with_lookups_at_the_largest_height() {
    for profile in PROVEN {
        let key = verifying_key(profile);
        let soundness = Soundness::of(&key);
        assert!(soundness.proven_bits >= 100.0, "{soundness:?}");
        assert!(soundness.conjectured_bits >= 120.0, "{soundness:?}");
        let logup = soundness.logup_bits.expect("the tables have lookups");
        assert!(logup >= 100.0, "{soundness:?}");
        // One query less than the least would show: the figure is computed, not typed in.
        let mut weaker = key;
        weaker.parameters.num_queries -= 2;
        assert!(Soundness::of(&weaker).proven_bits < 100.0);
    }
}

#[test]
fn the_manifest_states_the_computed_bits_and_no_hiding() {
    for profile in Profile::ALL {
        let program = KeccakProgram::new(profile);
        let soundness = Soundness::of(&verifying_key(profile));
        let manifest = program.manifest();
        assert_eq!(manifest.proven_bits, Soundness::whole_bits(soundness.proven_bits));
        assert_eq!(manifest.conjectured_bits, Soundness::whole_bits(soundness.conjectured_bits));
        assert!(!manifest.hiding);
    }
    let fast = KeccakProgram::new(Profile::Fast);
    assert!(fast.manifest().profile.conjectured_only());
    assert!(fast.manifest().proven_bits < 60, "the usual set has 57 proven bits");
}

#[test]
fn constraints_have_degree_three_so_that_two_quotient_chunks_suffice() {
    for table in table_shapes() {
        assert!(table.constraint_degree <= 3, "{}: {}", table.name, table.constraint_degree);
    }
}

#[test]
fn the_key_digest_moves_with_every_part_of_the_key() {
    let base = verifying_key(Profile::Standard).digest();
    assert_eq!(base, verifying_key(Profile::Standard).digest());
    let mut digests = vec![base];
    for table in 0..3 {
        let mut key = verifying_key(Profile::Standard);
        key.tables[table].log_height_max += 1;
        digests.push(key.digest());
        let mut key = verifying_key(Profile::Standard);
        key.tables.remove(table);
        digests.push(key.digest());
    }
    let mut key = verifying_key(Profile::Standard);
    key.rules = "other rules";
    digests.push(key.digest());
    let mut key = verifying_key(Profile::Standard);
    key.parameters.hash = HashKind::Poseidon2;
    digests.push(key.digest());
    let mut key = verifying_key(Profile::Standard);
    key.tables.swap(0, 1);
    digests.push(key.digest());
    let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}
