//! From a job's evidence to an accusation that the chain will uphold: which signature, which proof,
//! and whether the proof is refused, found out here before any bond is at stake.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{Address, BlobDigest, EpochNumber, JobId, StatementAttempt};
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_core::network::StatementEvidence;
use proofgrid_core::statement::{SegmentRecord, Statement, Verdict};
use proofgrid_core::vote::SignedVote;
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged};
use proofgrid_oracle::challenge::{Accusation, Arena, ChallengeError, Salt};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::mirror;
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::view::ChainViewClient;
use proofgrid_proofs::program::Binding;
use proofgrid_proto::convert;
use proofgrid_proto::v1;

use crate::chain;
use crate::client::{Client, refused, timed};
use crate::exit::{CliResult, Exit, ExitError, WithExit, fail};
use crate::network_file::NetworkFile;

/// Where the bytes of proofs are looked for: files first, then mirrors.
#[derive(Clone, Debug, Default)]
pub struct ProofSources {
    /// Files that hold an envelope each.
    pub files: Vec<PathBuf>,
    /// Addresses of verifiers' mirrors.
    pub mirrors: Vec<String>,
}

/// What is to be accused of.
#[derive(Clone, Copy, Debug)]
pub struct Suspicion {
    /// The job.
    pub job: JobId,
    /// Whose signature.
    pub operator: Address,
    /// Which try of the job's statement; the newest that fits if not said.
    pub attempt: Option<StatementAttempt>,
}

/// What was found against an operator.
#[derive(Debug)]
pub struct Found {
    /// The accusation.
    pub accusation: Accusation,
    /// Its statement.
    pub statement: Statement,
    /// What it is, in words.
    pub what: String,
}

/// The statements of a job with the votes on them, as the dispatcher has them.
///
/// # Errors
/// When there is no such job, or not any more.
pub async fn evidence(client: &Client, job: JobId) -> CliResult<Vec<StatementEvidence>> {
    let request = v1::GetEvidenceRequest { job_id: job.as_bytes().to_vec() };
    let answer = client.jobs().get_evidence(timed(request)).await.map_err(refused)?;
    Ok(convert::evidence(answer.into_inner())?)
}

impl ProofSources {
    async fn read(&self, record: &SegmentRecord) -> anyhow::Result<Vec<u8>> {
        for file in &self.files {
            let length = std::fs::metadata(file)
                .with_context(|| format!("cannot read {}", file.display()))?
                .len();
            anyhow::ensure!(
                length <= PROOF_BYTES_MAX,
                "{} has {length} bytes, no proof is longer than {PROOF_BYTES_MAX}",
                file.display()
            );
            let bytes =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            if BlobDigest::from_bytes(keccak256(&bytes)) == record.proof {
                return Ok(bytes);
            }
        }
        mirror::read_from_any(&self.mirrors, record.proof).await.map_err(|last| match last {
            Some(error) => error.into(),
            None => anyhow!(
                "no file holds the proof of segment {}, {}; give it with --proof, or a verifier's \
                 mirror with --mirror",
                record.index,
                record.proof
            ),
        })
    }
}

/// Reads what the chain says of epochs, and judges proofs in a process of their own.
pub struct Investigation {
    chain: Chain,
    view: ChainViewClient,
    judge: Judge,
    /// Where faults are proven.
    pub arena: Arena,
}

impl std::fmt::Debug for Investigation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Investigation").field("arena", &self.arena).finish_non_exhaustive()
    }
}

impl Investigation {
    /// On the chain of a network file.
    ///
    /// # Errors
    /// When the chain cannot be asked or has no game.
    pub async fn open(file: &NetworkFile) -> CliResult<Self> {
        let (chain, contracts) = chain::of_network(file)?;
        let arena = Arena::of(&chain, contracts.proof_registry)
            .await
            .context("the challenge game cannot be found")
            .exit(Exit::Unreachable)?;
        let registry = Arc::new(proofgrid_programs::registry());
        let judge = Judge::new(JudgeConfig::own_binary("judge-child")?, registry);
        let view = ChainViewClient::new(chain.clone(), contracts, FinalityPolicy::Finalized);
        Ok(Self { chain, view, judge, arena })
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What can be proven of a suspicion; nothing is sent.
    ///
    /// # Errors
    /// When the operator signed nothing false, its proof cannot be had or is good, or the chain has no
    /// judge for it.
    pub async fn investigate(
        &self,
        evidence: &[StatementEvidence],
        suspicion: Suspicion,
        sources: &ProofSources,
        challenger: &WalletKey,
    ) -> CliResult<Found> {
        let Suspicion { job, operator, attempt } = suspicion;
        let fits = |found: &&StatementEvidence| {
            attempt.is_none_or(|attempt| found.opened.statement.attempt == attempt)
        };
        let mut last = None;
        for found in evidence.iter().rev().filter(fits) {
            let mut own = found.votes.iter().filter(|vote| vote.operator == operator);
            let Some(first) = own.next() else { continue };
            let statement = found.opened.statement.clone();
            let salt = Salt::derive(challenger, operator, statement.digest());
            if let Some(second) = own.find(|vote| vote.vote.verdict != first.vote.verdict) {
                let accusation = self.both_ways(&statement, first, second, salt).await?;
                let what = format!("{operator} signed both verdicts of {}", statement.digest());
                return Ok(Found { accusation, statement, what });
            }
            if first.vote.verdict != Verdict::Valid {
                last = Some(format!("{operator} voted invalid, which is never slashed"));
                continue;
            }
            match self.refused_segment(found, sources).await? {
                Some((segment, shown, why)) => {
                    let keys = self.keys(first.vote.epoch).await?;
                    self.check_judge(&statement, first.vote.epoch).await?;
                    let against = (first, &*keys);
                    let accusation =
                        Accusation::false_vote(&found.opened, segment, shown, against, salt)?;
                    let what = format!(
                        "{operator} voted valid in epoch {}; the proof of segment {segment} is \
                         refused: {why}",
                        first.vote.epoch
                    );
                    return Ok(Found { accusation, statement, what });
                }
                None => {
                    let attempt = statement.attempt;
                    last = Some(format!(
                        "every proof of statement {attempt} verifies; an accusation would lose its \
                         bond"
                    ));
                }
            }
        }
        let why = last.unwrap_or_else(|| format!("{operator} signed no statement of job {job}"));
        fail(Exit::Invalid, format!("nothing to accuse of: {why}"))
    }

    async fn keys(&self, epoch: EpochNumber) -> CliResult<Arc<EpochKeys>> {
        let keys = self.view.epoch_keys(epoch).await;
        keys.with_context(|| format!("epoch {epoch} cannot be read")).exit(Exit::Unreachable)
    }

    async fn check_judge(&self, statement: &Statement, signed: EpochNumber) -> CliResult {
        let checked = self.arena.check_judge(&self.chain, statement.program, signed).await;
        checked.map_err(|error| {
            let unreachable = matches!(error, ChallengeError::Rpc(_));
            let exit = if unreachable { Exit::Unreachable } else { Exit::Refused };
            ExitError { exit, error: error.into() }
        })
    }

    async fn both_ways(
        &self,
        statement: &Statement,
        first: &SignedVote,
        second: &SignedVote,
        salt: Salt,
    ) -> CliResult<Accusation> {
        let keys_then = self.keys(first.vote.epoch).await?;
        let keys_later = self.keys(second.vote.epoch).await?;
        let (first, second) = ((first, &*keys_then), (second, &*keys_later));
        Ok(Accusation::equivocation(statement, first, second, salt)?)
    }

    /// The first segment whose proof is refused, with the proof and the reason.
    async fn refused_segment(
        &self,
        found: &StatementEvidence,
        sources: &ProofSources,
    ) -> CliResult<Option<(u32, Vec<u8>, String)>> {
        let statement = &found.opened.statement;
        for record in &found.opened.records {
            let proof = sources.read(record).await.exit(Exit::NotFound)?;
            let binding = Binding {
                job: statement.job,
                program: statement.program,
                prover: record.prover,
                segment_index: record.index,
                first: record.first,
                count: record.count,
            };
            let request =
                JudgeRequest { program: statement.program, binding, proof: proof.clone() };
            match self.judge.judge(request).await {
                Judged::Refused(why) => return Ok(Some((record.index, proof, why.to_string()))),
                Judged::Verified(_) => {}
                Judged::Unjudged(why) => {
                    return fail(
                        Exit::Failed,
                        format!("this machine could not judge segment {}: {why}", record.index),
                    );
                }
            }
        }
        Ok(None)
    }
}
