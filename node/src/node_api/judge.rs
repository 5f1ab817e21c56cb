//! A judge that is measured: how long judgements take, how they end, whether children start at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use proofgrid_core::ids::{Address, JobId, ProgramId};
use proofgrid_judge::{Judge, JudgeRequest, Judged, Judgement, UnjudgedReason};
use proofgrid_proofs::program::{Binding, Registry as Programs};
use proofgrid_verifier::ProofJudge;

use super::ServiceStatus;

/// Bounds of the histogram's buckets, in seconds: a small proof to the longest that manifests grant.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];
/// How often the judge is tried with bytes that are no proof: a child that refuses them works.
const TRIAL_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes that are no proof of any program.
const NO_PROOF: [u8; 64] = [0; 64];

const UNKNOWN: u8 = 0;
const WORKS: u8 = 1;
const FAILS: u8 = 2;

/// What was seen of a judge.
#[derive(Debug)]
pub struct JudgeMeter {
    seconds: Histogram,
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    state: AtomicU8,
}

impl Default for JudgeMeter {
    fn default() -> Self {
        Self {
            seconds: Histogram::new(SECONDS),
            outcomes: Family::default(),
            state: AtomicU8::new(UNKNOWN),
        }
    }
}

impl JudgeMeter {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "proofgrid_judged_seconds",
            "Time that judging a proof took in its child process",
            self.seconds.clone(),
        );
        registry.register(
            "proofgrid_judgements",
            "Judged proofs by how it ended: verified, refused, or why there is no verdict",
            self.outcomes.clone(),
        );
    }

    fn note(&self, judgement: &Judgement) {
        self.outcomes.get_or_create(&[("outcome", judgement.judged.name())]).inc();
        match &judgement.judged {
            // Some proofs are refused without a child, which says nothing about children.
            Judged::Verified(_) | Judged::Refused(_) if judgement.children > 0 => {
                self.seconds.observe(Duration::from(judgement.verify_time).as_secs_f64());
                self.state.store(WORKS, Ordering::Relaxed);
            }
            // No proof can bring this about; the other reasons may be the proof's fault.
            Judged::Unjudged(UnjudgedReason::Spawn { .. }) => {
                self.state.store(FAILS, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn note_trial(&self, judged: &Judged) {
        let works = matches!(judged, Judged::Verified(_) | Judged::Refused(_));
        if let Judged::Unjudged(reason) = judged {
            tracing::error!(%reason, "the judge does not judge; run `proofgrid doctor`");
        }
        self.state.store(if works { WORKS } else { FAILS }, Ordering::Relaxed);
    }

    /// Whether the judge works.
    #[must_use]
    pub fn status(&self) -> ServiceStatus {
        match self.state.load(Ordering::Relaxed) {
            UNKNOWN => ServiceStatus::Initializing,
            WORKS => ServiceStatus::Up,
            _ => ServiceStatus::Down,
        }
    }
}

/// The sandbox with a meter.
#[derive(Clone, Debug)]
pub struct MeasuredJudge {
    judge: Judge,
    meter: Arc<JudgeMeter>,
}

impl MeasuredJudge {
    /// Measures what `judge` does.
    #[must_use]
    pub const fn new(judge: Judge, meter: Arc<JudgeMeter>) -> Self {
        Self { judge, meter }
    }

    /// Tries the judge now and again, so that a node that cannot judge says so before there is work.
    pub async fn keep_trying(self, programs: Arc<Programs>) {
        let Some(program) = programs.iter().next().map(|program| program.id()) else { return };
        loop {
            self.try_once(program).await;
            tokio::time::sleep(TRIAL_INTERVAL).await;
        }
    }

    async fn try_once(&self, program: ProgramId) {
        let binding = Binding {
            job: JobId::from_bytes([0; 32]),
            program,
            prover: Address::from_bytes([0; 20]),
            segment_index: 0,
            first: 0,
            count: 1,
        };
        let request = JudgeRequest { program, binding, proof: NO_PROOF.to_vec() };
        self.meter.note_trial(&self.judge.judge_measured(request).await.judged);
    }
}

#[async_trait]
impl ProofJudge for MeasuredJudge {
    async fn judge(&self, request: JudgeRequest) -> Judgement {
        let judgement = self.judge.judge_measured(request).await;
        self.meter.note(&judgement);
        judgement
    }
}

#[cfg(test)]
mod tests {
    use proofgrid_core::units::Millis;
    use proofgrid_judge::JudgeConfig;
    use proofgrid_proofs::refusal::{Refusal, RefusalCode};

    use super::*;

    fn judgement(judged: Judged) -> Judgement {
        Judgement { judged, verify_time: Millis::new(30), children: 1, pid: 1 }
    }

    #[test]
    fn only_what_no_proof_can_bring_about_is_held_against_the_judge() {
        let meter = JudgeMeter::default();
        let refused = || Judged::Refused(Refusal::new(RefusalCode::TooLong, "long"));
        let cases = [
            (Judged::Unjudged(UnjudgedReason::Killed { signal: 9 }), ServiceStatus::Initializing),
            (refused(), ServiceStatus::Up),
            (
                Judged::Unjudged(UnjudgedReason::TimedOut { limit: Millis::new(1) }),
                ServiceStatus::Up,
            ),
            (
                Judged::Unjudged(UnjudgedReason::Spawn { problem: "no memory".into() }),
                ServiceStatus::Down,
            ),
            (refused(), ServiceStatus::Up),
        ];
        for (judged, expected) in cases {
            meter.note(&judgement(judged.clone()));
            assert_eq!(meter.status(), expected, "{judged:?}");
        }
    }

    #[tokio::test]
    async fn a_judge_whose_binary_is_gone_is_down_before_there_is_work() {
        let programs = Arc::new(proofgrid_programs::registry());
        let config = JudgeConfig {
            command: "/nonexistent/proofgrid".into(),
            ..JudgeConfig::own_binary("judge-child").expect("an own path")
        };
        let meter = Arc::new(JudgeMeter::default());
        let judge = MeasuredJudge::new(Judge::new(config, Arc::clone(&programs)), meter.clone());
        let program = programs.iter().next().expect("a program").id();
        judge.try_once(program).await;
        assert_eq!(meter.status(), ServiceStatus::Down);
    }
}
