//! From a statement to a finding: valid, invalid with the first bad segment, or no verdict.
//!
//! Order: what cannot be this verifier's business (another network, another manifest, records that
//! are not the statement's) is abstained from. Then shape, lengths, ids and coverage, before any
//! proof is fetched. Then every proof in the sandbox. Then what the records say about the proofs,
//! and the claim. Everything from the shape on is a function of bytes and manifest alone, so two
//! honest verifiers find the same.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proofgrid_core::ids::NetworkId;
use proofgrid_core::merkle::MerkleTree;
use proofgrid_core::statement::{SegmentRecord, Statement};
use proofgrid_core::units::Millis;
use proofgrid_proofs::digest::public_values_digest;
use proofgrid_proofs::program::{Program, Registry, SegmentRange, VerifiedSegment, check_coverage};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proto::convert::{AbstainReason, SegmentOffer, StatementOffer};

use crate::chain_view::{ChainView, ProgramView, ask};
use crate::epochs::Abstention;
use crate::fetch::{BlobKind, ProofSource};
use crate::limits::shorten;
use crate::segments::{SegmentOf, SegmentOutcome, Segments};
use crate::vote_log::{Fault, Finding};

/// Judges statements; knows no epoch and signs nothing.
pub(crate) struct Evaluator {
    pub(crate) network: NetworkId,
    pub(crate) registry: Arc<Registry>,
    pub(crate) view: Arc<dyn ChainView>,
    pub(crate) patience: Duration,
    pub(crate) segments: Segments,
}

fn refused(segment: u32, refusal: &Refusal) -> Fault {
    Fault { segment, reason: shorten(&refusal.to_string()) }
}

fn fault(segment: u32, code: RefusalCode, detail: impl Into<String>) -> Fault {
    refused(segment, &Refusal::new(code, detail))
}

impl Evaluator {
    /// Judges a segment ahead of its statement, so that the statement finds it done.
    pub(crate) async fn judge_early(
        &self,
        offer: &SegmentOffer,
        source: &dyn ProofSource,
    ) -> Result<(), Abstention> {
        if offer.spec.home_chain != self.network.home_chain {
            return Err(other_network());
        }
        if self.registry.get(&offer.spec.program).is_none() {
            let text = format!("this build has no program {}", offer.spec.program);
            return Err(Abstention::new(AbstainReason::UnknownManifest, text));
        }
        let of = SegmentOf {
            job: offer.job,
            program: offer.spec.program,
            proof_bytes_max: offer.spec.limits.max_proof_bytes,
        };
        self.segments.judge(of, &offer.record, source).await.map(|_outcome| ())
    }

    /// The finding on a statement, with the time that judging its segments took.
    pub(crate) async fn evaluate(
        &self,
        offer: &StatementOffer,
        source: &dyn ProofSource,
    ) -> Result<(Finding, Millis), Abstention> {
        let statement = &offer.opened.statement;
        let records = &offer.opened.records;
        if offer.spec.home_chain != self.network.home_chain {
            return Err(other_network());
        }
        check_opening(statement, records)?;
        let program = self.confirm_program(statement).await?;
        if let Some(fault) = shape_fault(offer, program) {
            return Ok((Finding::Invalid(fault), Millis::ZERO));
        }
        let of = SegmentOf {
            job: statement.job,
            program: statement.program,
            proof_bytes_max: offer.spec.limits.max_proof_bytes,
        };
        let judging = records.iter().map(|record| self.segments.judge(of, record, source));
        let outcomes = join_all(judging).await;
        let (conclusion, judged_in) = conclude(program, offer, outcomes)?;
        let finding = match conclusion {
            Conclusion::Found(finding) => finding,
            Conclusion::WrongClaim(refusal) => {
                let segment = self.blame(offer, source).await.unwrap_or(0);
                Finding::Invalid(refused(segment, &refusal))
            }
        };
        Ok((finding, judged_in))
    }

    /// Which of several valid segments does not prove its part of the input. The verdict stands
    /// without it: if the input cannot be had or does not tell, the first segment is named.
    async fn blame(&self, offer: &StatementOffer, source: &dyn ProofSource) -> Option<u32> {
        let records = offer.opened.records.clone();
        if records.len() < 2 {
            return None;
        }
        let input = source.fetch(offer.spec.input, BlobKind::Input).await.ok()?;
        let (registry, id) = (Arc::clone(&self.registry), offer.spec.program);
        let search = move || {
            let program = registry.get(&id)?;
            let is_wrong = |record: &&SegmentRecord| match program
                .public_values_of(&input, &range_of(record))
            {
                Ok(Some(values)) => public_values_digest(&values) != record.public_values,
                Ok(None) => false,
                Err(_) => true,
            };
            records.iter().find(is_wrong).map(|record| record.index)
        };
        // Hashing an input takes long enough to leave the runtime's threads.
        proofgrid_store::blocking::spawn(search).await.ok().flatten()
    }

    /// The program in this build, if its manifest and key are what the chain admits.
    async fn confirm_program(&self, statement: &Statement) -> Result<&dyn Program, Abstention> {
        let unknown = |text: String| Abstention::new(AbstainReason::UnknownManifest, text);
        let Some(program) = self.registry.get(&statement.program) else {
            return Err(unknown(format!("this build has no program {}", statement.program)));
        };
        let own = ProgramView { manifest: program.manifest().digest(), vk: program.vk_digest() };
        if own.manifest != statement.manifest {
            let text = format!("this build judges {}, not {}", own.manifest, statement.manifest);
            return Err(unknown(text));
        }
        let differs = |text: String| Abstention::new(AbstainReason::ChainView, text);
        let id = statement.program;
        match ask(self.patience, || self.view.program(id)).await {
            Ok(admitted) if admitted == own => Ok(program),
            Ok(admitted) => Err(differs(format!(
                "the chain admits manifest {} and key {} for the program",
                admitted.manifest, admitted.vk
            ))),
            Err(problem) => Err(differs(format!("program {id}: {problem}"))),
        }
    }
}

fn other_network() -> Abstention {
    Abstention::new(AbstainReason::ChainView, "the job is of another home chain")
}

/// Records that do not open the statement say nothing about it: whoever sent them is wrong, not the
/// statement, and nobody may be made to vote `invalid` on a good statement that way.
fn check_opening(statement: &Statement, records: &[SegmentRecord]) -> Result<(), Abstention> {
    let tree = MerkleTree::new(records.iter().map(SegmentRecord::leaf).collect());
    match tree {
        Ok(tree) if tree.root() == *statement.segments_root.as_bytes() => Ok(()),
        Ok(_) | Err(_) => {
            let text = "the records that came with the statement are not those under its root";
            Err(Abstention::new(AbstainReason::MissingBlob, text))
        }
    }
}

/// What is wrong with the statement before any proof is looked at.
fn shape_fault(offer: &StatementOffer, program: &dyn Program) -> Option<Fault> {
    let (spec, statement) = (&offer.spec, &offer.opened.statement);
    let records = &offer.opened.records;
    if statement.program != spec.program {
        let detail = "the statement is about another program than its job";
        return Some(fault(0, RefusalCode::WrongProgram, detail));
    }
    if statement.claim != spec.claim {
        let detail = "the statement carries another claim than its job";
        return Some(fault(0, RefusalCode::ClaimMismatch, detail));
    }
    let num_records = records.len() as u64;
    if u64::from(statement.num_segments) != num_records {
        let stated = statement.num_segments;
        let detail = format!("the statement says {stated} segments, its root holds {num_records}");
        return Some(fault(0, RefusalCode::Coverage, detail));
    }
    if num_records > u64::from(spec.limits.max_segments) {
        let detail = format!("{num_records} segments, the job allows {}", spec.limits.max_segments);
        return Some(fault(spec.limits.max_segments, RefusalCode::Coverage, detail));
    }
    coverage_fault(records).or_else(|| {
        let other = records.iter().find(|record| !program.admits_vk(&record.vk))?;
        let vk = program.vk_digest();
        let detail = format!("the record names the key {}, the program has {vk}", other.vk);
        Some(fault(other.index, RefusalCode::WrongKey, detail))
    })
}

const fn range_of(record: &SegmentRecord) -> SegmentRange {
    SegmentRange { index: record.index, first: record.first, count: record.count }
}

/// The first record that does not follow the ones before it.
fn coverage_fault(records: &[SegmentRecord]) -> Option<Fault> {
    let ranges: Vec<SegmentRange> = records.iter().map(range_of).collect();
    (0u32..).zip(1..=ranges.len()).find_map(|(position, end)| {
        let refusal = check_coverage(ranges.get(..end)?).err()?;
        Some(refused(position, &refusal))
    })
}

/// What the judged segments come to.
enum Conclusion {
    Found(Finding),
    /// Every proof holds, but together they do not give the claim.
    WrongClaim(Refusal),
}

/// One refused segment makes the statement invalid, whatever became of the others. Otherwise all
/// must have been judged.
fn conclude(
    program: &dyn Program,
    offer: &StatementOffer,
    outcomes: Vec<Result<SegmentOutcome, Abstention>>,
) -> Result<(Conclusion, Millis), Abstention> {
    let records = &offer.opened.records;
    let judged_in = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .fold(Millis::ZERO, |sum, outcome| sum.saturating_add(outcome.judged_in));
    let bad = records.iter().zip(&outcomes).find_map(|(record, outcome)| {
        let outcome = outcome.as_ref().ok()?;
        segment_fault(record, outcome.judged.as_ref())
    });
    if let Some(fault) = bad {
        return Ok((Conclusion::Found(Finding::Invalid(fault)), judged_in));
    }
    let mut public_values = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        public_values.push(outcome?.judged);
    }
    let conclusion = match check_claim(program, offer, &public_values) {
        Ok(()) => Conclusion::Found(Finding::Valid),
        Err(refusal) => Conclusion::WrongClaim(refusal),
    };
    Ok((conclusion, judged_in))
}

/// What the proof says against what the record says about it.
fn segment_fault(
    record: &SegmentRecord,
    judged: &Result<VerifiedSegment, Refusal>,
) -> Option<Fault> {
    let verified = match judged {
        Ok(verified) => verified,
        Err(refusal) => return Some(refused(record.index, refusal)),
    };
    if verified.vk_digest != record.vk {
        let detail = format!("the proof satisfies the key {}", verified.vk_digest);
        return Some(fault(record.index, RefusalCode::WrongKey, detail));
    }
    if verified.public_values_digest != record.public_values {
        let detail = format!("the proof's public values hash to {}", verified.public_values_digest);
        return Some(fault(record.index, RefusalCode::PublicValuesShape, detail));
    }
    if verified.work_units != record.work_units {
        let (proven, said) = (verified.work_units, record.work_units);
        let detail = format!("the proof establishes {proven}, the record claims {said}");
        return Some(fault(record.index, RefusalCode::WrongCount, detail));
    }
    None
}

/// The claim from the ordered public values, against the statement's.
fn check_claim(
    program: &dyn Program,
    offer: &StatementOffer,
    judged: &[Arc<Result<VerifiedSegment, Refusal>>],
) -> Result<(), Refusal> {
    let values: Vec<&[u8]> = judged
        .iter()
        .filter_map(|judged| judged.as_ref().as_ref().ok())
        .map(|verified| verified.public_values.as_slice())
        .collect();
    let claim = program.claim_of_segments(&values)?;
    if claim == offer.opened.statement.claim {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::ClaimMismatch, format!("the segments give {claim}")))
}
