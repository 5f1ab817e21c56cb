//! What the network proves itself, and what it certifies for others: programs built on
//! `proofgrid-proofs`.

pub mod fibonacci;
pub mod groth16;
pub mod keccak;

use proofgrid_proofs::manifest::Profile;
use proofgrid_proofs::program::{Program, Registry};

use crate::fibonacci::FibonacciProgram;
use crate::groth16::Groth16Program;
use crate::keccak::KeccakProgram;

/// The closed registry of this build's programs.
#[must_use]
pub fn registry() -> Registry {
    Registry::new(programs())
}

/// The programs of this build: `keccak`, `keccak-fold`, `keccak-fast`, `fibonacci` and `groth16-bn254`.
#[must_use]
pub fn programs() -> Vec<Box<dyn Program>> {
    vec![
        Box::new(KeccakProgram::new(Profile::Standard)),
        Box::new(KeccakProgram::new(Profile::StandardFold)),
        Box::new(KeccakProgram::new(Profile::Fast)),
        Box::new(FibonacciProgram::new(Profile::Standard)),
        Box::new(Groth16Program::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_closed_and_named() {
        let registry = registry();
        let names: Vec<&str> = registry.iter().map(|program| program.name()).collect();
        assert_eq!(names, ["keccak", "keccak-fold", "keccak-fast", "fibonacci", "groth16-bn254"]);
        for program in registry.iter() {
            assert_eq!(registry.get(&program.id()).map(|p| p.name()), Some(program.name()));
            assert_eq!(registry.by_name(program.name()).map(|p| p.id()), Some(program.id()));
            assert_eq!(program.manifest().name, program.name());
        }
        assert!(registry.by_name("sha256").is_none());
    }

    #[test]
    fn identities_are_golden() {
        let ids: Vec<String> =
            registry().iter().map(|p| format!("{} {}", p.id(), p.manifest().digest())).collect();
        assert_eq!(ids, GOLDEN_IDS, "a changed identity is another program: bump the version");
    }

    /// Program id and manifest digest of each program.
    const GOLDEN_IDS: [&str; 5] = [
        "0x9e8ae83d7ca51a067e84a62e74b73659d99c7629316431efebac51b387138c76 \
         0x0654207054d3bb6654dc628b3833f20ace7e0548ef7e5796ec66706b748a7a4d",
        "0xb14c3850e4041dab41bfa599201184ed643ca291c73fb34d4d480e7cb839eed7 \
         0xb1179556bb03db06f5063ea3b4c690114af64ab4a20ad3ffaf170c02bdb4cc40",
        "0xf31f075f3dcf747ace581c0d4e90fe2fadb2f0179198d1eb2f7861439930c59b \
         0xfd138a31f7e1efa1160fb4ce37b9cd9ea530a86b8623356d87c5814a83449350",
        "0xf8bbff7aa9558046111e89d9641a0231b234e68e3b4da676f24a4faf372ec7ea \
         0xb68c502d27cee4e74af957e1d9286704f90215baa6b1e194ce0672634e709694",
        "0x05d5029557778312a34d27ea25a18399c3104fad11bf9dd1a4833a78d1c58f8e \
         0xa4d3add23aab3659f13e93f75b73a96d45bd047aeaff76a7e3dad68ac54c82c0",
    ];
}
