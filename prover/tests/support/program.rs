//! The real `fibonacci`, with a switch for how `prove` misbehaves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::ByteCount;
use proofgrid_programs::fibonacci::FibonacciProgram;
use proofgrid_proofs::manifest::{Manifest, Profile};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, Phase, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::Refusal;

/// Name of the program.
pub const NAME: &str = "fibonacci";
/// The phase that misbehaving proofs report before they misbehave.
pub const STARTED: Phase = Phase::Commit;

/// What the next `prove` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// The real proof.
    Prove,
    /// A panic with a message.
    Panic,
    /// Never ends unless it is cancelled.
    Endless,
    /// The real proof, once the behaviour is `Prove`, or an end by cancel.
    Wait,
    /// As `Wait`, but a cancel is seen only once the behaviour is `Prove`.
    Stubborn,
    /// The test has ended: whatever still runs ends too.
    Over,
    /// The real proof with one bit changed.
    Corrupt,
}

/// What the test and the program share.
pub struct Switch {
    behaviour: Mutex<Behaviour>,
    changed: Condvar,
    /// Proofs begun.
    pub proofs: AtomicU32,
}

/// Ends what the program is doing when a test ends, or it would hang instead of failing.
pub struct Over(pub Arc<Switch>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.set(Behaviour::Over);
    }
}

impl Switch {
    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("switch") = behaviour;
        self.changed.notify_all();
    }

    pub fn num_proofs(&self) -> u32 {
        self.proofs.load(Ordering::SeqCst)
    }

    fn get(&self) -> Behaviour {
        *self.behaviour.lock().expect("switch")
    }

    /// Waits for `Prove` or, unless it is stubborn, a cancel.
    fn wait(&self, monitor: &dyn Monitor) -> Result<(), ProveError> {
        let mut behaviour = self.behaviour.lock().expect("switch");
        while !matches!(*behaviour, Behaviour::Prove | Behaviour::Over) {
            if *behaviour != Behaviour::Stubborn && monitor.cancelled() {
                return Err(ProveError::Cancelled);
            }
            let pause = std::time::Duration::from_millis(1);
            behaviour = self.changed.wait_timeout(behaviour, pause).expect("switch").0;
        }
        if monitor.cancelled() { Err(ProveError::Cancelled) } else { Ok(()) }
    }
}

struct Switched {
    real: FibonacciProgram,
    switch: Arc<Switch>,
}

/// A registry with the switched program alone.
pub fn registry() -> (Registry, Arc<Switch>) {
    let switch = Arc::new(Switch {
        behaviour: Mutex::new(Behaviour::Prove),
        changed: Condvar::new(),
        proofs: AtomicU32::new(0),
    });
    (registry_of(&switch), switch)
}

/// Another registry of the same switch, for a worker that starts again.
pub fn registry_of(switch: &Arc<Switch>) -> Registry {
    let real = FibonacciProgram::new(Profile::Standard);
    Registry::new(vec![Box::new(Switched { real, switch: Arc::clone(switch) })])
}

impl Program for Switched {
    fn id(&self) -> ProgramId {
        self.real.id()
    }

    fn name(&self) -> &str {
        self.real.name()
    }

    fn manifest(&self) -> &Manifest {
        self.real.manifest()
    }

    fn vk_digest(&self) -> VkDigest {
        self.real.vk_digest()
    }

    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount {
        self.real.proof_bytes_estimate(segment)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        self.real.claim(input)
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        self.real.plan(input, request)
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        self.real.plan_range(input, range)
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        self.real.check_plan(input, plan)
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        self.switch.proofs.fetch_add(1, Ordering::SeqCst);
        monitor.phase(STARTED, 1, 4);
        match self.switch.get() {
            Behaviour::Prove => {}
            Behaviour::Panic => panic!("the trace was left on the bus"),
            Behaviour::Endless => {
                while !monitor.cancelled() && self.switch.get() != Behaviour::Over {
                    std::thread::yield_now();
                }
                return Err(ProveError::Cancelled);
            }
            Behaviour::Over => return Err(ProveError::Cancelled),
            Behaviour::Wait | Behaviour::Stubborn => self.switch.wait(monitor)?,
            Behaviour::Corrupt => {
                let mut proof = self.real.prove(input, segment, binding, monitor)?;
                let middle = proof.bytes.len() / 2;
                proof.bytes[middle] ^= 1;
                return Ok(proof);
            }
        }
        self.real.prove(input, segment, binding, monitor)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        self.real.verify(proof, binding)
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        self.real.claim_of_segments(public_values)
    }
}
