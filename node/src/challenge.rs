//! From a job's evidence to an accusation that the chain will uphold: which signature, which proof,
//! and whether the proof is refused, found out here before any bond is at stake.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use proofgrid_core::certificate::{JobCertificate, TrustedEpoch};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{
    Address, BlobDigest, EpochNumber, JobId, StatementAttempt, StatementDigest,
};
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_core::network::StatementEvidence;
use proofgrid_core::statement::{OpenedStatement, Statement, Verdict};
use proofgrid_core::vote::SignedVote;
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged};
use proofgrid_oracle::challenge::{Accusation, Arena, Attestation, Attested, ChallengeError, Salt};
use proofgrid_oracle::deploy::LeafPosition;
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
    /// The proof with this digest.
    ///
    /// # Errors
    /// When a file cannot be read, or no source has it.
    pub async fn read(&self, proof: BlobDigest) -> anyhow::Result<Vec<u8>> {
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
            if BlobDigest::from_bytes(keccak256(&bytes)) == proof {
                return Ok(bytes);
            }
        }
        mirror::read_from_any(&self.mirrors, proof).await.map_err(|last| match last {
            Some(error) => error.into(),
            None => anyhow!(
                "no file holds the proof {proof}; give it with --proof, or a verifier's mirror with \
                 --mirror"
            ),
        })
    }
}

/// A job's leaf of a certificate, as it was posted.
#[derive(Debug)]
pub struct Posted {
    /// What was attested.
    pub opened: OpenedStatement,
    /// As what.
    pub verdict: Verdict,
    /// Where it is in its batch.
    pub leaf: LeafPosition,
    /// Who signed it, as the registry has it.
    pub attestation: Attestation,
}

impl Posted {
    /// Its statement.
    #[must_use]
    pub fn statement(&self) -> StatementDigest {
        self.opened.statement.digest()
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
            match self.refused_segment(&found.opened, sources).await? {
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

    /// A certificate's leaf of its job: the certificate is verified against the epoch's table on the
    /// chain, and must have been posted.
    ///
    /// # Errors
    /// When it does not verify, was not posted, or the chain cannot be asked.
    pub async fn posted(&self, found: &JobCertificate) -> CliResult<Posted> {
        let keys = self.keys(found.certificate.epoch).await?;
        let table = keys.table();
        let (_, job) = found
            .verify(table, TrustedEpoch::Digest(table.digest()))
            .context("the certificate does not verify")
            .exit(Exit::Invalid)?;
        let (root, count) = (found.certificate.root, found.certificate.count);
        let leaf = LeafPosition { root, count, index: job.leaf_index, path: job.path };
        let posted = self.arena.attestation(&self.chain, job.statement, job.verdict, &leaf).await;
        let attestation = posted.map_err(|error| ended(error, Exit::NotFound))?;
        let (statement, records) =
            (found.evidence.statement.clone(), found.evidence.segments.clone());
        let opened = OpenedStatement { statement, records };
        Ok(Posted { opened, verdict: job.verdict, leaf, attestation })
    }

    /// What can be proven against an operator by a posted certificate that it signed, and by its
    /// votes; nothing is sent.
    ///
    /// # Errors
    /// As [`Self::investigate`], and when the operator is not among the certificate's signers.
    pub async fn investigate_posted(
        &self,
        posted: &Posted,
        votes: &[StatementEvidence],
        operator: Address,
        sources: &ProofSources,
        challenger: &WalletKey,
    ) -> CliResult<Found> {
        let (digest, statement) = (posted.statement(), posted.opened.statement.clone());
        let epoch = posted.attestation.epoch;
        let keys = self.keys(epoch).await?;
        let member = keys.table().index_of(operator);
        let Some(member) = member.filter(|member| posted.attestation.is_signed_by(*member)) else {
            let why = format!("{operator} is not among the signers of this certificate");
            return fail(Exit::Invalid, format!("nothing to accuse of: {why}"));
        };
        let attested = Attested { member, verdict: posted.verdict, leaf: posted.leaf.clone() };
        let salt = Salt::derive(challenger, operator, digest);
        let known = votes.iter().filter(|known| known.opened.statement.digest() == digest);
        let mut own = known.flat_map(|known| &known.votes).filter(|vote| vote.operator == operator);
        if let Some(vote) = own.find(|vote| vote.vote.verdict != posted.verdict) {
            let voted = self.keys(vote.vote.epoch).await?;
            let against = (vote, &*voted);
            let accusation =
                Accusation::vote_and_attestation(&statement, against, &attested, salt)?;
            let what =
                format!("{operator} voted for one verdict of {digest} and attested the other");
            return Ok(Found { accusation, statement, what });
        }
        if posted.verdict != Verdict::Valid {
            let why = format!("{operator} attested invalid, which is never slashed");
            return fail(Exit::Invalid, format!("nothing to accuse of: {why}"));
        }
        let Some((segment, shown, why)) = self.refused_segment(&posted.opened, sources).await?
        else {
            let why = "every proof of the statement verifies; an accusation would lose its bond";
            return fail(Exit::Invalid, format!("nothing to accuse of: {why}"));
        };
        self.check_judge(&statement, epoch).await?;
        let accusation =
            Accusation::false_attestation(&posted.opened, segment, shown, &attested, salt)?;
        let what = format!(
            "{operator} attested valid in epoch {epoch}, with two thirds of the stake; the proof of \
             segment {segment} is refused: {why}"
        );
        Ok(Found { accusation, statement, what })
    }

    async fn keys(&self, epoch: EpochNumber) -> CliResult<Arc<EpochKeys>> {
        let keys = self.view.epoch_keys(epoch).await;
        keys.with_context(|| format!("epoch {epoch} cannot be read")).exit(Exit::Unreachable)
    }

    async fn check_judge(&self, statement: &Statement, signed: EpochNumber) -> CliResult {
        let checked = self.arena.check_judge(&self.chain, statement.program, signed).await;
        checked.map_err(|error| ended(error, Exit::Refused))
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
        opened: &OpenedStatement,
        sources: &ProofSources,
    ) -> CliResult<Option<(u32, Vec<u8>, String)>> {
        let statement = &opened.statement;
        for record in &opened.records {
            let proof = sources.read(record.proof).await.exit(Exit::NotFound)?;
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

/// An error of the game with its exit code: `otherwise`, unless the chain could not be asked.
pub(crate) fn ended(error: ChallengeError, otherwise: Exit) -> ExitError {
    let unreachable = matches!(error, ChallengeError::Rpc(_));
    ExitError { exit: if unreachable { Exit::Unreachable } else { otherwise }, error: error.into() }
}
