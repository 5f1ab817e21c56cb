//! Programs that do in `verify` what a bug or a hostile proof might do.

use std::hint::black_box;
use std::io::Write;

use proofgrid_core::ids::{Claim, JobId, ProgramId, VkDigest};
use proofgrid_core::units::{ByteCount, Millis, WorkUnits};
use proofgrid_proofs::digest::{program_id, proof_digest, public_values_digest};
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};

/// What a program does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts proofs that start with 1, refuses all others.
    Honest,
    Spin,
    Allocate,
    Abort,
    Panic,
    Overflow,
    Exit,
    Chatter,
    OpenFiles,
    WriteFile,
    ReadEnvironment,
    FailFirst,
    Segfault,
    Fork,
    Torrent,
    Garbage,
    Claimant,
}

const ALL: [Behaviour; 17] = [
    Behaviour::Honest,
    Behaviour::Spin,
    Behaviour::Allocate,
    Behaviour::Abort,
    Behaviour::Panic,
    Behaviour::Overflow,
    Behaviour::Exit,
    Behaviour::Chatter,
    Behaviour::OpenFiles,
    Behaviour::WriteFile,
    Behaviour::ReadEnvironment,
    Behaviour::FailFirst,
    Behaviour::Segfault,
    Behaviour::Fork,
    Behaviour::Torrent,
    Behaviour::Garbage,
    Behaviour::Claimant,
];

pub struct TestProgram {
    behaviour: Behaviour,
    name: String,
    manifest: Manifest,
}

impl Behaviour {
    pub fn id(self) -> ProgramId {
        program_id(&format!("{self:?}"), &VkDigest::from_bytes([7; 32]), b"")
    }
}

pub fn registry() -> Registry {
    Registry::new(ALL.map(|behaviour| Box::new(TestProgram::new(behaviour)) as _).into())
}

/// A file that the `FailFirst` child leaves for its successor; empty, because it may not write.
pub fn mark(job: JobId) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("proofgrid-judge-{job}"))
}

impl TestProgram {
    fn new(behaviour: Behaviour) -> Self {
        let limits = ProofLimits {
            proof_bytes_max: ByteCount::new(4 << 20),
            public_values_bytes_max: ByteCount::new(1 << 20),
            verify_ms_max: Millis::new(if behaviour == Behaviour::Spin { 300 } else { 20_000 }),
            verify_memory_bytes_max: ByteCount::new(64 << 20),
        };
        let manifest = Manifest {
            name: format!("{behaviour:?}"),
            version: "1".into(),
            profile: Profile::Standard,
            hiding: false,
            proven_bits: 0,
            conjectured_bits: 0,
            limits,
        };
        Self { behaviour, name: format!("{behaviour:?}"), manifest }
    }
}

/// Starts a process that outlives this one, with pipes of its own, and gives its number.
fn offspring() -> u32 {
    use std::process::Stdio;
    let mut command = std::process::Command::new("/bin/sleep");
    command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("nothing forbids it").id()
}

/// Recursion that no optimiser removes.
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if black_box(true) { overflow(depth + 1) + frame[7] } else { frame[0] }
}

fn accept(public_values: &[u8], proof: &[u8]) -> Result<VerifiedSegment, Refusal> {
    Ok(VerifiedSegment {
        public_values: public_values.to_vec(),
        public_values_digest: public_values_digest(public_values),
        vk_digest: VkDigest::from_bytes([7; 32]),
        proof_digest: proof_digest(proof),
        work_units: WorkUnits::new(3),
    })
}

impl Program for TestProgram {
    fn id(&self) -> ProgramId {
        self.behaviour.id()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn vk_digest(&self) -> VkDigest {
        VkDigest::from_bytes([7; 32])
    }

    fn proof_bytes_estimate(&self, _segment: &SegmentPlan) -> ByteCount {
        ByteCount::new(1)
    }

    fn claim(&self, _input: &[u8]) -> Result<Claim, InputError> {
        Err(InputError::Empty { items: "items" })
    }

    fn plan(&self, _input: &[u8], _request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        Err(InputError::Empty { items: "items" }.into())
    }

    fn plan_range(&self, _input: &[u8], _range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        Err(InputError::Empty { items: "items" }.into())
    }

    fn check_plan(&self, _input: &[u8], _plan: &[SegmentPlan]) -> Result<(), PlanError> {
        Err(InputError::Empty { items: "items" }.into())
    }

    fn prove(
        &self,
        _input: &[u8],
        _segment: &SegmentPlan,
        _binding: &Binding,
        _monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        Err(ProveError::Cancelled)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        match self.behaviour {
            Behaviour::Honest => match proof.split_first() {
                Some((1, public_values)) => accept(public_values, proof),
                _ => Err(Refusal::new(RefusalCode::Encoding, "it does not start with 1")),
            },
            Behaviour::Spin => loop {
                black_box(proof);
            },
            Behaviour::Allocate => {
                let hoard: Vec<Vec<u8>> = (0..4096).map(|_| vec![1; 1 << 20]).collect();
                accept(&hoard[0][..1], proof)
            }
            Behaviour::Abort => std::process::abort(),
            Behaviour::Panic => panic!("the bytes were {}", proof.len()),
            Behaviour::Overflow => accept(&overflow(0).to_be_bytes(), proof),
            Behaviour::Exit => std::process::exit(0),
            Behaviour::Chatter => {
                std::io::stdout().write_all(&[0; 100]).expect("a pipe");
                accept(b"", proof)
            }
            Behaviour::OpenFiles => {
                let open: Vec<_> =
                    (0..64).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
                accept(&[open.len() as u8], proof)
            }
            Behaviour::WriteFile => {
                // Ignoring the signal is what a library might do; the write must fail all the same.
                let path = mark(binding.job);
                let outcome = std::fs::write(&path, b"secret");
                let _ = std::fs::remove_file(&path);
                accept(&[u8::from(outcome.is_ok())], proof)
            }
            Behaviour::ReadEnvironment => {
                let mut names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
                names.sort();
                accept(names.join(",").as_bytes(), proof)
            }
            Behaviour::FailFirst => match std::fs::File::create_new(mark(binding.job)) {
                Ok(_) => std::process::abort(),
                Err(_) => accept(b"second", proof),
            },
            Behaviour::Segfault => loop {
                // The runtime's own handler takes the first and restores the default.
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSEGV);
            },
            Behaviour::Fork => accept(&offspring().to_be_bytes(), proof),
            Behaviour::Torrent => {
                let block = vec![0x55; 1 << 20];
                // Gigabytes, unless the parent stops reading.
                for _ in 0..4096 {
                    if std::io::stdout().write_all(&block).is_err() {
                        break;
                    }
                }
                accept(b"", proof)
            }
            Behaviour::Garbage => {
                // Exactly as long as it says, and no reply.
                let mut bytes = 64u64.to_be_bytes().to_vec();
                bytes.extend([0xee; 64]);
                std::io::stdout().write_all(&bytes).expect("a pipe");
                std::process::exit(0)
            }
            Behaviour::Claimant => {
                // A length that nobody should allocate.
                std::io::stdout().write_all(&u64::MAX.to_be_bytes()).expect("a pipe");
                std::process::exit(0)
            }
        }
    }

    fn claim_of_segments(&self, _public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        Err(Refusal::new(RefusalCode::Coverage, "not a program of the network"))
    }
}
