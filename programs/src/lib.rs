//! What the network proves itself: programs built on `proofgrid-proofs`.

pub mod fibonacci;
pub mod keccak;

use proofgrid_proofs::manifest::Profile;
use proofgrid_proofs::program::{Program, Registry};

use crate::fibonacci::FibonacciProgram;
use crate::keccak::KeccakProgram;

/// The closed registry of this build's programs.
#[must_use]
pub fn registry() -> Registry {
    Registry::new(programs())
}

/// The programs of this build: `keccak`, `keccak-fold`, `keccak-fast` and `fibonacci`.
#[must_use]
pub fn programs() -> Vec<Box<dyn Program>> {
    vec![
        Box::new(KeccakProgram::new(Profile::Standard)),
        Box::new(KeccakProgram::new(Profile::StandardFold)),
        Box::new(KeccakProgram::new(Profile::Fast)),
        Box::new(FibonacciProgram::new(Profile::Standard)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_closed_and_named() {
        let registry = registry();
        let names: Vec<&str> = registry.iter().map(|program| program.name()).collect();
        assert_eq!(names, ["keccak", "keccak-fold", "keccak-fast", "fibonacci"]);
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
    const GOLDEN_IDS: [&str; 4] = [
        "0x69d20919e644519ff0aa0ac313914f00e72f28670316aa3f81f466bbf64e70b3 \
         0x3787c591353a0967bacca9ee7c052c6f77673c5b3ecf02f18ec633dfebb9cc1d",
        "0xb014c972abf1abdbe3dac6357a0fe005200ad93886bfb3f453ca37403fdf0a33 \
         0x99fda54bd9675d29f7cf2c805298386435cd16ea2a79933206515d68031d790d",
        "0x133bb652d8d6cc1f18e31bda38e606cc86e961ac8bcb830b6fee2b46db6a98e5 \
         0x4b7fc471c2cb89c433cbcf431734c615d01d31dad036d099fcd22c79933affd5",
        "0xf8bbff7aa9558046111e89d9641a0231b234e68e3b4da676f24a4faf372ec7ea \
         0xb68c502d27cee4e74af957e1d9286704f90215baa6b1e194ce0672634e709694",
    ];
}
