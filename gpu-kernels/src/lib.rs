//! GPU kernels: the only crate that will talk to a CUDA driver.
//!
//! It will hold the CUDA sources of the proving kernels (field arithmetic, transforms, hashing,
//! Merkle commitment), a CPU shim that compiles and runs the same sources, and safe wrappers that
//! check every length before a launch. The CPU prover is the specification: a kernel counts as done
//! when its bytes equal the CPU's on every size.
//!
//! This build contains no kernels. The crate says so instead of pretending: [`probe`] answers
//! [`DeviceError::NotBuilt`], and nothing falls back to the CPU in silence.

use thiserror::Error;

/// Why no GPU can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// The kernels are not part of this build.
    #[error("this build has no GPU kernels; set the prover's device to \"cpu\"")]
    NotBuilt,
}

/// Looks for a device that this build can prove on.
///
/// # Errors
/// [`DeviceError::NotBuilt`]: always, until the kernels are part of the build.
pub const fn probe() -> Result<(), DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_names_the_setting_that_works() {
        let error = probe().expect_err("no kernels are built");
        assert_eq!(error, DeviceError::NotBuilt);
        assert!(error.to_string().contains("\"cpu\""));
    }
}
